/* 1x1 convolutions and fully connected layers: pixels one after the other, or apart by strides. */
#include "mh_mve.h"

static mh_status gemm(const mh_mve_matrix_params *p, const mh_mve_tile *tile, const int8_t *in,
                      int8_t *out)
{
    const int32_t row_bytes = p->out_w * p->out_c;
    for (int32_t y = 0; y < p->out_h; y++) {
        const int8_t *row = in + y * p->stride_h * p->in_w * p->in_c;
        mh_mve_multiply(tile, p, row, p->stride_w * p->in_c, out + y * row_bytes, p->out_w);
    }
    mh_mve_clamp(out, p->out_h * row_bytes, p->lo, p->hi);
    return MH_OK;
}

#define GEMM(form, tail)                                                                           \
    mh_status mh_mve_gemm_##form##tail##_s8(const mh_mve_matrix_params *p, const int8_t *in,       \
                                            int8_t *out, void *scratch)                            \
    {                                                                                              \
        (void)scratch;                                                                             \
        return gemm(p, &mh_mve_tile_##form##tail, in, out);                                        \
    }
MH_MVE_FORMS(GEMM)
