/* 1x1 convolutions and fully connected layers: pixels one after the other, or apart by strides. */
#include "mh_mve.h"

mh_status mh_mve_gemm_s8(const mh_mve_matrix_params *p, const int8_t *in, int8_t *out,
                         void *scratch)
{
    const int32_t row_bytes = p->out_w * p->out_c;
    (void)scratch;
    for (int32_t y = 0; y < p->out_h; y++) {
        const int8_t *row = in + y * p->stride_h * p->in_w * p->in_c;
        mh_mve_multiply(p, row, p->stride_w * p->in_c, out + y * row_bytes, p->out_w);
    }
    mh_mve_clamp(out, p->out_h * row_bytes, p->lo, p->hi);
    return MH_OK;
}
