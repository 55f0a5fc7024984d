/* FULLY_CONNECTED int8, plain and complete. */
#include "mh_nn_conv.h"

mh_status mh_fully_connected_s8(const mh_fully_connected_params *p, const int8_t *in, int8_t *out,
                                void *scratch)
{
    (void)scratch;
    for (int32_t row = 0; row < p->rows; ++row) {
        const int8_t *weights = p->weights;
        for (int32_t c = 0; c < p->out_c; ++c) {
            int32_t sum = p->bias != NULL ? p->bias[c] : 0;
            for (int32_t i = 0; i < p->in_c; ++i) {
                sum += (in[i] - p->in_zp) * weights[i];
            }
            const int32_t value = mh_requantize(sum, p->mult[c], p->shift[c]) + p->out_zp;
            *out++ = (int8_t)mh_clamp(value, p->lo, p->hi);
            weights += p->in_c;
        }
        in += p->in_c;
    }
    return MH_OK;
}
