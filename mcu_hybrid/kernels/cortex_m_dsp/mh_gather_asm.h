/* clang-format off */
/* How four channels of a row of pixels go to four planes, for assembly that says what a plane's
 * words are made of.
 *
 *   r0        pixels
 *   r1        bytes from pixel to pixel
 *   r2        plane 0; the others lie at equal distances behind it
 *   r3        offset, int16 twice
 *   r4-r12    pixels and their channels
 *   lr        where the quads of this row end
 */
#ifndef MH_GATHER_ASM_H
#define MH_GATHER_ASM_H

#include "mh_dw_job.h"

/* The frame: what of the job stays in no register. */
#define FRAME_LEAD 0
#define FRAME_PADDING 4
#define FRAME_QUAD_BYTES 8
#define FRAME_TAIL 12
#define FRAME_SRC_STEP 16
#define FRAME_DST_STEP 20
#define FRAME_ROWS 24
#define FRAME_ALL                                                                                  \
    FRAME_LEAD, FRAME_PADDING, FRAME_QUAD_BYTES, FRAME_TAIL, FRAME_SRC_STEP, FRAME_DST_STEP,       \
        FRAME_ROWS
#define FRAME_BYTES 28

/* r0 = job */
.macro ENTER
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    FIELDS MH_GATHER_JOB_READ
    ldm r0, {r0-r10}
    FIELDS FRAME_ALL
    stm sp, {r4-r10}
.endm

/* On to the next row at 1, or the end. */
.macro NEXT_ROW
    add r4, sp, #FRAME_SRC_STEP
    FIELDS FRAME_SRC_STEP, FRAME_DST_STEP, FRAME_ROWS
    ldm r4, {r4, r5, r6}
    add r0, r0, r4
    add r2, r2, r5
    subs r6, r6, #1
    str r6, [sp, #FRAME_ROWS]
    bne 1b
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
.endm

/* Two pixels, four pixels. */
.macro LOAD2
    ldr r4, [r0]; ldr r5, [r0, r1]
    add r0, r0, r1, lsl #1
.endm
.macro LOAD4
    LOAD2
    ldr r6, [r0]; ldr r7, [r0, r1]
    add r0, r0, r1, lsl #1
.endm

/* void name(const mh_gather_job *job): words of two neighbours. ``pair`` makes a word for each
 * plane of the pixels r4 and r5, ``quad`` loads four pixels and makes two. */
.macro GATHER name, pair, quad
    FUNCTION \name
    ENTER
1:
    FIELDS FRAME_LEAD, FRAME_PADDING, FRAME_QUAD_BYTES
    ldm sp, {r4, r5, r6}
    add lr, r2, r6
    cbz r4, 2f
    mov r4, r5 /* lead: padding and one pixel */
    ldr r5, [r0]
    add r0, r0, r1
    add lr, lr, #4
    \pair
2:
    cmp r2, lr
    beq 4f
3:
    \quad
    cmp r2, lr
    bne 3b
4:
    ldr r6, [sp, #FRAME_TAIL]
    cmp r6, #1
    blo 6f
    beq 5f
    LOAD2
    \pair
    ldr r6, [sp, #FRAME_TAIL]
    cmp r6, #3
    bne 6f
5:
    ldr r4, [r0] /* the last pixel, alone with padding */
    ldr r5, [sp, #FRAME_PADDING]
    \pair
6:
    NEXT_ROW
    END \name
.endm

#endif
