/* Bytes to the int16 columns that the tiles read: words of (input 0, 2) and (1, 3) of each 4. The
 * places of the bytes need no alignment. */
#include "mh_gemm_job.h"

/* Four inputs of three pixels.
 *
 *   r0-r2   places of the three pixels
 *   r3      column
 *   r4-r6   inputs 0 and 2
 *   r7-r9   bytes, then inputs 1 and 3
 */
.macro GROUP3
    ldr r7, [r0], #4; ldr r8, [r1], #4; ldr r9, [r2], #4
    sxtb16 r4, r7; sxtb16 r5, r8; sxtb16 r6, r9
    sxtb16 r7, r7, ror #8; sxtb16 r8, r8, ror #8; sxtb16 r9, r9, ror #8
    stmia r3!, {r4-r9}
.endm

/* uint32_t *mh_widen3(const int8_t *a, const int8_t *b, const int8_t *c, uint32_t *column,
 *                     int32_t groups)
 * r12 = pairs of groups left; an odd group goes first. */
#define ARG_GROUPS 0 /* on the stack */
FUNCTION mh_widen3
    ldr r12, [sp, #ARG_GROUPS]
    push {r4-r9}
    lsrs r12, r12, #1
    bcc 1f
    GROUP3
1:
    cmp r12, #0
    beq 3f
2:
    GROUP3
    GROUP3
    subs r12, r12, #1
    bne 2b
3:
    mov r0, r3
    pop {r4-r9}
    bx lr
END mh_widen3

/* Four inputs of one pixel: r0 place, r1 column. */
.macro GROUP1
    ldr r12, [r0], #4
    sxtb16 r3, r12
    sxtb16 r12, r12, ror #8
    strd r3, r12, [r1], #8
.endm

/* uint32_t *mh_widen1(const int8_t *a, uint32_t *column, int32_t groups)
 * r2 = pairs of groups left; an odd group goes first. */
FUNCTION mh_widen1
    lsrs r2, r2, #1
    bcc 1f
    GROUP1
1:
    cbz r2, 3f
2:
    GROUP1
    GROUP1
    subs r2, r2, #1
    bne 2b
3:
    mov r0, r1
    bx lr
END mh_widen1

/* uint32_t *mh_widen3_rows(const mh_rows *rows, uint32_t *column, int32_t groups, int32_t count)
 *
 *   r0-r9   as GROUP3 has them
 *   r10     the three gaps
 *   r11     rows left
 *   r12     groups in a row, at least 1
 *   lr      groups left in this one
 */
FUNCTION mh_widen3_rows
    push {r4-r11, lr}
    mov r10, r0
    mov r11, r3
    mov r12, r2
    mov r3, r1
    FIELDS MH_ROWS_AT, MH_ROWS_AT + 4, MH_ROWS_AT + 8, MH_ROWS_GAP /* r10 moves on to the gaps */
    ldmia r10!, {r0, r1, r2}
1:
    mov lr, r12
2:
    GROUP3
    subs lr, lr, #1
    bne 2b
    ldm r10, {r4, r5, r6}
    add r0, r4; add r1, r5; add r2, r6
    subs r11, r11, #1
    bne 1b
    mov r0, r3
    pop {r4-r11, pc}
END mh_widen3_rows
