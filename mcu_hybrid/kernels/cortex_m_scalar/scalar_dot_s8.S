/* Sums of products of 4 channels by 2 pixels (or 1): the inner loops of the matrix kernels, for
 * Thumb-2 and for Armv6-M. Elsewhere they are C (scalar_dot_s8.c), and this file is empty. Weights
 * lie as [steps][4 channels][4 inputs]. */
#if defined(__thumb2__)

#include "mh_scalar_job.h"

/* Thumb-2.
 *
 *   r0 r1    inputs of pixels 0 and 1
 *   r2       weights
 *   r3 r12   an input of both
 *   r4-r7    sums of pixel 0, a channel each
 *   r8-r11   sums of pixel 1
 *   lr       a weight
 */

/* One input of both pixels with the weight of a channel. The last input of a step is number 0, so
 * that it can move the pointers. */
.macro MLA2 channel, input, pixel0, pixel1
    ldrsb lr, [r2, #4 * \channel + \input]
    mla \pixel0, r3, lr, \pixel0; mla \pixel1, r12, lr, \pixel1
.endm
.macro INPUT2 input
    ldrsb r3, [r0, #\input]; ldrsb r12, [r1, #\input]
    MLA2 3, \input, r7, r11; MLA2 2, \input, r6, r10
    MLA2 1, \input, r5, r9; MLA2 0, \input, r4, r8
.endm

/* Four inputs; r2 moves on to the next step of weights. */
.macro STEP2
    INPUT2 3; INPUT2 2; INPUT2 1
    ldrsb r3, [r0], #4; ldrsb r12, [r1], #4
    MLA2 3, 0, r7, r11; MLA2 2, 0, r6, r10; MLA2 1, 0, r5, r9
    ldrsb lr, [r2], #16
    mla r4, r3, lr, r4; mla r8, r12, lr, r8
.endm

/* void mh_scalar_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
 *                    const int32_t *start, int32_t *sums) */
#define DOT2_END 0 /* r3 as it was pushed */
#define DOT2_START 40 /* arguments on the stack, behind ten registers */
#define DOT2_SUMS 44
FUNCTION mh_scalar_dot2
    push {r3-r11, lr}
    ldr r4, [sp, #DOT2_START]
    ldm r4, {r4-r7}
    mov r8, r4; mov r9, r5; mov r10, r6; mov r11, r7
1:
    STEP2
    ldr r3, [sp, #DOT2_END]
    cmp r2, r3
    bne 1b
    ldr r0, [sp, #DOT2_SUMS]
    stm r0, {r4-r11}
    pop {r3-r11, pc}
END mh_scalar_dot2

/* The frame of mh_scalar_groups2: a copy of the job, and behind it where the group's weights end. */
#define FRAME(field) MH_SCALAR_JOB_##field
#define FRAME_GROUP_END 36
#define FRAME_BYTES 44

/* A channel of both pixels to bytes: r3 its constants, r0 where pixel 0 goes, r1 from there to
 * pixel 1. A shift by a register takes its lowest byte. */
.macro LINE_HIGH sum
    smull \sum, lr, \sum, r2
    adds \sum, r12
    adc lr, #0
.endm
.macro LINE pixel0, pixel1
    ldrd r2, r12, [r3], #8
    LINE_HIGH \pixel0
    asr lr, r12
    ssat lr, #8, lr
    strb lr, [r0], #1
    LINE_HIGH \pixel1
    asr lr, r12
    ssat lr, #8, lr
    strb lr, [r0, r1]
.endm
.macro EXACT_HIGH sum
    add r1, r12, \sum, asr #31
    lsl \sum, #1
    smull \sum, lr, \sum, r2
    adds \sum, #0x80000000
    adc lr, r1
.endm
.macro EXACT pixel0, pixel1
    ldrd r2, r12, [r3], #8
    EXACT_HIGH \pixel0
    ldr \pixel0, [r3], #4
    asr lr, \pixel0
    ssat lr, #8, lr
    strb lr, [r0], #1
    EXACT_HIGH \pixel1
    ldr r1, [sp, #FRAME(TO_SECOND)]
    asr lr, \pixel0
    ssat lr, #8, lr
    strb lr, [r0, r1]
.endm

/* void mh_scalar_groups2(const mh_scalar_job *job) */
FUNCTION mh_scalar_groups2
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    FIELDS MH_SCALAR_JOB_ALL
    ldm r0, {r1-r9}
    FIELDS MH_SCALAR_JOB_ALL
    stm sp, {r1-r9}
1:
    FIELDS FRAME(WEIGHTS), FRAME(GROUP_BYTES)
    ldrd r2, r3, [sp, #FRAME(WEIGHTS)]
    add r3, r2
    str r3, [sp, #FRAME_GROUP_END]
    ldr r3, [sp, #FRAME(CONSTANTS)]
    ldm r3!, {r4-r7}
    str r3, [sp, #FRAME(CONSTANTS)]
    mov r8, r4; mov r9, r5; mov r10, r6; mov r11, r7
    FIELDS FRAME(X0), FRAME(X1)
    ldrd r0, r1, [sp, #FRAME(X0)]
2:
    STEP2
    ldr r3, [sp, #FRAME_GROUP_END]
    cmp r2, r3
    bne 2b
    str r2, [sp, #FRAME(WEIGHTS)]
    FIELDS FRAME(CONSTANTS), FRAME(OUT)
    ldrd r3, r0, [sp, #FRAME(CONSTANTS)]
    ldr r1, [sp, #FRAME(TO_SECOND)]
    ldr r12, [sp, #FRAME(FORM)]
    cmp r12, #0
    bne 3f
    LINE r4, r8; LINE r5, r9; LINE r6, r10; LINE r7, r11
    b 4f
3:
    EXACT r4, r8; EXACT r5, r9; EXACT r6, r10; EXACT r7, r11
4:
    FIELDS FRAME(CONSTANTS), FRAME(OUT)
    strd r3, r0, [sp, #FRAME(CONSTANTS)]
    ldr r12, [sp, #FRAME(GROUPS)]
    subs r12, #1
    str r12, [sp, #FRAME(GROUPS)]
    bne 1b
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
END mh_scalar_groups2

/* void mh_scalar_dot1(const int8_t *x, const int8_t *weights, const int8_t *end,
 *                    const int32_t *start, int32_t *sums)
 *
 *   r0      inputs
 *   r1 r2   weights and their end
 *   r4-r7   sums
 *   r8      a weight
 *   r12     an input
 */
.macro MLA1 channel, input, sum
    ldrsb r8, [r1, #4 * \channel + \input]
    mla \sum, r12, r8, \sum
.endm
.macro INPUT1 input
    ldrsb r12, [r0, #\input]
    MLA1 3, \input, r7; MLA1 2, \input, r6; MLA1 1, \input, r5; MLA1 0, \input, r4
.endm
#define DOT1_SUMS 24 /* argument on the stack, behind six registers */
FUNCTION mh_scalar_dot1
    push {r4-r8, lr}
    ldm r3, {r4-r7}
1:
    INPUT1 3; INPUT1 2; INPUT1 1
    ldrsb r12, [r0], #4
    MLA1 3, 0, r7; MLA1 2, 0, r6; MLA1 1, 0, r5
    ldrsb r8, [r1], #16
    mla r4, r12, r8, r4
    cmp r1, r2
    bne 1b
    ldr r0, [sp, #DOT1_SUMS]
    stm r0, {r4-r7}
    pop {r4-r8, pc}
END mh_scalar_dot1

#elif defined(__ARM_ARCH_6M__)

#include "mh_asm.h"

/* Armv6-M: no MLA, and high registers only add. */
.macro PUSH_HIGH
    push {r4-r7, lr}
    mov r4, r8; mov r5, r9; mov r6, r10; mov r7, r11
    push {r4-r7}
.endm
.macro POP_HIGH
    pop {r4-r7}
    mov r8, r4; mov r9, r5; mov r10, r6; mov r11, r7
    pop {r4-r7, pc}
.endm

/* One input (r4: its number) of both pixels (r0, r1) with the weights (r2, r3) of two channels, to
 * the sums of channel 0 (r8, r9) and channel 1 (r10, r11). */
.macro INPUT2
    ldrsb r5, [r0, r4]
    ldrsb r6, [r2, r4]
    movs r7, r6
    muls r7, r5, r7
    add r8, r7
    ldrsb r7, [r3, r4]
    muls r5, r7, r5
    add r10, r5
    ldrsb r5, [r1, r4]
    muls r7, r5, r7
    add r11, r7
    muls r6, r5, r6
    add r9, r6
    adds r4, #1
.endm

/* void mh_scalar_half2(const int8_t *x0, const int8_t *x1, const int8_t *weights,
 *                     const int8_t *end, const int32_t *start, int32_t *sums)
 * Two channels of a group. r12 = end. */
#define HALF2_START 36 /* arguments on the stack, behind nine registers */
#define HALF2_SUMS 40
FUNCTION mh_scalar_half2
    PUSH_HIGH
    mov r12, r3
    ldr r5, [sp, #HALF2_START]
    ldr r6, [r5]
    mov r8, r6; mov r9, r6
    ldr r6, [r5, #4]
    mov r10, r6; mov r11, r6
    adds r3, r2, #4
    movs r4, #0
1:
    .rept 4
    INPUT2
    .endr
    adds r2, #12; adds r3, #12 /* the weights move by 12, their index by 4 */
    mov r5, r2
    add r5, r4
    cmp r5, r12
    bne 1b
    ldr r5, [sp, #HALF2_SUMS]
    mov r6, r8
    str r6, [r5]
    mov r6, r9
    str r6, [r5, #16]
    mov r6, r10
    str r6, [r5, #4]
    mov r6, r11
    str r6, [r5, #20]
    POP_HIGH
END mh_scalar_half2

/* One input (r4: its number) with the weights of four channels. */
.macro CHANNEL1 weights, sum
    ldrsb r6, [\weights, r4]
    muls r6, r5, r6
    add \sum, r6
.endm
.macro INPUT1
    ldrsb r5, [r0, r4]
    CHANNEL1 r1, r8; CHANNEL1 r2, r9; CHANNEL1 r3, r10; CHANNEL1 r7, r11
    adds r4, #1
.endm

/* void mh_scalar_dot1(const int8_t *x, const int8_t *weights, const int8_t *end,
 *                    const int32_t *start, int32_t *sums)
 * r12 = end. */
#define DOT1_SUMS 36 /* argument on the stack, behind nine registers */
FUNCTION mh_scalar_dot1
    PUSH_HIGH
    mov r12, r2
    ldm r3!, {r4-r7}
    mov r8, r4; mov r9, r5; mov r10, r6; mov r11, r7
    movs r4, #0
    movs r2, r1
    adds r2, #4
    movs r3, r1
    adds r3, #8
    movs r7, r1
    adds r7, #12
1:
    .rept 4
    INPUT1
    .endr
    adds r1, #12; adds r2, #12; adds r3, #12; adds r7, #12
    mov r5, r1
    add r5, r4
    cmp r5, r12
    bne 1b
    ldr r0, [sp, #DOT1_SUMS]
    mov r4, r8; mov r5, r9; mov r6, r10; mov r7, r11
    stm r0!, {r4-r7}
    POP_HIGH
END mh_scalar_dot1

#endif
