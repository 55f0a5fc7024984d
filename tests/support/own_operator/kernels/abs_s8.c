/* ABS int8, see absolute.py. */
#include "abs_s8.h"

mh_status mh_own_abs_s8(const own_abs_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    (void)scratch;
    for (int32_t i = 0; i < p->size; ++i) {
        const int32_t value = in[i] - p->in_zp;
        const int32_t size = value < 0 ? -value : value;
        const int32_t scaled = mh_requantize(size, p->mult, p->shift) + p->out_zp;
        out[i] = (int8_t)mh_clamp(scaled, -128, 127);
    }
    return MH_OK;
}
