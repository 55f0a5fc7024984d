/* What the C of the MVE matrix kernels hands to their assembly; both include it. Not part of the
 * API. */
#ifndef MH_MVE_JOB_H
#define MH_MVE_JOB_H

#include "mh_asm.h"

#define MH_MVE_JOB_END 0
#define MH_MVE_JOB_PASSES 4
#define MH_MVE_JOB_PIXEL 8
#define MH_MVE_JOB_SECOND 12
#define MH_MVE_JOB_BLOCKS 16
#define MH_MVE_JOB_STREAM 20
#define MH_MVE_JOB_OUT_C 24
#define MH_MVE_JOB_PIXEL_BYTES 28
#define MH_MVE_JOB_PIXELS 32
#define MH_MVE_JOB_OUT 36
#define MH_MVE_JOB_GROUP_BYTES 40
#define MH_MVE_JOB_ZP 44
#define MH_MVE_JOB_BYTES 48
#define MH_MVE_JOB_ALL                                                                             \
    MH_MVE_JOB_END, MH_MVE_JOB_PASSES, MH_MVE_JOB_PIXEL, MH_MVE_JOB_SECOND, MH_MVE_JOB_BLOCKS,     \
        MH_MVE_JOB_STREAM, MH_MVE_JOB_OUT_C, MH_MVE_JOB_PIXEL_BYTES, MH_MVE_JOB_PIXELS,            \
        MH_MVE_JOB_OUT, MH_MVE_JOB_GROUP_BYTES, MH_MVE_JOB_ZP

#ifndef __ASSEMBLER__

#include <stdint.h>

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

MH_FIELD(mh_mve_job, end, MH_MVE_JOB_END);
MH_FIELD(mh_mve_job, passes, MH_MVE_JOB_PASSES);
MH_FIELD(mh_mve_job, pixel, MH_MVE_JOB_PIXEL);
MH_FIELD(mh_mve_job, second, MH_MVE_JOB_SECOND);
MH_FIELD(mh_mve_job, blocks, MH_MVE_JOB_BLOCKS);
MH_FIELD(mh_mve_job, stream, MH_MVE_JOB_STREAM);
MH_FIELD(mh_mve_job, out_c, MH_MVE_JOB_OUT_C);
MH_FIELD(mh_mve_job, pixel_bytes, MH_MVE_JOB_PIXEL_BYTES);
MH_FIELD(mh_mve_job, pixels, MH_MVE_JOB_PIXELS);
MH_FIELD(mh_mve_job, out, MH_MVE_JOB_OUT);
MH_FIELD(mh_mve_job, group_bytes, MH_MVE_JOB_GROUP_BYTES);
MH_FIELD(mh_mve_job, zp, MH_MVE_JOB_ZP);
MH_SIZE(mh_mve_job, MH_MVE_JOB_BYTES);

#endif
#endif
