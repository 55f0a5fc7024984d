/* What the C of the MVE depthwise kernels hands to their assembly; both include it. Not part of the
 * API. */
#ifndef MH_MVE_PLANES_JOB_H
#define MH_MVE_PLANES_JOB_H

#include "mh_asm.h"

#define MH_MVE_PLANES_JOB_STREAM 0
#define MH_MVE_PLANES_JOB_PLANE 4
#define MH_MVE_PLANES_JOB_OUT 8
#define MH_MVE_PLANES_JOB_WEIGHT_BYTES 12
#define MH_MVE_PLANES_JOB_PLANE_BYTES 16
#define MH_MVE_PLANES_JOB_CHUNKS 20
#define MH_MVE_PLANES_JOB_FIRST_MASK 24
#define MH_MVE_PLANES_JOB_LAST_MASK 28
#define MH_MVE_PLANES_JOB_HEAD                                                                     \
    MH_MVE_PLANES_JOB_STREAM, MH_MVE_PLANES_JOB_PLANE, MH_MVE_PLANES_JOB_OUT,                      \
        MH_MVE_PLANES_JOB_WEIGHT_BYTES, MH_MVE_PLANES_JOB_PLANE_BYTES, MH_MVE_PLANES_JOB_CHUNKS,   \
        MH_MVE_PLANES_JOB_FIRST_MASK, MH_MVE_PLANES_JOB_LAST_MASK
#define MH_MVE_PLANES_JOB_CHANNELS 32
#define MH_MVE_PLANES_JOB_STEP 36
#define MH_MVE_PLANES_JOB_OUT_STEP 40
#define MH_MVE_PLANES_JOB_ZP 44
#define MH_MVE_PLANES_JOB_LANES 48
#define MH_MVE_PLANES_JOB_PLACES 52
#define MH_MVE_PLANES_JOB_BYTES 56

#ifndef __ASSEMBLER__

#include <stdint.h>

typedef struct {
    const uint32_t *stream;
    const int8_t *plane;
    int8_t *out;
    int32_t weight_bytes;
    int32_t plane_bytes; /* from channel to channel; 0: all see the same plane */
    int32_t chunks;      /* of 8 outputs, but for the last */
    uint32_t first_mask, last_mask;
    int32_t channels;
    int32_t step;     /* from column to column of outputs, in the plane */
    int32_t out_step; /* from chunk to chunk */
    int32_t zp;
    const uint8_t *lanes;
    const uint16_t *places; /* where the outputs of a chunk go */
} mh_mve_planes_job;

MH_FIELD(mh_mve_planes_job, stream, MH_MVE_PLANES_JOB_STREAM);
MH_FIELD(mh_mve_planes_job, plane, MH_MVE_PLANES_JOB_PLANE);
MH_FIELD(mh_mve_planes_job, out, MH_MVE_PLANES_JOB_OUT);
MH_FIELD(mh_mve_planes_job, weight_bytes, MH_MVE_PLANES_JOB_WEIGHT_BYTES);
MH_FIELD(mh_mve_planes_job, plane_bytes, MH_MVE_PLANES_JOB_PLANE_BYTES);
MH_FIELD(mh_mve_planes_job, chunks, MH_MVE_PLANES_JOB_CHUNKS);
MH_FIELD(mh_mve_planes_job, first_mask, MH_MVE_PLANES_JOB_FIRST_MASK);
MH_FIELD(mh_mve_planes_job, last_mask, MH_MVE_PLANES_JOB_LAST_MASK);
MH_FIELD(mh_mve_planes_job, channels, MH_MVE_PLANES_JOB_CHANNELS);
MH_FIELD(mh_mve_planes_job, step, MH_MVE_PLANES_JOB_STEP);
MH_FIELD(mh_mve_planes_job, out_step, MH_MVE_PLANES_JOB_OUT_STEP);
MH_FIELD(mh_mve_planes_job, zp, MH_MVE_PLANES_JOB_ZP);
MH_FIELD(mh_mve_planes_job, lanes, MH_MVE_PLANES_JOB_LANES);
MH_FIELD(mh_mve_planes_job, places, MH_MVE_PLANES_JOB_PLACES);
MH_SIZE(mh_mve_planes_job, MH_MVE_PLANES_JOB_BYTES);

#endif
#endif
