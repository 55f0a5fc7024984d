/* ADD and SUB as one linear form, 16 values at a time. */
#include <arm_mve.h>

#include "mh_mve.h"

#define STEP 16   /* bytes of a vector */
#define QUARTER 4 /* of them widened to 32 bits */

/* Narrowing interleaves four vectors of four: byte 4 * i holds value i of the first, then come the
 * third, the second and the fourth. */
static uint8x16_t places(void)
{
    static const uint8_t at[STEP] = {0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15};
    return vldrbq_u8(at);
}

/* Copies of the params: stores of bytes could change the struct for all that the compiler knows. */
typedef struct {
    int32x4_t a_mul;
    int32_t b_mul, start, left;
} factors;

static inline factors factors_of(const mh_mve_add_params *p)
{
    const factors f = {vdupq_n_s32(p->a_mul), p->b_mul, p->start, -p->right};
    return f;
}

static inline int32x4_t line(factors f, int32x4_t a, int32x4_t b)
{
    return vmlaq_n_s32(vmlasq_n_s32(a, f.a_mul, f.start), b, f.b_mul);
}

/* In the registers of the first and third, whose upper halves are overwritten. */
static inline int8x16_t narrowed(factors f, int32x4_t first, int32x4_t second, int32x4_t third,
                                 int32x4_t fourth)
{
    int16x8_t even = vshrnbq_n_s32(vreinterpretq_s16_s32(first), first, 16);
    int16x8_t odd = vshrnbq_n_s32(vreinterpretq_s16_s32(third), third, 16);
    even = vshlq_r_s16(vshrntq_n_s32(even, second, 16), f.left);
    odd = vshlq_r_s16(vshrntq_n_s32(odd, fourth, 16), f.left);
    return vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
}

static void add_last(const mh_mve_add_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                     int32_t count)
{
    const factors f = factors_of(p);
    int32x4_t sums[STEP / QUARTER];
    for (int32_t i = 0; i < STEP / QUARTER; i++) {
        const int32_t left = count - i * QUARTER;
        const mve_pred16_t some = vctp32q(left > 0 ? (uint32_t)left : 0u);
        sums[i] = line(f, vldrbq_z_s32(a + i * QUARTER, some), vldrbq_z_s32(b + i * QUARTER, some));
    }
    const uint8x16_t at = places();
    const mve_pred16_t some = vcmphiq_u8(vdupq_n_u8((uint8_t)count), at);
    vstrbq_scatter_offset_p_s8(out, at, narrowed(f, sums[0], sums[1], sums[2], sums[3]), some);
}

mh_status mh_mve_add_s8(const mh_mve_add_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                        void *scratch)
{
    const factors f = factors_of(p);
    const uint8x16_t at = places();
    int8_t *to = out;
    (void)scratch;
    for (int32_t left = p->size / STEP; left > 0; left--) {
        const int32x4_t first = line(f, vldrbq_s32(a), vldrbq_s32(b));
        const int32x4_t second = line(f, vldrbq_s32(a + 4), vldrbq_s32(b + 4));
        const int32x4_t third = line(f, vldrbq_s32(a + 8), vldrbq_s32(b + 8));
        const int32x4_t fourth = line(f, vldrbq_s32(a + 12), vldrbq_s32(b + 12));
        vstrbq_scatter_offset_s8(to, at, narrowed(f, first, second, third, fourth));
        a += STEP;
        b += STEP;
        to += STEP;
    }
    if (p->size % STEP != 0) {
        add_last(p, a, b, to, p->size % STEP);
    }
    mh_mve_clamp(out, p->size, p->lo, p->hi);
    return MH_OK;
}
