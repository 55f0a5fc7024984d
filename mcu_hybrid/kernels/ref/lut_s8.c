/* Functions of one byte: LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, RELU, RELU6, QUANTIZE. The table
 * is exact by construction, and one load per element is as fast as it gets. */
#include "mh_nn_elementwise.h"

mh_status mh_lut_s8(const mh_lut_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    (void)scratch;
    for (int32_t i = 0; i < p->size; ++i) {
        out[i] = p->table[(uint8_t)in[i]];
    }
    return MH_OK;
}
