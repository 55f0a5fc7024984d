/* Bounds tighter than int8, four values at a time. */
#include "mh_asm.h"

/* void mh_bound_words(int8_t *out, int32_t words, uint32_t lo, uint32_t hi)
 *
 *   r0   out
 *   r1   words left, at least 1
 *   r2   the lower bound, four times
 *   r3   the upper one
 *   r4   values; SEL takes its bytes by the carries that SSUB8 leaves
 */
FUNCTION mh_bound_words
    push {r4}
1:
    ldr r4, [r0]
    ssub8 r12, r4, r2 /* at least lo */
    sel r4, r4, r2
    ssub8 r12, r4, r3 /* at most hi */
    sel r4, r3, r4
    str r4, [r0], #4
    subs r1, r1, #1
    bne 1b
    pop {r4}
    bx lr
END mh_bound_words
