/* Shared by the MVE kernels; not part of the API. */
#ifndef MH_MVE_H
#define MH_MVE_H

#include "mh_nn_mve.h"

/* Read by the assembly: the order of the fields is fixed. */
typedef struct {
    const int8_t *end; /* of the first pixel's outputs, whole groups of four channels only */
    int32_t passes;    /* through the four unrolled blocks */
    const int8_t *pixel;
    const int8_t *second;
    int32_t blocks;
    const uint32_t *stream;
    int32_t out_c;
    int32_t pixel_bytes;
    int32_t pixels; /* an even number: pairs; any: singles */
    int8_t *out;
    int32_t group_bytes; /* bytes of outputs in whole groups */
    int32_t zp;
} mh_mve_job;

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
