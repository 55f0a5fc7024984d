/* 3x3 depthwise convolution: two outputs per step, all weights in registers.
 *
 *   r0        in: a pair's inputs in the planes
 *   r1        out
 *   r2 r3     sums
 *   r4-r9     weights (stride 2: r4-r8, r9 holds inputs)
 *   r10 r11   inputs, then constants
 *   r12       start: what the sums begin with (slope)
 *   lr        end of the row's pairs
 */
#include "mh_dw3_job.h"

/* The frame: a copy of the job, and what the exact form's constants need. */
#define FRAME(field) MH_DW3_JOB_##field
#define FRAME_ADDEND 56
#define FRAME_RIGHT 60
#define FRAME_START 64 /* twice */
#define FRAME_START_AGAIN 68
#define FRAME_BYTES 72

/* r0 = job */
.macro ENTER
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    FIELDS MH_DW3_JOB_ALL
    ldm r0!, {r1-r12}
    FIELDS MH_DW3_JOB_ALL
    stm sp, {r1-r12}
    ldr r1, [r0]
    str r1, [sp, #FRAME(ENTRY)]
.endm

.macro CHANNEL
1:
    add r3, sp, #FRAME(IN)
    FIELDS FRAME(IN), FRAME(OUT), FRAME(STREAM), FRAME(PAIR_BYTES)
    ldm r3, {r0, r1, r2, lr}
    add lr, r0, lr
.endm

.macro LOAD_ROW_ENDS
    FIELDS FRAME(IS_ODD), FRAME(IN_STEP), FRAME(OUT_SKIP), FRAME(IN_END)
    ldm sp, {r2, r3, r10, r11}
.endm

/* The next row, or the next channel at 1, or the end; ``step`` is the row's bytes of a plane. */
.macro NEXT_ROW step
4:
    add r0, r0, r3
    add r1, r1, r10
    add lr, lr, #\step
    cmp r0, r11
    beq 6f
    ldr pc, [sp, #FRAME(ENTRY)]
6:
    FIELDS FRAME(IN), FRAME(OUT)
    ldrd r0, r1, [sp, #FRAME(IN)]
    FIELDS FRAME(CHANNELS), FRAME(PLANE_STEP)
    ldrd r2, r3, [sp, #FRAME(CHANNELS)]
    add r0, r0, r3
    adds r1, r1, #1
    add r11, r11, r3
    subs r2, r2, #1
    FIELDS FRAME(IN), FRAME(OUT)
    strd r0, r1, [sp, #FRAME(IN)]
    str r11, [sp, #FRAME(IN_END)]
    str r2, [sp, #FRAME(CHANNELS)]
    bne.w 1b
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
.endm

/* What depends on the form, slope or exact: what a channel loads (weights r4 r6 r8, mul r10, start
 * r12), what its sums begin with, and how they end. */
.macro LOAD_slope
    ldm r2!, {r4, r6, r8, r10, r12}
    str r2, [sp, #FRAME(STREAM)]
    str r10, [sp, #FRAME(MUL)]
.endm
.macro LOAD_exact
    ldm r2!, {r4, r6, r8, r10, r12}
    str r10, [sp, #FRAME(MUL)]
    ldm r2!, {r3, r10}
    str r2, [sp, #FRAME(STREAM)]
    FIELDS FRAME_ADDEND, FRAME_RIGHT
    strd r3, r10, [sp, #FRAME_ADDEND]
    FIELDS FRAME_START, FRAME_START_AGAIN
    strd r12, r12, [sp, #FRAME_START]
.endm

.macro BEGIN_slope
.endm
.macro BEGIN_exact
    FIELDS FRAME_START, FRAME_START_AGAIN
    ldrd r2, r3, [sp, #FRAME_START]
.endm

/* Both sums of a pair to bytes, out_c to r11. */
.macro END_slope shift
    FIELDS FRAME(MUL), FRAME(OUT_C)
    ldrd r10, r11, [sp, #FRAME(MUL)]
    smmul r2, r2, r10; smmul r3, r3, r10
    ssat r2, #8, r2, asr #\shift; ssat r3, #8, r3, asr #\shift
.endm
.macro EXACT v
    add r12, r11, \v, asr #31
    smmlar \v, \v, r10, r12
.endm
.macro END_exact shift
    ldr r10, [sp, #FRAME(MUL)]
    ldr r11, [sp, #FRAME_ADDEND]
    EXACT r2
    EXACT r3
    ldr r10, [sp, #FRAME_RIGHT]
    ldr r11, [sp, #FRAME(OUT_C)]
    asr r2, r2, r10; asr r3, r3, r10
    ssat r2, #8, r2; ssat r3, #8, r3
.endm
.macro STORE
    strb r2, [r1]; strb r3, [r1, r11]
    add r1, r1, r11, lsl #1
.endm

/* The sum of a single output to its byte. */
.macro END1_slope shift
    ldr r10, [sp, #FRAME(MUL)]
    smmul r2, r2, r10
    ssat r2, #8, r2, asr #\shift
    strb r2, [r1]
.endm
.macro END1_exact shift
    ldr r10, [sp, #FRAME(MUL)]
    ldr r11, [sp, #FRAME_ADDEND]
    EXACT r2
    ldr r10, [sp, #FRAME_RIGHT]
    asr r2, r2, r10
    ssat r2, #8, r2
    strb r2, [r1]
.endm

/* Weights as halfwords: 256 * w for the slope (a byte stays where it is, masked by r11: that is
 * the prescale 8), 2 * w for the exact form. */
.macro MASK_slope
    mov r11, #0xff00ff00
.endm
.macro EVEN_slope to, from
    and \to, r11, \from, lsl #8
.endm
.macro ODD_slope to, from
    and \to, r11, \from
.endm
.macro MASK_exact
.endm
.macro EVEN_exact to, from
    sxtb16 \to, \from
    sadd16 \to, \to, \to
.endm
.macro ODD_exact to, from
    sxtb16 \to, \from, ror #8
    sadd16 \to, \to, \to
.endm

/* Stride 1: r4 r6 r8 = weights (0, 1) of the rows, r5 r7 r9 = (1, 2). a, b: what is added to. */
.macro WEIGHTS1 form
    ODD_\form r5, r4
    EVEN_\form r4, r4
    ODD_\form r7, r6
    EVEN_\form r6, r6
    ODD_\form r9, r8
    EVEN_\form r8, r8
.endm
.macro ROW1 w01, w12, a, b
    smlad r2, r10, \w01, \a; smlatb r3, r10, \w01, \b
    smlabt r2, r11, \w12, r2; smlad r3, r11, \w12, r3
.endm
.macro SINGLE1 w01, w12, a
    smlad r2, r10, \w01, \a
    smlabt r2, r11, \w12, r2
.endm
.macro PAIR1 form, shift, plane, a, b
    BEGIN_\form
    ldrd r10, r11, [r0], #4
    ROW1 r4, r5, \a, \b
    ldrd r10, r11, [r0, #(4 * \plane - 4)]
    ROW1 r6, r7, r2, r3
    ldrd r10, r11, [r0, #(8 * \plane - 4)]
    ROW1 r8, r9, r2, r3
    END_\form \shift
    STORE
.endm
/* void name(const mh_dw3_job *job) */
.macro CORE1 name, form, shift, plane, a, b
    FUNCTION \name
    ENTER
    CHANNEL
    LOAD_\form
    MASK_\form
    WEIGHTS1 \form
    ldr pc, [sp, #FRAME(ENTRY)]
    LABEL \name\()_even
    PAIR1 \form, \shift, \plane, \a, \b
    LABEL \name\()_odd
    PAIR1 \form, \shift, \plane, \a, \b
    cmp r0, lr
    bne.w \name\()_even
    LOAD_ROW_ENDS
    cbnz r2, 5f
    NEXT_ROW (4 * \plane)
5: /* the single output at the end of a row */
    BEGIN_\form
    ldrd r10, r11, [r0]
    SINGLE1 r4, r5, \a
    ldrd r10, r11, [r0, #(4 * \plane)]
    SINGLE1 r6, r7, r2
    ldr r10, [r0, #(8 * \plane)]
    ldr r11, [r0, #(8 * \plane + 4)]
    SINGLE1 r8, r9, r2
    END1_\form \shift
    LOAD_ROW_ENDS
    b 4b
    END \name
.endm

/* Stride 2: r4 r5 r6 = weights (0, 1) of the rows, r7 = weight 2 of rows 0 and 1, r8 of row 2. */
.macro WEIGHTS2 form
    ODD_\form r5, r4
    EVEN_\form r4, r4
    ODD_\form r7, r6
    EVEN_\form r6, r6
    EVEN_\form r8, r8
.endm
.macro ROW2 w01, half, w2, a, b
    smlad r2, r9, \w01, \a; smlad r3, r10, \w01, \b
    smlab\half r2, r10, \w2, r2; smlab\half r3, r11, \w2, r3
.endm
.macro SINGLE2 w01, half, w2, a
    smlad r2, r9, \w01, \a
    smlab\half r2, r10, \w2, r2
.endm
.macro PAIR2 form, shift, plane, a, b
    BEGIN_\form
    ldrd r9, r10, [r0], #8
    ldr r11, [r0]
    ROW2 r4, b, r7, \a, \b
    ldrd r9, r10, [r0, #(4 * \plane - 8)]
    ldr r11, [r0, #(4 * \plane)]
    ROW2 r5, t, r7, r2, r3
    ldrd r9, r10, [r0, #(8 * \plane - 8)]
    ldr r11, [r0, #(8 * \plane)]
    ROW2 r6, b, r8, r2, r3
    END_\form \shift
    STORE
.endm
/* void name(const mh_dw3_job *job) */
.macro CORE2 name, form, shift, plane, a, b
    FUNCTION \name
    ENTER
    CHANNEL
    LOAD_\form
    MASK_\form
    WEIGHTS2 \form
    ldr pc, [sp, #FRAME(ENTRY)]
    LABEL \name\()_even
    PAIR2 \form, \shift, \plane, \a, \b
    LABEL \name\()_odd
    PAIR2 \form, \shift, \plane, \a, \b
    cmp r0, lr
    bne.w \name\()_even
    LOAD_ROW_ENDS
    cbnz r2, 5f
    NEXT_ROW (8 * \plane)
5: /* the single output at the end of a row */
    BEGIN_\form
    ldrd r9, r10, [r0]
    SINGLE2 r4, b, r7, \a
    ldrd r9, r10, [r0, #(4 * \plane)]
    SINGLE2 r5, t, r7, r2
    ldr r9, [r0, #(8 * \plane)]
    ldr r10, [r0, #(8 * \plane + 4)]
    SINGLE2 r6, b, r8, r2
    END1_\form \shift
    LOAD_ROW_ENDS
    b 4b
    END \name
.endm

/* The forms of a core; sums begin with r12 (slope) or are there already (exact). */
.macro FORMS core, head, plane
    \core mh_core_\head\()_exact, exact, 0, \plane, r2, r3
    \core mh_core_\head\()_slope8, slope, 8, \plane, r12, r12
    \core mh_core_\head\()_slope12, slope, 12, \plane, r12, r12
    \core mh_core_\head\()_slope16, slope, 16, \plane, r12, r12
.endm
FORMS CORE1, dw3s1w64, 64
FORMS CORE1, dw3s1w128, 128
FORMS CORE2, dw3s2w64, 64
FORMS CORE2, dw3s2w128, 128
