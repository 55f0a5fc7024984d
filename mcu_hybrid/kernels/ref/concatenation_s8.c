/* CONCATENATION int8 along any axis. */
#include <string.h>

#include "mh_nn_elementwise.h"

mh_status mh_concatenation_s8(const mh_concatenation_params *p, const int8_t *const *ins,
                              int8_t *out, void *scratch)
{
    (void)scratch;
    for (int32_t k = 0; k < p->outer; ++k) {
        for (int32_t i = 0; i < p->inputs; ++i) {
            const int32_t run = p->runs[i];
            memcpy(out, ins[i] + k * run, (size_t)run);
            out += run;
        }
    }
    return MH_OK;
}
