/* clang-format off */
/* The parts of depthwise_kronecker_s8.S: segments, the fields of their sums, and channels. The
 * arithmetic is explained in depthwise_kronecker_s8.c.
 *
 *   r0            in: a segment's inputs
 *   r1            weights of the segment
 *   r2 r3         words of weights
 *   r4-r9         three sums of 64 bits
 *   r10-r12 lr    words of inputs
 *
 * After the segments r0-r3 hold mul, start, the output's channels and out.
 */
#ifndef MH_DWK_ASM_H
#define MH_DWK_ASM_H

#include "mh_dwk_job.h"

/* The frame is a copy of the job. */
#define FRAME(field) MH_DWK_JOB_##field
#define FRAME_ROW(field) (MH_DWK_JOB_ROW + MH_DWK_ROW_##field)
#define FRAME_BYTES MH_DWK_JOB_BYTES

/* Products of a word of weights with inputs at three places, or at two. */
.macro AT3 w, a, b, c
    smlal r4, r5, \a, \w; smlal r6, r7, \b, \w; smlal r8, r9, \c, \w
.endm
.macro AT2 w, a, b
    smlal r4, r5, \a, \w; smlal r6, r7, \b, \w
.endm

/* Segments of 2, 3 or 4 words: for rows of any width and of 5 (WIDE), and for rows of 3, which need
 * two places (NARROW). All instructions have 4 bytes, for the loop is entered in its middle. */
.macro WIDE2
    ldrd r2, r3, [r1], #8
    ldrd r10, r11, [r0], #8
    ldrd r12, lr, [r0], #(MH_DWK_SEGMENT_BYTES - 8)
    AT3 r2, r10, r11, r12
    AT3 r3, r11, r12, lr
.endm
.macro WIDE3
    ldrd r2, r3, [r1], #8
    ldmia.w r0!, {r10, r11, r12, lr}
    AT3 r2, r10, r11, r12
    AT3 r3, r11, r12, lr
    ldr.w r2, [r1], #4
    ldr.w r10, [r0], #(MH_DWK_SEGMENT_BYTES - 16)
    AT3 r2, r12, lr, r10
.endm
.macro WIDE4
    ldrd r2, r3, [r1], #8
    ldmia.w r0!, {r10, r11, r12, lr}
    AT3 r2, r10, r11, r12
    AT3 r3, r11, r12, lr
    ldrd r2, r3, [r1], #8
    ldrd r10, r11, [r0], #(MH_DWK_SEGMENT_BYTES - 16)
    AT3 r2, r12, lr, r10
    AT3 r3, lr, r10, r11
.endm
.macro NARROW2
    ldrd r2, r3, [r1], #8
    ldrd r10, r11, [r0], #8
    ldr.w r12, [r0], #(MH_DWK_SEGMENT_BYTES - 8)
    AT2 r2, r10, r11
    AT2 r3, r11, r12
.endm
.macro NARROW3
    ldrd r2, r3, [r1], #8
    ldrd r10, r11, [r0], #8
    ldrd r12, lr, [r0], #(MH_DWK_SEGMENT_BYTES - 8)
    AT2 r2, r10, r11
    AT2 r3, r11, r12
    ldr.w r2, [r1], #4
    AT2 r2, r12, lr
.endm
.macro NARROW4
    ldrd r2, r3, [r1], #8
    ldmia.w r0!, {r10, r11, r12, lr}
    AT2 r2, r10, r11
    AT2 r3, r11, r12
    ldrd r2, r3, [r1], #8
    ldr.w r10, [r0], #(MH_DWK_SEGMENT_BYTES - 16)
    AT2 r2, r12, lr
    AT2 r3, lr, r10
.endm

