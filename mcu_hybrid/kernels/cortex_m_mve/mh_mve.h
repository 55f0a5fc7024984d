/* Shared by the MVE kernels; not part of the API. */
#ifndef MH_MVE_H
#define MH_MVE_H

#include "mh_mve_job.h"
#include "mh_nn_mve.h"

typedef void (*mh_mve_start)(const mh_mve_job *job);

/* The tile of two pixels and that of one, which requantise. */
struct mh_mve_form {
    mh_mve_start pairs, singles;
};

/* Multiply pixels that lie pixel_bytes apart; writes pixels * out_c bytes. */
void mh_mve_multiply(const mh_mve_matrix_params *p, const int8_t *in, int32_t pixel_bytes,
                     int8_t *out, int32_t pixels);

/* Bounds tighter than int8, in place. */
void mh_mve_clamp(int8_t *out, int32_t bytes, int32_t lo, int32_t hi);

void mh_mve_fill(int8_t *to, int32_t bytes, int32_t value);

#endif
