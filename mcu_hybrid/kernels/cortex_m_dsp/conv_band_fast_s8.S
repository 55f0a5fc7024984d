/* Pixels of three bytes to places further apart: four a turn, then one.
 *
 *   r0    from
 *   r1    to
 *   r2    bytes from place to place
 *   r3    pixels left, less what a turn takes
 *   r12   a pixel
 */
#include "mh_asm.h"

/* Four bytes to four bytes of a word: the fourth is wrong until its own row is written. */
.macro WORD
    ldr r12, [r0], #3
    str r12, [r1]
    add r1, r2
.endm

.macro EXACT
    ldrh r12, [r0], #2
    strh r12, [r1]
    ldrb r12, [r0], #1
    strb r12, [r1, #2]
    add r1, r2
.endm

/* void name(const int8_t *from, int8_t *to, int32_t step, int32_t pixels) */
.macro TRANSPOSE3 name, pixel
    FUNCTION \name
    subs r3, #4
    blo 2f
1:
    \pixel
    \pixel
    \pixel
    \pixel
    subs r3, #4
    bhs 1b
2:
    adds r3, #4
    beq 4f
3:
    \pixel
    subs r3, #1
    bne 3b
4:
    bx lr
    END \name
.endm

TRANSPOSE3 mh_transpose3_words, WORD
TRANSPOSE3 mh_transpose3_exact, EXACT