/* All segments of a row; ``code`` are the bytes that one must have. */
.macro SEGMENTS name, segment, code
    .balign 4
    LABEL \name\()_loop
    .rept MH_DWK_UNROLLED
    \segment
    .endr
    .if . - \name\()_loop != MH_DWK_UNROLLED * \code
    .error "a segment of \name has other than \code bytes"
    .endif
    ldr r2, [sp, #FRAME_ROW(WEIGHTS_END)]
    cmp r1, r2
    bne.w \name\()_loop
.endm

/* A sum prescaled by 2^11, with start (r1) added: from the lowest field; from the middle one, in
 * place. 11 = 32 - 21: a field of 21 bits at the top of a word has lost its neighbours. */
.macro LOW to, lo
    add \to, r1, \lo, lsl #11
.endm
.macro MIDDLE lo, hi
    lsr \lo, \lo, #21
    orr \lo, \lo, \hi, lsl #11
    add \lo, r1, \lo, lsl #11
.endm
/* The highest field, bit 42 and up, belongs to the lowest of the next sum. */
.macro CARRY lo, hi
    add \lo, \lo, \hi, asr #10
.endm

/* Outputs of a row of 3 in r4-r6, of a row of 5 in r4-r8, of a block in r11, r4-r8. */
.macro SPLIT3
    MIDDLE r4, r5
    CARRY r6, r5
    LOW r5, r6
    MIDDLE r6, r7
.endm
.macro SPLIT5
    SPLIT3
    CARRY r8, r7
    LOW r7, r8
    MIDDLE r8, r9
.endm
.macro SPLIT6
    CARRY r4, r12
    LOW r11, r4
    SPLIT5
    str r9, [sp, #FRAME(CARRY)]
.endm

/* r10: the step from row to row, or where the output before the block goes; r12: the carry. */
.macro CONSTANTS_ROW
    add r12, sp, #FRAME(MUL)
    FIELDS FRAME(MUL), FRAME(START), FRAME(OUT_C), FRAME(OUT), FRAME(ROW_STEP)
    ldm r12, {r0, r1, r2, r3, r10}
.endm
.macro CONSTANTS_BLOCK
    add r12, sp, #FRAME(MUL)
    FIELDS FRAME(MUL), FRAME(START), FRAME(OUT_C), FRAME(OUT)
    ldm r12, {r0, r1, r2, r3}
    FIELDS FRAME(BEFORE), FRAME(CARRY)
    ldrd r10, r12, [sp, #FRAME(BEFORE)]
.endm

/* What depends on the form, slope or exact: constants (from the stream, r7), sums to bytes. The
 * exact form adds start to doubled sums. It splits them with 2^31 in place of start, which takes
 * away the 2^20 that fields begin with; r12 and lr are then addend and right, r9 is free. */
.macro LOAD_slope
    ldrd r0, r1, [r7], #8
    str r7, [sp, #FRAME(STREAM)]
    FIELDS FRAME(MUL), FRAME(START)
    strd r0, r1, [sp, #FRAME(MUL)]
.endm
.macro BEGIN_slope
.endm
.macro END_slope
.endm
.macro ONE_slope v, shift
    smmul \v, \v, r0
    ssat \v, #8, \v, asr #\shift
.endm
.macro LOAD_exact
    ldm r7!, {r0-r3}
    str r7, [sp, #FRAME(STREAM)]
    FIELDS FRAME(MUL), FRAME(START)
    strd r0, r1, [sp, #FRAME(MUL)]
    FIELDS FRAME(ADDEND), FRAME(RIGHT)
    strd r2, r3, [sp, #FRAME(ADDEND)]
.endm
.macro BEGIN_exact
    mov lr, r1
    mov r1, #0x80000000
.endm
.macro END_exact
    mov r1, lr
    FIELDS FRAME(ADDEND), FRAME(RIGHT)
    ldrd r12, lr, [sp, #FRAME(ADDEND)]
.endm
.macro ONE_exact v, shift
    add \v, r1, \v, asr #10 /* 2^11 times the sum to twice it */
    add r9, r12, \v, asr #31
    smmlar \v, \v, r0, r9
    asr \v, \v, lr
    ssat \v, #8, \v
.endm

/* Sums to bytes: of a block, of a row of 5, of a row of 3. */
.macro QUANTISE constants, split, form, shift, outputs:vararg
    \constants
    BEGIN_\form
    \split
    END_\form
    .irp output, \outputs
    ONE_\form \output, \shift
    .endr
.endm

/* r0 = job. For each channel, unpacks its weights (r7 stream, r8 unpacked, r9 words) and loads its
 * constants. */
.macro CHANNEL form
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    .if FRAME_BYTES != 3 * 12 * 4 /* what is copied */
    .error "mh_dwk_job has not 36 words"
    .endif
    ldm r0!, {r1-r12}
    FIELDS FRAME(BEGIN)
    stm sp, {r1-r12}
    add lr, sp, #(12 * 4)
    ldm r0!, {r1-r12}
    stm lr!, {r1-r12}
    ldm r0, {r1-r12}
    stm lr, {r1-r12}
1:
    add r12, sp, #FRAME(STREAM)
    FIELDS FRAME(STREAM), FRAME(UNPACKED), FRAME(WORDS)
    ldm r12, {r7, r8, r9}
2:
    ldrd r0, r2, [r7], #8
    sxtb r1, r0, ror #8; sxtb r3, r0, ror #16; asr r4, r0, #24; sxtb r0, r0
    add r0, r0, r1, lsl #21; add r1, r3, r4, lsl #21
    sxtb r3, r2, ror #8; sxtb r4, r2, ror #16; asr r5, r2, #24; sxtb r2, r2
    add r2, r2, r3, lsl #21; add r3, r4, r5, lsl #21
    stm r8!, {r0, r1, r2, r3}
    subs r9, r9, #2
    bne 2b
    LOAD_\form
.endm

/* The next channel at 1, from its first row: table, rows, out_row and plane are set anew. */
.macro NEXT_CHANNEL
    add r12, sp, #FRAME(CHANNELS)
    FIELDS FRAME(CHANNELS), FRAME(PLANE_STEP), FRAME(FIRST), FRAME(ALL_ROWS), FRAME(OUT_CHANNEL)
    ldm r12, {r0, r1, r2, r3, r4}
    ldr r5, [sp, #FRAME(PLANE)]
    adds r4, r4, #1
    add r5, r5, r1
    str r4, [r12, #(FRAME(OUT_CHANNEL) - FRAME(CHANNELS))]
    add r12, sp, #FRAME(TABLE)
    FIELDS FRAME(TABLE), FRAME(ROWS), FRAME(OUT_ROW), FRAME(PLANE)
    stm r12, {r2, r3, r4, r5}
    subs r0, r0, #1
    str r0, [sp, #FRAME(CHANNELS)]
    bne.w 1b
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
.endm

#endif
