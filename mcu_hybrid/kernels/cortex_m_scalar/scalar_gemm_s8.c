/* 1x1 convolution with stride 1, and fully connected: inputs are read where they lie. */
#include "mh_scalar.h"

mh_status mh_scalar_gemm_s8(const mh_scalar_gemm_params *p, const int8_t *in, int8_t *out,
                            void *scratch)
{
    const mh_scalar_layer layer = {p->weights, p->constants, p->steps, p->out_c,
                                   p->form,    p->lo,        p->hi};
    const int32_t depth = 4 * p->steps;
    int8_t *at = out;
    int32_t left = p->pixels;
    (void)scratch;
    for (; left > 1; left -= 2, in += 2 * depth, at += 2 * p->out_c) {
        mh_scalar_pixels2(&layer, in, in + depth, at);
    }
    if (left > 0) {
        mh_scalar_pixel(&layer, in, at);
    }
    mh_scalar_clamp(out, p->pixels * p->out_c, p->lo, p->hi);
    return MH_OK;
}
