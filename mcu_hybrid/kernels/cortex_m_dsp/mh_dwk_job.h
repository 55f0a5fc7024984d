/* What the C of the Kronecker-packed depthwise kernels hands to their assembly; both include it.
 * Not part of the API. */
#ifndef MH_DWK_JOB_H
#define MH_DWK_JOB_H

#include "mh_asm.h"

#define MH_DWK_ROW_IN 0
#define MH_DWK_ROW_WEIGHTS 4
#define MH_DWK_ROW_ENTRY 8
#define MH_DWK_ROW_WEIGHTS_END 12

#define MH_DWK_JOB_BEGIN 0
#define MH_DWK_JOB_MUL 24
#define MH_DWK_JOB_START 28
#define MH_DWK_JOB_OUT_C 32
#define MH_DWK_JOB_OUT 36
#define MH_DWK_JOB_ROW_STEP 40
#define MH_DWK_JOB_BEFORE 44
#define MH_DWK_JOB_CARRY 48
#define MH_DWK_JOB_ADDEND 52
#define MH_DWK_JOB_RIGHT 56
#define MH_DWK_JOB_LAST 60
#define MH_DWK_JOB_ROW 64
#define MH_DWK_JOB_TABLE 80
#define MH_DWK_JOB_ROWS 84
#define MH_DWK_JOB_OUT_ROW 88
#define MH_DWK_JOB_PLANE 92
#define MH_DWK_JOB_BLOCKS_LEFT 96
#define MH_DWK_JOB_BLOCKS 100
#define MH_DWK_JOB_UNUSED 104
#define MH_DWK_JOB_CHANNELS 108
#define MH_DWK_JOB_PLANE_STEP 112
#define MH_DWK_JOB_FIRST 116
#define MH_DWK_JOB_ALL_ROWS 120
#define MH_DWK_JOB_OUT_CHANNEL 124
#define MH_DWK_JOB_STREAM 128
#define MH_DWK_JOB_UNPACKED 132
#define MH_DWK_JOB_WORDS 136
#define MH_DWK_JOB_FILL 140
#define MH_DWK_JOB_BYTES 144

/* A row of one phase, four planes of 64 bytes: 32 inputs, wider maps go tile by tile. Twice as much
 * would halve the tiles' overlap, and take twice the scratch of narrow maps. Not tuned. */
#define MH_DWK_SEGMENT_BYTES 256

/* Segments are unrolled, and C enters them in their middle: so many, and bytes of code of one. The
 * loop's end is 3 instructions, a segment 7 to 16; windows of up to 4 segments are one turn. */
#define MH_DWK_UNROLLED 4
#define MH_DWK_WIDE2_CODE 36
#define MH_DWK_WIDE3_CODE 52
#define MH_DWK_WIDE4_CODE 64
#define MH_DWK_NARROW2_CODE 28
#define MH_DWK_NARROW3_CODE 40
#define MH_DWK_NARROW4_CODE 48

#ifndef __ASSEMBLER__

#include <stdint.h>

/* How an output row begins. */
typedef struct {
    const uint8_t *in; /* plane 0 */
    const uint32_t *weights;
    mh_code entry;
    const uint32_t *weights_end;
} mh_dwk_row;

MH_FIELD(mh_dwk_row, in, MH_DWK_ROW_IN);
MH_FIELD(mh_dwk_row, weights, MH_DWK_ROW_WEIGHTS);
MH_FIELD(mh_dwk_row, entry, MH_DWK_ROW_ENTRY);
MH_FIELD(mh_dwk_row, weights_end, MH_DWK_ROW_WEIGHTS_END);

/* Some channels of a strip; the assembly copies it to its frame. */
typedef struct {
    uint32_t begin[6]; /* what the three sums begin with */
    int32_t mul, start, out_c;
    int8_t *out; /* where the block's first output goes */
    int32_t row_step;
    int8_t *before; /* where the output before the block's first goes */
    int32_t carry, addend, right;
    int32_t last; /* outputs of the last block without the one before it: 0 .. 5 */
    mh_dwk_row row;
    const mh_dwk_row *table;
    int32_t rows;
    int8_t *out_row;
    int32_t plane; /* bytes to the channel's plane */
    int32_t blocks_left, blocks;
    uint32_t unused;
    int32_t channels, plane_step;
    const mh_dwk_row *first;
    int32_t all_rows;
    int8_t *out_channel;
    const uint32_t *stream;
    uint32_t *unpacked;
    int32_t words; /* of stream to unpack, even */
    int32_t fill;
} mh_dwk_job;

MH_FIELD(mh_dwk_job, begin, MH_DWK_JOB_BEGIN);
MH_FIELD(mh_dwk_job, mul, MH_DWK_JOB_MUL);
MH_FIELD(mh_dwk_job, start, MH_DWK_JOB_START);
MH_FIELD(mh_dwk_job, out_c, MH_DWK_JOB_OUT_C);
MH_FIELD(mh_dwk_job, out, MH_DWK_JOB_OUT);
MH_FIELD(mh_dwk_job, row_step, MH_DWK_JOB_ROW_STEP);
MH_FIELD(mh_dwk_job, before, MH_DWK_JOB_BEFORE);
MH_FIELD(mh_dwk_job, carry, MH_DWK_JOB_CARRY);
MH_FIELD(mh_dwk_job, addend, MH_DWK_JOB_ADDEND);
MH_FIELD(mh_dwk_job, right, MH_DWK_JOB_RIGHT);
MH_FIELD(mh_dwk_job, last, MH_DWK_JOB_LAST);
MH_FIELD(mh_dwk_job, row, MH_DWK_JOB_ROW);
MH_FIELD(mh_dwk_job, table, MH_DWK_JOB_TABLE);
MH_FIELD(mh_dwk_job, rows, MH_DWK_JOB_ROWS);
MH_FIELD(mh_dwk_job, out_row, MH_DWK_JOB_OUT_ROW);
MH_FIELD(mh_dwk_job, plane, MH_DWK_JOB_PLANE);
MH_FIELD(mh_dwk_job, blocks_left, MH_DWK_JOB_BLOCKS_LEFT);
MH_FIELD(mh_dwk_job, blocks, MH_DWK_JOB_BLOCKS);
MH_FIELD(mh_dwk_job, unused, MH_DWK_JOB_UNUSED);
MH_FIELD(mh_dwk_job, channels, MH_DWK_JOB_CHANNELS);
MH_FIELD(mh_dwk_job, plane_step, MH_DWK_JOB_PLANE_STEP);
MH_FIELD(mh_dwk_job, first, MH_DWK_JOB_FIRST);
MH_FIELD(mh_dwk_job, all_rows, MH_DWK_JOB_ALL_ROWS);
MH_FIELD(mh_dwk_job, out_channel, MH_DWK_JOB_OUT_CHANNEL);
MH_FIELD(mh_dwk_job, stream, MH_DWK_JOB_STREAM);
MH_FIELD(mh_dwk_job, unpacked, MH_DWK_JOB_UNPACKED);
MH_FIELD(mh_dwk_job, words, MH_DWK_JOB_WORDS);
MH_FIELD(mh_dwk_job, fill, MH_DWK_JOB_FILL);
MH_SIZE(mh_dwk_job, MH_DWK_JOB_BYTES);

#endif
#endif
