/* clang-format off */
/* The tile of 3 pixels x 2 channels, for assembly that defines it, with as many steps unrolled as
 * it asks for. It takes all 14 registers: 6 raw and low sums, 3 inputs, 2 words of weights, both
 * pointers and an end. A fourth pixel has no room for its sums.
 *
 * Channel 0 of a pair is the low byte of each half-word of its weights, channel 1 the rest:
 * half-word = 256 * w1 + w0. One SMLAD on the raw word therefore sums 256 * acc1 + acc0 (modulo
 * 2^32), one on the unpacked low bytes acc0; their difference is 256 * acc1, the scale that the
 * requantisation wants. Half the unpacking is saved.
 *
 *            three pixels            one pixel (gemm_s8.S)
 *   r0       column                  column
 *   r1       stream                  stream
 *   r2 lr    weights                 weights, with r4 and r5
 *   r3-r5    raw sums                r3: raw sum
 *   r6-r8    low sums                r6: low sum
 *   r9-r11   inputs                  r7-r10: inputs
 *   r12      end of the column       end of the column
 *
 * A step is 4 inputs. The unrolled loops are entered in their middle so that any number of steps
 * comes out even.
 */
#ifndef MH_TILE_ASM_H
#define MH_TILE_ASM_H

#include "mh_gemm_job.h"

/* The frame: the job without what registers hold, and where the next outputs go. */
#define FRAME_COLUMN 0
#define FRAME_OUT 4
#define FRAME_PAIRS 8
#define FRAME_STRIDE 12 /* one pixel: the shift */
#define FRAME_ENTRY 16
#define FRAME_TAIL 20
#define FRAME_LAST 24 /* three pixels: the zero point; one pixel: entry_even */
#define FRAME_BYTES 28

/* r0 = job, r1 = out */
.macro ENTER
    push {r4-r11, lr}
    sub sp, #FRAME_BYTES
    FIELDS MH_GEMM_JOB_ALL
    ldm r0, {r3, r5, r6, r7, r8, r9, r10, r12}
    mov r4, r1
    FIELDS FRAME_COLUMN, FRAME_OUT, FRAME_PAIRS, FRAME_STRIDE, FRAME_ENTRY, FRAME_TAIL, FRAME_LAST
    stm sp, {r3-r9}
    mov r1, r10
    mov r0, r3
.endm

.macro LEAVE
    add sp, #FRAME_BYTES
    pop {r4-r11, pc}
.endm

/* Two inputs x 3 pixels x 2 channels; the weights in register w. */
.macro INPUTS3 w
    ldmia.w r0!, {r9, r10, r11}
    smlad r3, r9, \w, r3; smlad r4, r10, \w, r4; smlad r5, r11, \w, r5
    sxtb16.w \w, \w
    smlad r6, r9, \w, r6; smlad r7, r10, \w, r7; smlad r8, r11, \w, r8
.endm

