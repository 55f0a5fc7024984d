/* Four channels of a row of pixels to four planes of int16, in words of two neighbours; and runs of
 * whole words, which newlib-nano's memset and memcpy would do byte by byte. */
#include "mh_gather_asm.h"

/* Pixels r4, r5 to one word of each plane; the planes are ``plane`` bytes apart. */
.macro PAIR plane
    sxtab16 r8, r3, r4, ror #8; sxtab16 r9, r3, r5, ror #8
    sxtab16 r4, r3, r4; sxtab16 r5, r3, r5
    pkhbt r6, r4, r5, lsl #16; pkhtb r5, r5, r4, asr #16
    pkhbt r7, r8, r9, lsl #16; pkhtb r9, r9, r8, asr #16
    str r5, [r2, #(2 * \plane)]; str r7, [r2, #\plane]
    str r9, [r2, #(3 * \plane)]; str r6, [r2], #4
.endm

.macro QUAD plane
    LOAD4
    sxtab16 r8, r3, r4, ror #8; sxtab16 r9, r3, r5, ror #8
    sxtab16 r10, r3, r6, ror #8; sxtab16 r11, r3, r7, ror #8
    sxtab16 r4, r3, r4; sxtab16 r5, r3, r5; sxtab16 r6, r3, r6; sxtab16 r7, r3, r7
    pkhbt r12, r4, r5, lsl #16; pkhtb r4, r5, r4, asr #16
    pkhbt r5, r6, r7, lsl #16; pkhtb r6, r7, r6, asr #16
    strd r12, r5, [r2], #8; strd r4, r6, [r2, #(2 * \plane - 8)]
    pkhbt r4, r8, r9, lsl #16; pkhtb r8, r9, r8, asr #16
    pkhbt r5, r10, r11, lsl #16; pkhtb r10, r11, r10, asr #16
    strd r4, r5, [r2, #(\plane - 8)]; strd r8, r10, [r2, #(3 * \plane - 8)]
.endm

GATHER mh_gather_w64, "PAIR 64", "QUAD 64"
GATHER mh_gather_w128, "PAIR 128", "QUAD 128"

/* void mh_fill_words(void *dst, uint32_t value, int32_t bytes)
 * 32 bytes a turn (rows of planes are multiples), then 4. r2 holds the bytes left, less what a
 * turn takes. */
FUNCTION mh_fill_words
    push {r4-r7}
    mov r3, r1; mov r4, r1; mov r5, r1
    subs r2, r2, #32
    blt 2f
1:
    stmia r0!, {r1, r3, r4, r5}
    stmia r0!, {r1, r3, r4, r5}
    subs r2, r2, #32
    bge 1b
2:
    adds r2, r2, #32
    beq 4f
3:
    str r1, [r0], #4
    subs r2, r2, #4
    bne 3b
4:
    pop {r4-r7}
    bx lr
END mh_fill_words

/* void mh_copy_words(void *dst, const void *src, int32_t bytes)
 * 16 bytes a turn, then 4. */
FUNCTION mh_copy_words
    push {r4-r7}
    subs r2, r2, #16
    blt 2f
1:
    ldmia r1!, {r4-r7}
    stmia r0!, {r4-r7}
    subs r2, r2, #16
    bge 1b
2:
    adds r2, r2, #16
    beq 4f
3:
    ldr r3, [r1], #4
    str r3, [r0], #4
    subs r2, r2, #4
    bne 3b
4:
    pop {r4-r7}
    bx lr
END mh_copy_words
