/* ABS int8: out = clamp(requantize(|in - in_zp|) + out_zp). */
#ifndef ABS_S8_H
#define ABS_S8_H

#include "mh_types.h"

typedef struct {
    int32_t size;
    int32_t in_zp;
    int32_t out_zp;
    int32_t mult;
    int32_t shift;
} own_abs_params;

mh_status mh_own_abs_s8(const own_abs_params *p, const int8_t *in, int8_t *out, void *scratch);

#endif
