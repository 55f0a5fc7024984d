/* MUL: four elements a turn.
 *
 *   r0 r1        a, b
 *   r2           out
 *   r3 r4        offsets of a and b, int16 twice
 *   r5           mult
 *   r6           addend
 *   r7           right
 *   r8-r12 lr    values
 *   [sp]         blocks of four left
 */
#include "mh_ew_job.h"

#define FRAME_BLOCKS 0

/* The product of two halves (b, t) of r8 and r9, requantised. */
.macro ONE to, half
    smul\half\half \to, r8, r9
    lsl \to, \to, #1
    add lr, r6, \to, asr #31
    smmlar \to, \to, r5, lr
    asr \to, \to, r7
    ssat \to, #8, \to
.endm

/* void mh_mul_blocks(const mh_mul_job *job, int32_t blocks) */
FUNCTION mh_mul_blocks
    push {r4-r11, lr}
    push {r1}
    FIELDS MH_MUL_JOB_ALL
    ldm r0, {r0-r7}
1:
    ldr r10, [r0], #4; ldr r11, [r1], #4
    sxtab16 r8, r3, r10; sxtab16 r9, r4, r11
    ONE r12, b
    strb r12, [r2]
    ONE r12, t
    strb r12, [r2, #2]
    sxtab16 r8, r3, r10, ror #8; sxtab16 r9, r4, r11, ror #8
    ONE r12, b
    strb r12, [r2, #1]
    ONE r12, t
    strb r12, [r2, #3]
    ldr r12, [sp, #FRAME_BLOCKS]
    adds r2, r2, #4
    subs r12, r12, #1
    str r12, [sp, #FRAME_BLOCKS]
    bne 1b
    pop {r1}
    pop {r4-r11, pc}
END mh_mul_blocks