/* void name(const mh_gemm_job *job, int8_t *out), whose loop has so many steps. */
.macro GEMM3 name, steps
    FUNCTION \name
    ENTER
    LABEL \name\()_next
    ldmia r1!, {r2, r5, lr} /* the second word starts the raw sums */
    ldmia r0!, {r9, r10, r11}
    smlad r3, r9, r2, r5; smlad r4, r10, r2, r5; smlad r5, r11, r2, r5
    sxtb16 r2, r2
    smuad r6, r9, r2; smuad r7, r10, r2; smuad r8, r11, r2
    INPUTS3 lr
    ldr pc, [sp, #FRAME_ENTRY]
    LABEL \name\()_loop
1:
    .rept \steps
    ldrd r2, lr, [r1], #8
    INPUTS3 r2
    INPUTS3 lr
    .endr
    .if . - 1b != (\steps) * MH_BYTES3
    .error "MH_BYTES3: a step has another size"
    .endif
    cmp r0, r12
    bne.w 1b
    ldr pc, [sp, #FRAME_TAIL]
    END \name
.endm

/* r6-r8 channel 0, r3-r5 channel 1; the pixels lie one stride apart. */
.macro STORE3 next
    FIELDS FRAME_COLUMN, FRAME_OUT, FRAME_PAIRS, FRAME_STRIDE
    ldm sp, {r0, r2, r9, r10}
    strb r7, [r2, r10]; strb r8, [r2, r10, lsl #1]; strb r6, [r2], #1
    strb r4, [r2, r10]; strb r5, [r2, r10, lsl #1]; strb r3, [r2], #1
    subs r9, #1
    FIELDS FRAME_OUT, FRAME_PAIRS
    strd r2, r9, [sp, #FRAME_OUT]
    bne.w \next
    LEAVE
.endm

.macro SSAT3 s
    .if \s
    ssat r3, #8, r3, asr #\s; ssat r6, #8, r6, asr #\s
    ssat r4, #8, r4, asr #\s; ssat r7, #8, r7, asr #\s
    ssat r5, #8, r5, asr #\s; ssat r8, #8, r8, asr #\s
    .else
    ssat r3, #8, r3; ssat r4, #8, r4; ssat r5, #8, r5
    ssat r6, #8, r6; ssat r7, #8, r7; ssat r8, #8, r8
    .endif
.endm

/* Tails of a line and of a fine line with shift s, for the function gemm. */
.macro LINE3 name, gemm, s
    FUNCTION \name
    ldmia r1!, {r9, r10, r11}
    sub.w r3, r3, r6; sub.w r4, r4, r7; sub.w r5, r5, r8
    add r6, r9, r6, lsl #8; add r7, r9, r7, lsl #8; add r8, r9, r8, lsl #8
    smmul r3, r3, r11; smmul r4, r4, r11; smmul r5, r5, r11
    smmul r6, r6, r10; smmul r7, r7, r10; smmul r8, r8, r10
    SSAT3 \s
    STORE3 \gemm\()_next
    END \name
.endm

.macro FINE3 name, gemm, s
    FUNCTION \name
    ldmia r1!, {r2, r9, r10, r11, lr}
    sub.w r3, r3, r6; sub.w r4, r4, r7; sub.w r5, r5, r8
    add r6, r2, r6, lsl #8; add r7, r2, r7, lsl #8; add r8, r2, r8, lsl #8
    smmla r3, r3, r11, lr; smmla r4, r4, r11, lr; smmla r5, r5, r11, lr
    smmla r6, r6, r9, r10; smmla r7, r7, r9, r10; smmla r8, r8, r9, r10
    SSAT3 \s
    STORE3 \gemm\()_next
    END \name
.endm

/* The shifts that the forms of a line and of a fine line have: MH_FAST_SHIFTS (mh_nn_fast.h). */
.macro LINES3 gemm, suffix
    .irp shift, 0, 4, 8, 12, 16, 20
    LINES3_SHIFT \gemm, \shift, \suffix
    .endr
.endm
.macro LINES3_SHIFT gemm, s, suffix
    LINE3 mh_tail3_line\s\suffix, \gemm, \s
    FINE3 mh_tail3_fine\s\suffix, \gemm, \s
.endm

/* v = twice the true sum; r0 is one less where v is negative: ties go away from zero. lr is the
 * shift less one, r11 = (2 * zero point + 1) << lr brings the zero point and the rounding. */
.macro EXACT v, mul
    add r0, r11, \v, asr #31
    smmlar \v, \v, \mul, r0
    asr \v, \v, lr
    ssat \v, #8, \v, asr #1
.endm

.macro ADDEND at
    ldr r11, [sp, #\at]
    lsl r11, r11, lr
.endm

/* Shifts lie in low bits of what is added: of the sums of channel 1, and below channel 0's. They
 * are 0 .. 22 and take 5 bits; channel 0 has twice the offset above them (asr #5), channel 1's sums
 * are 256 times the true ones, and twice these is asr #7. */
.macro EXACT3 name, gemm
    FUNCTION \name
    ldmia r1!, {r0, r2, r9}
    sub.w r3, r3, r6; sub.w r4, r4, r7; sub.w r5, r5, r8
    and lr, r0, #31
    asrs r0, r0, #5
    ADDEND FRAME_LAST
    add r6, r0, r6, lsl #1; add r7, r0, r7, lsl #1; add r8, r0, r8, lsl #1
    EXACT r6, r2
    EXACT r7, r2
    EXACT r8, r2
    and lr, r3, #31
    ADDEND FRAME_LAST
    asrs r3, r3, #7; asrs r4, r4, #7; asrs r5, r5, #7
    EXACT r3, r9
    EXACT r4, r9
    EXACT r5, r9
    STORE3 \gemm\()_next
    END \name
.endm

#endif
