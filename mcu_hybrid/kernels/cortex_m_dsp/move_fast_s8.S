/* Runs of bytes. No alignment is asked for: LDR and STR do without it, LDM and STM would not. All
 * return the end of what they wrote (r0); r2 holds the bytes left, less what a turn takes. Turns of
 * 16 bytes save two registers at most; runs are mostly too short for more. */
#include "mh_asm.h"

/* int8_t *mh_copy_bytes(int8_t *dst, const int8_t *src, int32_t bytes)
 * 16 a turn, then 4, then 1. */
FUNCTION mh_copy_bytes
    push {r4, r5}
    subs r2, r2, #16
    blt 2f
1:
    ldr r3, [r1], #16; ldr r4, [r1, #-12]; ldr r5, [r1, #-8]; ldr r12, [r1, #-4]
    str r3, [r0], #16; str r4, [r0, #-12]; str r5, [r0, #-8]; str r12, [r0, #-4]
    subs r2, r2, #16
    bge 1b
2:
    adds r2, r2, #12
    blt 4f
3:
    ldr r3, [r1], #4
    str r3, [r0], #4
    subs r2, r2, #4
    bge 3b
4:
    adds r2, r2, #4
    beq 6f
5:
    ldrb r3, [r1], #1
    strb r3, [r0], #1
    subs r2, r2, #1
    bne 5b
6:
    pop {r4, r5}
    bx lr
END mh_copy_bytes

/* int8_t *mh_fill_bytes(int8_t *dst, uint32_t four, int32_t bytes)
 * 16 a turn, then 4, then 1. */
FUNCTION mh_fill_bytes
    subs r2, r2, #16
    blt 2f
1:
    str r1, [r0], #16; str r1, [r0, #-12]; str r1, [r0, #-8]; str r1, [r0, #-4]
    subs r2, r2, #16
    bge 1b
2:
    adds r2, r2, #12
    blt 4f
3:
    str r1, [r0], #4
    subs r2, r2, #4
    bge 3b
4:
    adds r2, r2, #4
    beq 6f
5:
    strb r1, [r0], #1
    subs r2, r2, #1
    bne 5b
6:
    bx lr
END mh_fill_bytes

/* int8_t *mh_pick_bytes(int8_t *dst, const int8_t *src, int32_t bytes, int32_t step)
 * 4 a turn, then 1. */
FUNCTION mh_pick_bytes
    push {r4, r5}
    subs r2, r2, #4
    blt 2f
1:
    ldrb r4, [r1]
    ldrb r5, [r1, r3]
    add r1, r1, r3, lsl #1
    strb r4, [r0]
    strb r5, [r0, #1]
    ldrb r4, [r1]
    ldrb r5, [r1, r3]
    add r1, r1, r3, lsl #1
    strb r4, [r0, #2]
    strb r5, [r0, #3]
    adds r0, r0, #4
    subs r2, r2, #4
    bge 1b
2:
    adds r2, r2, #4
    beq 4f
3:
    ldrb r4, [r1]
    add r1, r1, r3
    strb r4, [r0], #1
    subs r2, r2, #1
    bne 3b
4:
    pop {r4, r5}
    bx lr
END mh_pick_bytes
