/* What the C of ADD, MUL and the pools hands to their assembly; both include it. Not part of the
 * API. */
#ifndef MH_EW_JOB_H
#define MH_EW_JOB_H

#include "mh_asm.h"

#define MH_ADD_JOB_A 0
#define MH_ADD_JOB_B 4
#define MH_ADD_JOB_OUT 8
#define MH_ADD_JOB_A_MUL 12
#define MH_ADD_JOB_B_MUL 16
#define MH_ADD_JOB_START 20
#define MH_ADD_JOB_ALL                                                                             \
    MH_ADD_JOB_A, MH_ADD_JOB_B, MH_ADD_JOB_OUT, MH_ADD_JOB_A_MUL, MH_ADD_JOB_B_MUL, MH_ADD_JOB_START

#define MH_MUL_JOB_A 0
#define MH_MUL_JOB_B 4
#define MH_MUL_JOB_OUT 8
#define MH_MUL_JOB_A_OFFSETS 12
#define MH_MUL_JOB_B_OFFSETS 16
#define MH_MUL_JOB_MULT 20
#define MH_MUL_JOB_ADDEND 24
#define MH_MUL_JOB_RIGHT 28
#define MH_MUL_JOB_ALL                                                                             \
    MH_MUL_JOB_A, MH_MUL_JOB_B, MH_MUL_JOB_OUT, MH_MUL_JOB_A_OFFSETS, MH_MUL_JOB_B_OFFSETS,        \
        MH_MUL_JOB_MULT, MH_MUL_JOB_ADDEND, MH_MUL_JOB_RIGHT

#define MH_POOL_WINDOW_IN 0
#define MH_POOL_WINDOW_STEP 4
#define MH_POOL_WINDOW_COLUMNS 8
#define MH_POOL_WINDOW_ROW_SKIP 12
#define MH_POOL_WINDOW_ROWS 16
#define MH_POOL_WINDOW_ALL                                                                         \
    MH_POOL_WINDOW_IN, MH_POOL_WINDOW_STEP, MH_POOL_WINDOW_COLUMNS, MH_POOL_WINDOW_ROW_SKIP,       \
        MH_POOL_WINDOW_ROWS

#ifndef __ASSEMBLER__

#include <stdint.h>

typedef struct {
    const int8_t *a, *b;
    int8_t *out;
    int32_t a_mul, b_mul, start;
} mh_add_job;

MH_FIELD(mh_add_job, a, MH_ADD_JOB_A);
MH_FIELD(mh_add_job, b, MH_ADD_JOB_B);
MH_FIELD(mh_add_job, out, MH_ADD_JOB_OUT);
MH_FIELD(mh_add_job, a_mul, MH_ADD_JOB_A_MUL);
MH_FIELD(mh_add_job, b_mul, MH_ADD_JOB_B_MUL);
MH_FIELD(mh_add_job, start, MH_ADD_JOB_START);

typedef struct {
    const int8_t *a, *b;
    int8_t *out;
    uint32_t a_offsets, b_offsets; /* int16 twice */
    int32_t mult, addend, right;
} mh_mul_job;

MH_FIELD(mh_mul_job, a, MH_MUL_JOB_A);
MH_FIELD(mh_mul_job, b, MH_MUL_JOB_B);
MH_FIELD(mh_mul_job, out, MH_MUL_JOB_OUT);
MH_FIELD(mh_mul_job, a_offsets, MH_MUL_JOB_A_OFFSETS);
MH_FIELD(mh_mul_job, b_offsets, MH_MUL_JOB_B_OFFSETS);
MH_FIELD(mh_mul_job, mult, MH_MUL_JOB_MULT);
MH_FIELD(mh_mul_job, addend, MH_MUL_JOB_ADDEND);
MH_FIELD(mh_mul_job, right, MH_MUL_JOB_RIGHT);

/* The pixels of a window, or of any sum. */
typedef struct {
    const int8_t *in;
    int32_t step;     /* bytes from pixel to pixel */
    int32_t columns;  /* at least 1 */
    int32_t row_skip; /* bytes from behind the last pixel of a row to the next row */
    int32_t rows;     /* at least 1 */
} mh_pool_window;

MH_FIELD(mh_pool_window, in, MH_POOL_WINDOW_IN);
MH_FIELD(mh_pool_window, step, MH_POOL_WINDOW_STEP);
MH_FIELD(mh_pool_window, columns, MH_POOL_WINDOW_COLUMNS);
MH_FIELD(mh_pool_window, row_skip, MH_POOL_WINDOW_ROW_SKIP);
MH_FIELD(mh_pool_window, rows, MH_POOL_WINDOW_ROWS);

#endif
#endif
