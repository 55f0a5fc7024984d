/* What the C of the depthwise kernels hands to the assembly that gathers planes, and to that of any
 * window; both include it. Not part of the API. */
#ifndef MH_DW_JOB_H
#define MH_DW_JOB_H

#include "mh_asm.h"

#define MH_GATHER_JOB_SRC 0
#define MH_GATHER_JOB_PIXEL_BYTES 4
#define MH_GATHER_JOB_DST 8
#define MH_GATHER_JOB_OFFSET 12
#define MH_GATHER_JOB_LEAD 16
#define MH_GATHER_JOB_PADDING 20
#define MH_GATHER_JOB_QUAD_BYTES 24
#define MH_GATHER_JOB_TAIL 28
#define MH_GATHER_JOB_SRC_STEP 32
#define MH_GATHER_JOB_DST_STEP 36
#define MH_GATHER_JOB_ROWS 40
#define MH_GATHER_JOB_READ                                                                         \
    MH_GATHER_JOB_SRC, MH_GATHER_JOB_PIXEL_BYTES, MH_GATHER_JOB_DST, MH_GATHER_JOB_OFFSET,         \
        MH_GATHER_JOB_LEAD, MH_GATHER_JOB_PADDING, MH_GATHER_JOB_QUAD_BYTES, MH_GATHER_JOB_TAIL,   \
        MH_GATHER_JOB_SRC_STEP, MH_GATHER_JOB_DST_STEP, MH_GATHER_JOB_ROWS

#define MH_DW_WINDOW_JOB_IN 0
#define MH_DW_WINDOW_JOB_WEIGHTS 4
#define MH_DW_WINDOW_JOB_IN_STEP 8
#define MH_DW_WINDOW_JOB_WEIGHTS_STEP 12
#define MH_DW_WINDOW_JOB_COLUMNS 16
#define MH_DW_WINDOW_JOB_ROWS 20
#define MH_DW_WINDOW_JOB_LOADED                                                                    \
    MH_DW_WINDOW_JOB_IN, MH_DW_WINDOW_JOB_WEIGHTS, MH_DW_WINDOW_JOB_IN_STEP,                       \
        MH_DW_WINDOW_JOB_WEIGHTS_STEP, MH_DW_WINDOW_JOB_COLUMNS, MH_DW_WINDOW_JOB_ROWS
#define MH_DW_WINDOW_JOB_IN_SKIP 24
#define MH_DW_WINDOW_JOB_WEIGHTS_SKIP 28
#define MH_DW_WINDOW_JOB_OFFSET 32

#ifndef __ASSEMBLER__

#include <stdint.h>

/* A row of four channels goes to four planes: first a word of padding and one pixel (lead), then
 * quads of pixels, then 0 to 3 more (tail, the last alone with padding). */
typedef struct {
    const int8_t *src;
    int32_t pixel_bytes;
    uint32_t *dst;
    uint32_t offset;  /* added to the values: int16 twice */
    int32_t lead;     /* 0 or 1 */
    uint32_t padding; /* four times the input's zero point */
    int32_t quad_bytes;
    int32_t tail;
    int32_t src_step; /* from behind the last pixel that was stepped over to the next row */
    int32_t dst_step;
    int32_t rows;
    int32_t dst_skip; /* whole words of padding before a row; not read by the assembly */
} mh_gather_job;

MH_FIELD(mh_gather_job, src, MH_GATHER_JOB_SRC);
MH_FIELD(mh_gather_job, pixel_bytes, MH_GATHER_JOB_PIXEL_BYTES);
MH_FIELD(mh_gather_job, dst, MH_GATHER_JOB_DST);
MH_FIELD(mh_gather_job, offset, MH_GATHER_JOB_OFFSET);
MH_FIELD(mh_gather_job, lead, MH_GATHER_JOB_LEAD);
MH_FIELD(mh_gather_job, padding, MH_GATHER_JOB_PADDING);
MH_FIELD(mh_gather_job, quad_bytes, MH_GATHER_JOB_QUAD_BYTES);
MH_FIELD(mh_gather_job, tail, MH_GATHER_JOB_TAIL);
MH_FIELD(mh_gather_job, src_step, MH_GATHER_JOB_SRC_STEP);
MH_FIELD(mh_gather_job, dst_step, MH_GATHER_JOB_DST_STEP);
MH_FIELD(mh_gather_job, rows, MH_GATHER_JOB_ROWS);

/* Four channels of one window. */
typedef struct {
    const int8_t *in, *weights;
    int32_t in_step, weights_step; /* from column to column */
    int32_t columns, rows;         /* inside the map, at least 1 */
    int32_t in_skip, weights_skip; /* from behind the last column to the next row */
    uint32_t offset;               /* minus the zero point, twice */
} mh_dw_window_job;

MH_FIELD(mh_dw_window_job, in, MH_DW_WINDOW_JOB_IN);
MH_FIELD(mh_dw_window_job, weights, MH_DW_WINDOW_JOB_WEIGHTS);
MH_FIELD(mh_dw_window_job, in_step, MH_DW_WINDOW_JOB_IN_STEP);
MH_FIELD(mh_dw_window_job, weights_step, MH_DW_WINDOW_JOB_WEIGHTS_STEP);
MH_FIELD(mh_dw_window_job, columns, MH_DW_WINDOW_JOB_COLUMNS);
MH_FIELD(mh_dw_window_job, rows, MH_DW_WINDOW_JOB_ROWS);
MH_FIELD(mh_dw_window_job, in_skip, MH_DW_WINDOW_JOB_IN_SKIP);
MH_FIELD(mh_dw_window_job, weights_skip, MH_DW_WINDOW_JOB_WEIGHTS_SKIP);
MH_FIELD(mh_dw_window_job, offset, MH_DW_WINDOW_JOB_OFFSET);

#endif
#endif
