/* Bounds tighter than int8, in place; not part of the API. */
#ifndef MH_BOUND_H
#define MH_BOUND_H

#include "mh_types.h"

/* Weak: linked only where a layer has such bounds (codegen adds bound_s8 to that layer's call). */
__attribute__((weak)) void mh_bound_s8(int8_t *out, int32_t bytes, int32_t lo, int32_t hi);

static inline void mh_bound(int8_t *out, int32_t bytes, int32_t lo, int32_t hi)
{
    if (lo > INT8_MIN || hi < INT8_MAX) {
        mh_bound_s8(out, bytes, lo, hi);
    }
}

#endif
