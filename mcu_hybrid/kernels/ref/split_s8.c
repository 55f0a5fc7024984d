/* SPLIT and SPLIT_V int8 along any axis. */
#include <string.h>

#include "mh_nn_elementwise.h"

mh_status mh_split_s8(const mh_split_params *p, const int8_t *in, int8_t *const *outs,
                      void *scratch)
{
    (void)scratch;
    for (int32_t k = 0; k < p->outer; ++k) {
        for (int32_t i = 0; i < p->outputs; ++i) {
            const int32_t run = p->runs[i];
            memcpy(outs[i] + k * run, in, (size_t)run);
            in += run;
        }
    }
    return MH_OK;
}
