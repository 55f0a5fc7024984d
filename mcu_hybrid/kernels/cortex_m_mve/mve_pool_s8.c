/* Average and maximum over windows, mean over neighbouring axes: channels side by side. */
#include <arm_mve.h>

#include "mh_mve.h"

#define SUMS 8 /* of 16 bits in a vector */
#define BYTES 16

/* What a window sees of the map. */
typedef struct {
    const int8_t *from;
    int32_t rows, columns;
    int32_t channels, row_bytes;
} view;

static view window(const mh_pool2d_params *p, const int8_t *in, int32_t y, int32_t x)
{
    const int32_t top = y * p->stride_h - p->pad_top, left = x * p->stride_w - p->pad_left;
    const int32_t bottom = top + p->kernel_h, right = left + p->kernel_w;
    const int32_t y0 = top > 0 ? top : 0, x0 = left > 0 ? left : 0;
    view v;
    v.rows = (bottom < p->in_h ? bottom : p->in_h) - y0;
    v.columns = (right < p->in_w ? right : p->in_w) - x0;
    v.channels = p->channels;
    v.row_bytes = p->in_w * p->channels;
    v.from = in + y0 * v.row_bytes + x0 * p->channels;
    return v;
}

/* Sums of 8 channels; those beyond ``some`` are 0. */
static inline int16x8_t sum_of(const view *v, int32_t c, mve_pred16_t some)
{
    const int8_t *row = v->from + c;
    int16x8_t sum = vdupq_n_s16(0);
    for (int32_t y = v->rows; y > 0; y--) {
        const int8_t *at = row;
        for (int32_t x = v->columns; x > 0; x--) {
            sum = vaddq_s16(sum, vldrbq_z_s16(at, some));
            at += v->channels;
        }
        row += v->row_bytes;
    }
    return sum;
}

/* Quotients, rounded half away from zero. ``inverse`` is 2^31 / count, rounded up: with it the high
 * half of a product is the quotient of any 16-bit number. */
static inline int16x8_t divided(int16x8_t sum, int32_t count, uint32_t inverse)
{
    const uint16x8_t size =
        vaddq_n_u16(vreinterpretq_u16_s16(vabsq_s16(sum)), (uint16_t)(count / 2));
    const uint32x4_t all = vdupq_n_u32(inverse);
    const uint32x4_t even = vmulhq_u32(vshlq_n_u32(vmovlbq_u16(size), 1), all);
    const uint32x4_t odd = vmulhq_u32(vshlq_n_u32(vmovltq_u16(size), 1), all);
    const int16x8_t found =
        vreinterpretq_s16_u16(vmovntq_u32(vmovnbq_u32(vuninitializedq_u16(), even), odd));
    return vnegq_m_s16(found, found, vcmpltq_n_s16(sum, 0));
}

mh_status mh_mve_average_pool_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out,
                                 void *scratch)
{
    (void)scratch;
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const view v = window(p, in, y, x);
            const int32_t count = v.rows * v.columns;
            const uint32_t inverse = ((uint32_t)INT32_MAX + (uint32_t)count) / (uint32_t)count;
            for (int32_t c = 0; c < p->channels; c += SUMS) {
                const mve_pred16_t some = vctp16q((uint32_t)(p->channels - c));
                vstrbq_p_s16(out + c, divided(sum_of(&v, c, some), count, inverse), some);
            }
            out += p->channels;
        }
    }
    const int32_t bytes = p->out_h * p->out_w * p->channels;
    mh_mve_clamp(out - bytes, bytes, p->lo, p->hi);
    return MH_OK;
}

mh_status mh_mve_max_pool_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out,
                             void *scratch)
{
    (void)scratch;
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const view v = window(p, in, y, x);
            for (int32_t c = 0; c < p->channels; c += BYTES) {
                const mve_pred16_t some = vctp8q((uint32_t)(p->channels - c));
                int8x16_t largest = vdupq_n_s8(INT8_MIN);
                const int8_t *row = v.from + c;
                for (int32_t i = v.rows; i > 0; i--) {
                    const int8_t *at = row;
                    for (int32_t j = v.columns; j > 0; j--) {
                        largest = vmaxq_s8(largest, vldrbq_z_s8(at, some));
                        at += v.channels;
                    }
                    row += v.row_bytes;
                }
                vstrbq_p_s8(out + c, largest, some);
            }
            out += p->channels;
        }
    }
    const int32_t bytes = p->out_h * p->out_w * p->channels;
    mh_mve_clamp(out - bytes, bytes, p->lo, p->hi);
    return MH_OK;
}

mh_status mh_mve_mean_s8(const mh_mve_mean_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    (void)scratch;
    for (int32_t i = 0; i < p->outer; i++) {
        const view v = {in, 1, p->count, p->inner, 0};
        for (int32_t c = 0; c < p->inner; c += SUMS) {
            int16_t sums[SUMS];
            vstrhq_s16(sums, sum_of(&v, c, vctp16q((uint32_t)(p->inner - c))));
            for (int32_t k = 0; k < SUMS && c + k < p->inner; k++) {
                const int32_t scaled = mh_requantize(sums[k] + p->offset, p->mult, p->shift);
                out[c + k] = (int8_t)mh_clamp(scaled + p->out_zp, INT8_MIN, INT8_MAX);
            }
        }
        in += p->count * p->inner;
        out += p->inner;
    }
    return MH_OK;
}
