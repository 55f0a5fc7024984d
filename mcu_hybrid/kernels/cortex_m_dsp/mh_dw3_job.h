/* What the C of the 3x3 depthwise kernels hands to their assembly; both include it. Not part of the
 * API. */
#ifndef MH_DW3_JOB_H
#define MH_DW3_JOB_H

#include "mh_asm.h"

#define MH_DW3_JOB_IS_ODD 0
#define MH_DW3_JOB_IN_STEP 4
#define MH_DW3_JOB_OUT_SKIP 8
#define MH_DW3_JOB_IN_END 12
#define MH_DW3_JOB_MUL 16
#define MH_DW3_JOB_OUT_C 20
#define MH_DW3_JOB_IN 24
#define MH_DW3_JOB_OUT 28
#define MH_DW3_JOB_STREAM 32
#define MH_DW3_JOB_PAIR_BYTES 36
#define MH_DW3_JOB_CHANNELS 40
#define MH_DW3_JOB_PLANE_STEP 44
#define MH_DW3_JOB_ENTRY 48
#define MH_DW3_JOB_ALL                                                                             \
    MH_DW3_JOB_IS_ODD, MH_DW3_JOB_IN_STEP, MH_DW3_JOB_OUT_SKIP, MH_DW3_JOB_IN_END, MH_DW3_JOB_MUL, \
        MH_DW3_JOB_OUT_C, MH_DW3_JOB_IN, MH_DW3_JOB_OUT, MH_DW3_JOB_STREAM, MH_DW3_JOB_PAIR_BYTES, \
        MH_DW3_JOB_CHANNELS, MH_DW3_JOB_PLANE_STEP, MH_DW3_JOB_ENTRY

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Some channels of a strip; the assembly copies it to its frame. */
typedef struct {
    int32_t is_odd;   /* rows end with a single output */
    int32_t in_step;  /* from the last pair of a row to the next row */
    int32_t out_skip; /* the same in the output */
    const uint8_t *in_end;
    int32_t mul; /* the assembly's */
    int32_t out_c;
    const uint8_t *in;
    int8_t *out;
    const uint32_t *stream;
    int32_t pair_bytes; /* all pairs of a row, in the planes */
    int32_t channels;
    int32_t plane_step; /* from channel to channel */
    mh_code entry;      /* of the loop over pairs, which is unrolled twice */
} mh_dw3_job;

MH_FIELD(mh_dw3_job, is_odd, MH_DW3_JOB_IS_ODD);
MH_FIELD(mh_dw3_job, in_step, MH_DW3_JOB_IN_STEP);
MH_FIELD(mh_dw3_job, out_skip, MH_DW3_JOB_OUT_SKIP);
MH_FIELD(mh_dw3_job, in_end, MH_DW3_JOB_IN_END);
MH_FIELD(mh_dw3_job, mul, MH_DW3_JOB_MUL);
MH_FIELD(mh_dw3_job, out_c, MH_DW3_JOB_OUT_C);
MH_FIELD(mh_dw3_job, in, MH_DW3_JOB_IN);
MH_FIELD(mh_dw3_job, out, MH_DW3_JOB_OUT);
MH_FIELD(mh_dw3_job, stream, MH_DW3_JOB_STREAM);
MH_FIELD(mh_dw3_job, pair_bytes, MH_DW3_JOB_PAIR_BYTES);
MH_FIELD(mh_dw3_job, channels, MH_DW3_JOB_CHANNELS);
MH_FIELD(mh_dw3_job, plane_step, MH_DW3_JOB_PLANE_STEP);
MH_FIELD(mh_dw3_job, entry, MH_DW3_JOB_ENTRY);

#endif
#endif
