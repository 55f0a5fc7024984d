/* Four channels of a row of pixels to four planes of words x0 + x1 * 2^21 (depthwise_kronecker_s8.c):
 * a plane has 64 bytes, and with stride 2 the odd columns' planes follow those of the even ones. */
#include "mh_gather_asm.h"

#define PLANE 64 /* MH_DWK_SEGMENT_BYTES / 4 */
#define ODD (4 * PLANE)

/* Pixels a, b: their channels 1 and 3 to odd_a, odd_b, 0 and 2 stay; the second's are shifted by 5,
 * which with its half-word makes 21. */
.macro WIDEN a, b, odd_a, odd_b
    sxtab16 \odd_a, r3, \a, ror #8; sxtab16 \odd_b, r3, \b, ror #8
    sxtab16 \a, r3, \a; sxtab16 \b, r3, \b
    lsl \odd_b, \odd_b, #5; lsl \b, \b, #5
.endm

.macro PAIR
    WIDEN r4, r5, r8, r9
    pkhbt r6, r4, r5, lsl #16; pkhtb r5, r5, r4, asr #16
    pkhbt r7, r8, r9, lsl #16; pkhtb r9, r9, r8, asr #16
    str r5, [r2, #(2 * PLANE)]; str r7, [r2, #PLANE]
    str r9, [r2, #(3 * PLANE)]; str r6, [r2], #4
.endm

.macro QUAD
    LOAD4
    WIDEN r4, r5, r8, r9
    WIDEN r6, r7, r10, r11
    pkhbt r12, r4, r5, lsl #16; pkhtb r4, r5, r4, asr #16
    pkhbt r5, r6, r7, lsl #16; pkhtb r6, r7, r6, asr #16
    strd r12, r5, [r2], #8; strd r4, r6, [r2, #(2 * PLANE - 8)]
    pkhbt r4, r8, r9, lsl #16; pkhtb r8, r9, r8, asr #16
    pkhbt r5, r10, r11, lsl #16; pkhtb r10, r11, r10, asr #16
    strd r4, r5, [r2, #(PLANE - 8)]; strd r8, r10, [r2, #(3 * PLANE - 8)]
.endm

GATHER mh_gather_kronecker1, PAIR, QUAD

/* Those of four pixels that the mask in r8 has, padding for the others. */
.macro LOAD_SOME
    ldr r4, [sp, #FRAME_PADDING]
    mov r5, r4; mov r6, r4; mov r7, r4
    .irp pixel, r4, r5, r6, r7
    lsrs r8, r8, #1
    itt cs
    ldrcs \pixel, [r0]
    addcs r0, r0, r1
    .endr
.endm

/* void mh_gather_kronecker2(const mh_gather_job *job)
 * Stride 2: the units are quads; lead and tail are masks of pixels of the first and the last. */
FUNCTION mh_gather_kronecker2
    ENTER
1:
    ldr r8, [sp, #FRAME_LEAD]
    ldr r6, [sp, #FRAME_QUAD_BYTES]
    add lr, r2, r6
    cmp r8, #0
    beq 4f
    LOAD_SOME
    b 3f
2:
    LOAD4
    /* Columns 0 and 2 to the even words, 1 and 3 to the odd ones. */
3:
    WIDEN r4, r6, r8, r10
    WIDEN r5, r7, r9, r11
    pkhbt r12, r5, r7, lsl #16
    str r12, [r2, #ODD]
    pkhtb r12, r7, r5, asr #16
    str r12, [r2, #(ODD + 2 * PLANE)]
    pkhbt r12, r9, r11, lsl #16
    str r12, [r2, #(ODD + PLANE)]
    pkhtb r12, r11, r9, asr #16
    str r12, [r2, #(ODD + 3 * PLANE)]
    pkhtb r12, r6, r4, asr #16
    str r12, [r2, #(2 * PLANE)]
    pkhbt r12, r8, r10, lsl #16
    str r12, [r2, #PLANE]
    pkhtb r12, r10, r8, asr #16
    str r12, [r2, #(3 * PLANE)]
    pkhbt r12, r4, r6, lsl #16
    str r12, [r2], #4
4:
    cmp r2, lr
    blo 2b
    bhi 5f
    ldr r8, [sp, #FRAME_TAIL]
    cmp r8, #0
    beq 5f
    LOAD_SOME
    b 3b
5:
    NEXT_ROW
END mh_gather_kronecker2
