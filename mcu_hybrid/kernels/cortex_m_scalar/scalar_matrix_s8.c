/* All output channels of two pixels or of one, requantised. */
#include "mh_scalar.h"

#define GROUP 4 /* channels of 2 pixels: 8 sums are what Thumb-2 has registers for */

static inline int32_t channels_left(const mh_scalar_layer *layer, int32_t c)
{
    return layer->out_c - c < GROUP ? layer->out_c - c : GROUP;
}

void mh_scalar_pixels2(const mh_scalar_layer *layer, const int8_t *x0, const int8_t *x1,
                       int8_t *out)
{
    const int32_t bytes = 16 * layer->steps, out_c = layer->out_c;
    const int8_t *weights = layer->weights;
    const int32_t *k = layer->constants;
    const int32_t group_words = GROUP * (1 + mh_scalar_words(layer->form));
    int32_t sums[2 * GROUP], c = 0;
#if defined(MH_SCALAR_GROUPS)
    if (out_c >= GROUP) {
        const int32_t groups = out_c / GROUP;
        const mh_scalar_job job = {x0, x1, weights, bytes, k, out, out_c - 1, groups, layer->form};
        mh_scalar_groups2(&job);
        c = groups * GROUP;
        weights += groups * bytes;
        k += groups * group_words;
        out += c;
    }
#endif
    for (; c < out_c; c += GROUP, weights += bytes) {
        mh_scalar_dot2(x0, x1, weights, weights + bytes, k, sums);
        const int32_t *own = k + GROUP;
        const int32_t *sum = sums;
        const int32_t *const end = sums + channels_left(layer, c);
        int8_t *out1 = out + out_c;
        if (layer->form == MH_SCALAR_LINE) {
            for (; sum != end; sum++, own += 2) {
                *out++ = (int8_t)mh_scalar_line_s8(sum[0], own);
                *out1++ = (int8_t)mh_scalar_line_s8(sum[GROUP], own);
            }
        } else {
            for (; sum != end; sum++, own += 3) {
                *out++ = (int8_t)mh_scalar_exact_s8(sum[0], own);
                *out1++ = (int8_t)mh_scalar_exact_s8(sum[GROUP], own);
            }
        }
        k += group_words;
    }
}

void mh_scalar_pixel(const mh_scalar_layer *layer, const int8_t *x, int8_t *out)
{
    const int32_t bytes = 16 * layer->steps;
    const int8_t *weights = layer->weights;
    const int32_t *k = layer->constants;
    const int32_t words = mh_scalar_words(layer->form);
    int32_t sums[GROUP];
    for (int32_t c = 0; c < layer->out_c; c += GROUP, weights += bytes) {
        mh_scalar_dot1(x, weights, weights + bytes, k, sums);
        const int32_t count = channels_left(layer, c);
        k += GROUP;
        for (int32_t i = 0; i < count; i++) {
            const int32_t *own = k + words * i;
            *out++ = (int8_t)(layer->form == MH_SCALAR_LINE ? mh_scalar_line_s8(sums[i], own)
                                                            : mh_scalar_exact_s8(sums[i], own));
        }
        k += GROUP * words;
    }
}

void mh_scalar_clamp(int8_t *out, int32_t bytes, int32_t lo, int32_t hi)
{
    if (lo <= INT8_MIN && hi >= INT8_MAX) {
        return;
    }
#pragma GCC unroll 4
    for (int32_t i = 0; i < bytes; i++) {
        out[i] = (int8_t)mh_scalar_bounded(out[i], lo, hi);
    }
}
