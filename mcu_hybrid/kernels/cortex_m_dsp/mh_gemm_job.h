/* What the C of the matrix kernels hands to their assembly; both include it. Not part of the API.
 */
#ifndef MH_GEMM_JOB_H
#define MH_GEMM_JOB_H

#include "mh_asm.h"

#define MH_GEMM_JOB_COLUMN 0
#define MH_GEMM_JOB_PAIRS 4
#define MH_GEMM_JOB_STRIDE 8
#define MH_GEMM_JOB_ENTRY 12
#define MH_GEMM_JOB_TAIL 16
#define MH_GEMM_JOB_LAST 20
#define MH_GEMM_JOB_STREAM 24
#define MH_GEMM_JOB_END 28
#define MH_GEMM_JOB_ALL                                                                            \
    MH_GEMM_JOB_COLUMN, MH_GEMM_JOB_PAIRS, MH_GEMM_JOB_STRIDE, MH_GEMM_JOB_ENTRY,                  \
        MH_GEMM_JOB_TAIL, MH_GEMM_JOB_LAST, MH_GEMM_JOB_STREAM, MH_GEMM_JOB_END

#define MH_ROWS_AT 0
#define MH_ROWS_GAP 12

/* Unrolled steps of the loops, and the bytes of code of one: C enters them in their middle. A step
 * is 17 instructions (double steps: 14) and the loop's end 2, so 8 steps lose 1.5 % to it, 2 lose
 * 6 % and save 408 bytes in each function. All instructions have 4 bytes, whatever their registers.
 */
#define MH_STEPS3 8
#define MH_STEPS3_SMALL 2 /* of the _small functions, where code counts for more */
#define MH_BYTES3 68
#define MH_STEPS1 4 /* double steps: 3.5 % to the loop's end; layers of one pixel are few */
#define MH_BYTES1 56

#ifndef __ASSEMBLER__

#include <stdint.h>

typedef struct {
    const uint32_t *column; /* int16 inputs; those of three pixels alternate word by word */
    int32_t pairs;
    int32_t stride; /* three pixels: bytes from pixel to pixel; one pixel: the params' shift */
    mh_code entry;  /* where to go after the first step */
    mh_code tail;   /* what ends a pair: requantise, store, go to the next pair */
    union {
        int32_t zero_point; /* three pixels: the params' shift */
        mh_code entry_even; /* one pixel: where to go with an even number of steps left */
    } last;
    const uint32_t *stream;
    const uint32_t *end; /* of the column */
} mh_gemm_job;

MH_FIELD(mh_gemm_job, column, MH_GEMM_JOB_COLUMN);
MH_FIELD(mh_gemm_job, pairs, MH_GEMM_JOB_PAIRS);
MH_FIELD(mh_gemm_job, stride, MH_GEMM_JOB_STRIDE);
MH_FIELD(mh_gemm_job, entry, MH_GEMM_JOB_ENTRY);
MH_FIELD(mh_gemm_job, tail, MH_GEMM_JOB_TAIL);
MH_FIELD(mh_gemm_job, last, MH_GEMM_JOB_LAST);
MH_FIELD(mh_gemm_job, stream, MH_GEMM_JOB_STREAM);
MH_FIELD(mh_gemm_job, end, MH_GEMM_JOB_END);

/* Where rows of bytes of three pixels begin, and the bytes from the end of one row to the beginning
 * of the next. */
typedef struct {
    const int8_t *at[3];
    int32_t gap[3];
} mh_rows;

MH_FIELD(mh_rows, at, MH_ROWS_AT);
MH_FIELD(mh_rows, gap, MH_ROWS_GAP);

#endif
#endif
