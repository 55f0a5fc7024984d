/* The tiles of 3 pixels x 2 channels and of 1 pixel x 2 channels, and their requantisations; for
 * the registers see mh_tile_asm.h. C (gemm_s8.c) starts a tile; what ends a pair of channels is a
 * jump to the job's tail, and from there to the next pair. */
#include "mh_tile_asm.h"

GEMM3 mh_gemm3, MH_STEPS3

/* void mh_gemm3_plain(const mh_gemm_job *job, int8_t *out)
 * Weights that leave no room for the carry: both bytes are unpacked. */
FUNCTION mh_gemm3_plain
    ENTER
    LABEL mh_gemm3_plain_next
    movs r3, #0; movs r4, #0; movs r5, #0
    movs r6, #0; movs r7, #0; mov r8, #0
1:
    ldr r2, [r1], #4
    ldmia r0!, {r9, r10, r11}
    sxtb16 lr, r2, ror #8
    sxtb16 r2, r2
    smlad r3, r9, lr, r3; smlad r4, r10, lr, r4; smlad r5, r11, lr, r5
    smlad r6, r9, r2, r6; smlad r7, r10, r2, r7; smlad r8, r11, r2, r8
    cmp r0, r12
    bne 1b
    ldr pc, [sp, #FRAME_TAIL]
END mh_gemm3_plain

.macro STEP1 x, w
    smlad r3, \x, \w, r3
    sxtb16.w \w, \w
    smlad r6, \x, \w, r6
.endm

/* void mh_gemm1(const mh_gemm_job *job, int8_t *out)
 * After the first step an odd one, where there is such, then double steps. */
FUNCTION mh_gemm1
    ENTER
    LABEL mh_gemm1_next
    ldmia r1!, {r2, r3, lr}
    ldrd r7, r8, [r0], #8
    smlad r3, r7, r2, r3
    sxtb16 r2, r2
    smuad r6, r7, r2
    STEP1 r8, lr
    ldr pc, [sp, #FRAME_ENTRY]
    LABEL mh_gemm1_odd
    ldrd r2, lr, [r1], #8
    ldrd r7, r8, [r0], #8
    STEP1 r7, r2
    STEP1 r8, lr
    ldr pc, [sp, #FRAME_LAST]
    LABEL mh_gemm1_loop
1:
    .rept MH_STEPS1
    ldmia.w r0!, {r7, r8, r9, r10}
    ldmia.w r1!, {r2, r4, r5, lr}
    STEP1 r7, r2
    STEP1 r8, r4
    STEP1 r9, r5
    STEP1 r10, lr
    .endr
    .if . - 1b != MH_STEPS1 * MH_BYTES1
    .error "MH_BYTES1: a double step has another size"
    .endif
    cmp r0, r12
    bne.w 1b
    ldr pc, [sp, #FRAME_TAIL]
END mh_gemm1

/* void mh_gemm1_plain(const mh_gemm_job *job, int8_t *out) */
FUNCTION mh_gemm1_plain
    ENTER
    LABEL mh_gemm1_plain_next
    movs r3, #0; movs r6, #0
1:
    ldrd r2, r4, [r1], #8
    ldrd r7, r8, [r0], #8
    sxtb16 lr, r2, ror #8
    sxtb16 r2, r2
    smlad r3, r7, lr, r3; smlad r6, r7, r2, r6
    sxtb16 lr, r4, ror #8
    sxtb16 r4, r4
    smlad r3, r8, lr, r3; smlad r6, r8, r4, r6
    cmp r0, r12
    bne 1b
    ldr pc, [sp, #FRAME_TAIL]
END mh_gemm1_plain

/* r6 channel 0, r3 channel 1, r2 where they go, r4 pairs left. */
.macro STORE1 next
    strb r6, [r2], #1; strb r3, [r2], #1
    subs r4, #1
    FIELDS FRAME_OUT, FRAME_PAIRS
    strd r2, r4, [sp, #FRAME_OUT]
    bne.w \next
    LEAVE
.endm

.macro SHIFT1
    FIELDS FRAME_COLUMN, FRAME_OUT, FRAME_PAIRS, FRAME_STRIDE
    ldm sp, {r0, r2, r4, r5}
    asrs r6, r5; asrs r3, r5
    ssat r6, #8, r6; ssat r3, #8, r3
.endm

FUNCTION mh_tail1_line
    ldmia r1!, {r7, r8, r9}
    subs r3, r3, r6
    add r6, r7, r6, lsl #8
    smmul r6, r6, r8; smmul r3, r3, r9
    SHIFT1
    STORE1 mh_gemm1_next
END mh_tail1_line

FUNCTION mh_tail1_fine
    ldmia r1!, {r7, r8, r9, r10, r11}
    subs r3, r3, r6
    add r6, r7, r6, lsl #8
    smmla r6, r6, r8, r9; smmla r3, r3, r10, r11
    SHIFT1
    STORE1 mh_gemm1_next
END mh_tail1_fine

EXACT3 mh_tail3_exact, mh_gemm3

FUNCTION mh_tail1_exact
    ldmia r1!, {r0, r2, r9}
    subs r3, r3, r6
    and lr, r0, #31
    asrs r0, r0, #5
    ADDEND FRAME_STRIDE
    add r6, r0, r6, lsl #1
    EXACT r6, r2
    and lr, r3, #31
    ADDEND FRAME_STRIDE
    asrs r3, r3, #7
    EXACT r3, r9
    FIELDS FRAME_COLUMN, FRAME_OUT, FRAME_PAIRS
    ldm sp, {r0, r2, r4}
    STORE1 mh_gemm1_next
END mh_tail1_exact

/* Channel by channel: what is added, multiplier, addend, shift less one. */
FUNCTION mh_tail3_plain
    ldmia r1!, {r2, r10, r11, lr}
    add r6, r2, r6, lsl #1; add r7, r2, r7, lsl #1; add r8, r2, r8, lsl #1
    EXACT r6, r10
    EXACT r7, r10
    EXACT r8, r10
    ldmia r1!, {r2, r10, r11, lr}
    add r3, r2, r3, lsl #1; add r4, r2, r4, lsl #1; add r5, r2, r5, lsl #1
    EXACT r3, r10
    EXACT r4, r10
    EXACT r5, r10
    STORE3 mh_gemm3_plain_next
END mh_tail3_plain

FUNCTION mh_tail1_plain
    ldmia r1!, {r2, r10, r11, lr}
    add r6, r2, r6, lsl #1
    EXACT r6, r10
    ldmia r1!, {r2, r10, r11, lr}
    add r3, r2, r3, lsl #1
    EXACT r3, r10
    FIELDS FRAME_COLUMN, FRAME_OUT, FRAME_PAIRS
    ldm sp, {r0, r2, r4}
    STORE1 mh_gemm1_plain_next
END mh_tail1_plain

LINES3 mh_gemm3
