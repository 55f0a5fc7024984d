/* Shared by the MVE kernels; not part of the API. */
#ifndef MH_MVE_H
#define MH_MVE_H

#include "mh_mve_job.h"
#include "mh_nn_mve.h"

typedef void (*mh_mve_start)(const mh_mve_job *job);

typedef struct {
    mh_mve_start pairs, singles;
} mh_mve_tile;

#define MH_MVE_TILE_DECLARE(form, tail) extern const mh_mve_tile mh_mve_tile_##form##tail;
MH_MVE_FORMS(MH_MVE_TILE_DECLARE)
#undef MH_MVE_TILE_DECLARE

/* Multiply pixels that lie pixel_bytes apart; writes pixels * out_c bytes. */
void mh_mve_multiply(const mh_mve_tile *tile, const mh_mve_matrix_params *p, const int8_t *in,
                     int32_t pixel_bytes, int8_t *out, int32_t pixels);

/* Bounds tighter than int8, in place. */
void mh_mve_clamp(int8_t *out, int32_t bytes, int32_t lo, int32_t hi);

void mh_mve_fill(int8_t *to, int32_t bytes, int32_t value);

#endif
