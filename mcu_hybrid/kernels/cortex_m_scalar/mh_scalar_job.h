/* What the C of the scalar matrix kernels hands to their assembly; both include it. Not part of the
 * API. */
#ifndef MH_SCALAR_JOB_H
#define MH_SCALAR_JOB_H

#include "mh_asm.h"

#define MH_SCALAR_JOB_X0 0
#define MH_SCALAR_JOB_X1 4
#define MH_SCALAR_JOB_WEIGHTS 8
#define MH_SCALAR_JOB_GROUP_BYTES 12
#define MH_SCALAR_JOB_CONSTANTS 16
#define MH_SCALAR_JOB_OUT 20
#define MH_SCALAR_JOB_TO_SECOND 24
#define MH_SCALAR_JOB_GROUPS 28
#define MH_SCALAR_JOB_FORM 32
#define MH_SCALAR_JOB_ALL                                                                          \
    MH_SCALAR_JOB_X0, MH_SCALAR_JOB_X1, MH_SCALAR_JOB_WEIGHTS, MH_SCALAR_JOB_GROUP_BYTES,          \
        MH_SCALAR_JOB_CONSTANTS, MH_SCALAR_JOB_OUT, MH_SCALAR_JOB_TO_SECOND, MH_SCALAR_JOB_GROUPS, \
        MH_SCALAR_JOB_FORM

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Whole groups of 4 channels of two pixels, requantised. */
typedef struct {
    const int8_t *x0, *x1;
    const int8_t *weights;
    int32_t group_bytes; /* of weights */
    const int32_t *constants;
    int8_t *out;
    int32_t to_second; /* from behind a byte of pixel 0 to that of pixel 1 */
    int32_t groups;    /* 1 or more */
    int32_t form;
} mh_scalar_job;

MH_FIELD(mh_scalar_job, x0, MH_SCALAR_JOB_X0);
MH_FIELD(mh_scalar_job, x1, MH_SCALAR_JOB_X1);
MH_FIELD(mh_scalar_job, weights, MH_SCALAR_JOB_WEIGHTS);
MH_FIELD(mh_scalar_job, group_bytes, MH_SCALAR_JOB_GROUP_BYTES);
MH_FIELD(mh_scalar_job, constants, MH_SCALAR_JOB_CONSTANTS);
MH_FIELD(mh_scalar_job, out, MH_SCALAR_JOB_OUT);
MH_FIELD(mh_scalar_job, to_second, MH_SCALAR_JOB_TO_SECOND);
MH_FIELD(mh_scalar_job, groups, MH_SCALAR_JOB_GROUPS);
MH_FIELD(mh_scalar_job, form, MH_SCALAR_JOB_FORM);

#endif
#endif
