/* AVERAGE_POOL_2D int8: the mean of the values inside the map, rounded half away from zero. */
#include "mh_nn_conv.h"

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

mh_status mh_average_pool2d_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out,
                               void *scratch)
{
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; ++oy) {
        for (int32_t ox = 0; ox < p->out_w; ++ox) {
            const int32_t y0 = oy * p->stride_h - p->pad_top;
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            const int32_t y_first = max_of(y0, 0), y_end = min_of(y0 + p->kernel_h, p->in_h);
            const int32_t x_first = max_of(x0, 0), x_end = min_of(x0 + p->kernel_w, p->in_w);
            const int32_t count = (y_end - y_first) * (x_end - x_first);
            if (y_end <= y_first || x_end <= x_first) {
                return MH_ERR_ARG;
            }
            for (int32_t c = 0; c < p->channels; ++c) {
                int32_t sum = 0;
                for (int32_t y = y_first; y < y_end; ++y) {
                    for (int32_t x = x_first; x < x_end; ++x) {
                        sum += in[(y * p->in_w + x) * p->channels + c];
                    }
                }
                const int32_t half = sum > 0 ? count / 2 : -(count / 2);
                *out++ = (int8_t)mh_clamp((sum + half) / count, p->lo, p->hi);
            }
        }
    }
    return MH_OK;
}
