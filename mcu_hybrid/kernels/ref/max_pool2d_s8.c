/* MAX_POOL_2D int8: the largest value inside the map. */
#include "mh_nn_conv.h"

mh_status mh_max_pool2d_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        for (int32_t ox = 0; ox < p->out_w; ++ox) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            for (int32_t c = 0; c < p->channels; ++c) {
                int32_t largest = INT8_MIN;
                for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
                    for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
                        const int32_t y = y0 + ky, x = x0 + kx;
                        if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) {
                            continue;
                        }
                        const int32_t value = in[(y * p->in_w + x) * p->channels + c];
                        largest = value > largest ? value : largest;
                    }
                }
                *out++ = (int8_t)mh_clamp(largest, p->lo, p->hi);
            }
        }
    }
    return MH_OK;
}
