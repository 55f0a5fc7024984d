/* What the C of the plain matrix kernels hands to their assembly; both include it. Not part of the
 * API. */
#ifndef MH_PLAIN_JOB_H
#define MH_PLAIN_JOB_H

#include "mh_asm.h"

#define MH_PLAIN_JOB_X0 0
#define MH_PLAIN_JOB_X1 4
#define MH_PLAIN_JOB_WEIGHTS 8
#define MH_PLAIN_JOB_GROUP_BYTES 12
#define MH_PLAIN_JOB_CONSTANTS 16
#define MH_PLAIN_JOB_OUT 20
#define MH_PLAIN_JOB_TO_SECOND 24
#define MH_PLAIN_JOB_GROUPS 28
#define MH_PLAIN_JOB_FORM 32
#define MH_PLAIN_JOB_ALL                                                                           \
    MH_PLAIN_JOB_X0, MH_PLAIN_JOB_X1, MH_PLAIN_JOB_WEIGHTS, MH_PLAIN_JOB_GROUP_BYTES,              \
        MH_PLAIN_JOB_CONSTANTS, MH_PLAIN_JOB_OUT, MH_PLAIN_JOB_TO_SECOND, MH_PLAIN_JOB_GROUPS,     \
        MH_PLAIN_JOB_FORM

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
} mh_plain_job;

MH_FIELD(mh_plain_job, x0, MH_PLAIN_JOB_X0);
MH_FIELD(mh_plain_job, x1, MH_PLAIN_JOB_X1);
MH_FIELD(mh_plain_job, weights, MH_PLAIN_JOB_WEIGHTS);
MH_FIELD(mh_plain_job, group_bytes, MH_PLAIN_JOB_GROUP_BYTES);
MH_FIELD(mh_plain_job, constants, MH_PLAIN_JOB_CONSTANTS);
MH_FIELD(mh_plain_job, out, MH_PLAIN_JOB_OUT);
MH_FIELD(mh_plain_job, to_second, MH_PLAIN_JOB_TO_SECOND);
MH_FIELD(mh_plain_job, groups, MH_PLAIN_JOB_GROUPS);
MH_FIELD(mh_plain_job, form, MH_PLAIN_JOB_FORM);

#endif
#endif
