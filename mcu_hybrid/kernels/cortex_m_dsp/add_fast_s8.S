/* ADD and SUB: eight elements a turn.
 *
 *   r0 r1      a, b
 *   r2         out
 *   r3 r4      multipliers of a and b
 *   r5         start
 *   r6         0xff00ff00: a byte at the top of its half-word is 256 times itself, sign included
 *   r7-r12 lr  values
 *   [sp]       blocks of eight left
 */
#include "mh_ew_job.h"

#define FRAME_BLOCKS 0

/* Elements 1 and 3 of a word stay in place, 0 and 2 are shifted up; SEL takes bytes 1 and 3 from
 * its first operand. */
.macro FOUR a, b, to
    and r11, r6, \a
    and \a, r6, \a, lsl #8
    and r12, r6, \b
    and \b, r6, \b, lsl #8
    smlawb lr, r3, r11, r5; smlawt r11, r3, r11, r5
    smlawb lr, r4, r12, lr; smlawt r11, r4, r12, r11
    smlawb r12, r3, \a, r5; smlawt \a, r3, \a, r5
    smlawb r12, r4, \b, r12; smlawt \a, r4, \b, \a
    pkhtb r11, r11, lr, asr #16; pkhtb \a, \a, r12, asr #16
    ssat16 r11, #8, r11; ssat16 \a, #8, \a
    lsl r11, r11, #8
    sel \to, r11, \a
.endm

/* void mh_add_blocks(const mh_add_job *job, int32_t blocks) */
FUNCTION mh_add_blocks
    push {r4-r11, lr}
    push {r1}
    FIELDS MH_ADD_JOB_ALL
    ldm r0, {r0-r5}
    mov r6, #0xff00ff00
    uadd8 r7, r6, r6 /* for SEL: carries of bytes 1 and 3 */
1:
    ldr r8, [r0, #4]; ldr r10, [r1, #4]; ldr r7, [r0], #8; ldr r9, [r1], #8
    FOUR r7, r9, r7
    FOUR r8, r10, r8
    str r8, [r2, #4]; str r7, [r2], #8
    ldr r12, [sp, #FRAME_BLOCKS]
    subs r12, r12, #1
    str r12, [sp, #FRAME_BLOCKS]
    bne 1b
    pop {r1}
    pop {r4-r11, pc}
END mh_add_blocks
