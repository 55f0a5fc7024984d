/* 1x1 convolution with stride 1 and fully connected: pixels as they lie, three at a time. */
#include "mh_small.h" /* before all others */
#include "mh_gemm.h"

mh_status mh_gemm_s8(const mh_gemm_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const mh_gemm_head head = {p->stream, p->steps, p->out_c, p->pair_words, p->shift};
    const int32_t in_c = 4 * p->steps;
    uint32_t *const column = scratch;
    mh_gemm_layer layer;
    mh_gemm_begin(&layer, p->form, &head, column);
    int8_t *to = out;
    int32_t left = p->pixels;
    for (; left >= 3; left -= 3) {
        mh_widen3(in, in + in_c, in + 2 * in_c, column, p->steps);
        mh_gemm_pixels3(&layer, to);
        in += 3 * in_c;
        to += 3 * p->out_c;
    }
    for (; left > 0; left--) {
        layer.tile->widen1(in, column, p->steps);
        mh_gemm_pixel(&layer, to);
        in += in_c;
        to += p->out_c;
    }
    mh_bound(out, p->pixels * p->out_c, p->lo, p->hi);
    return MH_OK;
}
