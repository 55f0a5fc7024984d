/* MUL with TFLite's own two roundings, rearranged: four elements in 36 instructions. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_nn_fast_ew.h"

typedef struct {
    const int8_t *a, *b;
    int8_t *out;
    uint32_t a_offsets, b_offsets; /* int16 twice */
    int32_t mult, addend, right;
} mul_job;

void mh_mul_blocks(const mul_job *job, int32_t blocks);

/* clang-format off */
/* r0 a, r1 b, r2 out, r3 r4 offsets, r5 mult, r6 addend, r7 right, r8-r12 values. */
#define ONE(to, half)                                                                              \
    "smul" half half " " to ", r8, r9\n lsl " to ", " to ", #1\n add lr, r6, " to ", asr #31\n"    \
    "smmlar " to ", " to ", r5, lr\n asr " to ", " to ", r7\n ssat " to ", #8, " to "\n"
__asm__(FUNCTION("mh_mul_blocks")
        "push {r4-r11, lr}\n push {r1}\n ldm r0, {r0-r7}\n"
        "1:\n ldr r10, [r0], #4\n ldr r11, [r1], #4\n"
        "sxtab16 r8, r3, r10\n sxtab16 r9, r4, r11\n"
        ONE("r12", "b") "strb r12, [r2]\n" ONE("r12", "t") "strb r12, [r2, #2]\n"
        "sxtab16 r8, r3, r10, ror #8\n sxtab16 r9, r4, r11, ror #8\n"
        ONE("r12", "b") "strb r12, [r2, #1]\n" ONE("r12", "t") "strb r12, [r2, #3]\n"
        "ldr r12, [sp]\n adds r2, r2, #4\n subs r12, r12, #1\n str r12, [sp]\n bne 1b\n"
        "pop {r1}\n pop {r4-r11, pc}\n" END);
/* clang-format on */

static void mul_run(const void *params, const int8_t *a, const int8_t *b, int8_t *out, int32_t size)
{
    const mh_mul_fast_params *p = params;
    const int32_t blocks = size / 4;
    if (blocks > 0) {
        const mul_job job = {a,
                             b,
                             out,
                             (uint32_t)(p->a_offset & 0xffff) * 0x10001u,
                             (uint32_t)(p->b_offset & 0xffff) * 0x10001u,
                             p->mult,
                             p->addend,
                             p->right};
        mh_mul_blocks(&job, blocks);
    }
    for (int32_t i = 4 * blocks; i < size; i++) {
        const int32_t twice = 2 * (a[i] + p->a_offset) * (b[i] + p->b_offset);
        const int32_t high = (int32_t)(((int64_t)twice * p->mult + ((int64_t)1 << 31)) >> 32);
        const int32_t value = (high + p->addend + (twice >> 31)) >> p->right;
        out[i] = (int8_t)mh_clamp(value, INT8_MIN, INT8_MAX);
    }
}

mh_status mh_mul_fast_s8(const mh_mul_fast_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                         void *scratch)
{
    (void)scratch;
    mh_bound(out, mh_each_run(p->loops, mul_run, p, a, b, out), p->lo, p->hi);
    return MH_OK;
}
