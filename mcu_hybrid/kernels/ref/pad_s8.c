/* PAD int8: a border of one value around the input. */
#include "mh_nn_conv.h"

mh_status mh_pad_s8(const mh_pad_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    int32_t out_extent[MH_PAD_DIMS];
    (void)scratch;
    for (int d = 0; d < MH_PAD_DIMS; ++d) {
        out_extent[d] = p->before[d] + p->in_extent[d] + p->after[d];
    }
    for (int32_t i = 0; i < out_extent[0]; ++i) {
        for (int32_t j = 0; j < out_extent[1]; ++j) {
            for (int32_t k = 0; k < out_extent[2]; ++k) {
                for (int32_t l = 0; l < out_extent[3]; ++l) {
                    const int32_t at[MH_PAD_DIMS] = {i, j, k, l};
                    int inside = 1;
                    for (int d = 0; d < MH_PAD_DIMS; ++d) {
                        const int32_t x = at[d] - p->before[d];
                        inside = inside && x >= 0 && x < p->in_extent[d];
                    }
                    /* Inside the border, values follow in the input's own order. */
                    *out++ = inside ? *in++ : (int8_t)p->value;
                }
            }
        }
    }
    return MH_OK;
}
