/* DEPTHWISE_CONV_2D int8, plain and complete. */
#include "mh_nn_conv.h"

/* Sum over the kernel positions inside the map, for one output value. */
static int32_t sum_at(const mh_depthwise_conv2d_params *p, const int8_t *in, int32_t y0, int32_t x0,
                      int32_t out_c)
{
    const int32_t channels = p->in_c * p->multiplier;
    const int32_t in_c = out_c / p->multiplier;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ++ky) {
        const int32_t y = y0 + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t x = x0 + kx * p->dilation_w;
            if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) {
                continue; /* padding is real 0 and adds nothing */
            }
            const int32_t value = in[(y * p->in_w + x) * p->in_c + in_c] - p->in_zp;
            sum += value * p->weights[(ky * p->kernel_w + kx) * channels + out_c];
        }
    }
    return sum;
}

mh_status mh_depthwise_conv2d_s8(const mh_depthwise_conv2d_params *p, const int8_t *in, int8_t *out,
                                 void *scratch)
{
    (void)scratch;
    if (p->multiplier < 1) {
        return MH_ERR_ARG;
    }
    for (int32_t y = 0; y < p->out_h; ++y) {
        for (int32_t x = 0; x < p->out_w; ++x) {
            const int32_t y0 = y * p->stride_h - p->pad_top;
            const int32_t x0 = x * p->stride_w - p->pad_left;
            for (int32_t c = 0; c < p->in_c * p->multiplier; ++c) {
                const int32_t bias = p->bias != NULL ? p->bias[c] : 0;
                const int32_t sum = sum_at(p, in, y0, x0, c) + bias;
                const int32_t value = mh_requantize(sum, p->mult[c], p->shift[c]) + p->out_zp;
                *out++ = (int8_t)mh_clamp(value, p->lo, p->hi);
            }
        }
    }
    return MH_OK;
}
