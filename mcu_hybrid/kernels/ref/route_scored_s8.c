/* Route features, and behind their three scores those of the user's own mechanisms. */
#include "mh_nn_route.h"

mh_status mh_route_scored_s8(const mh_route_features_params *p, const int8_t *in, int8_t *out0,
                             void *out1, void *scratch)
{
    const mh_status status = mh_route_features_s8(p, in, out0, out1, scratch);
    if (status != MH_OK) {
        return status;
    }
    int32_t *others = (int32_t *)out1 + MH_ROUTE_SCORES;
    for (int32_t i = 0; i < mh_route_other_count; i++) {
        others[i] = mh_route_others[i](in, p->classes, p->scale_q24);
    }
    return MH_OK;
}
