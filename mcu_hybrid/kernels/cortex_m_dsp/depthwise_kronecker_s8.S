/* Kronecker-packed depthwise convolution: rows of outputs of any width, of 5 and of 3, times segments
 * of 2, 3 and 4 words. For the registers see mh_dwk_asm.h. */
#include "mh_dwk_asm.h"

/* The next row at 3, or the next channel. */
.macro NEXT_ROW
    ldr r0, [sp, #FRAME(ROWS)]
    subs r0, r0, #1
    str r0, [sp, #FRAME(ROWS)]
    bne.w 3b
    NEXT_CHANNEL
.endm

/* Rows of any width, in blocks of 6 outputs. */
.macro CORE_any name, n, code, form, shift
    FUNCTION \name
    CHANNEL \form
3:
    add r12, sp, #FRAME(TABLE)
    FIELDS FRAME(TABLE), FRAME(ROWS), FRAME(OUT_ROW), FRAME(PLANE)
    ldm r12, {r4, r6, r7, r10}
    FIELDS MH_DWK_ROW_IN, MH_DWK_ROW_WEIGHTS, MH_DWK_ROW_ENTRY, MH_DWK_ROW_WEIGHTS_END
    ldm r4!, {r0-r3}
    ldr r8, [sp, #FRAME(BLOCKS)]
    str r8, [sp, #FRAME(BLOCKS_LEFT)]
    add r0, r0, r10
    add r12, sp, #FRAME_ROW(IN)
    FIELDS FRAME_ROW(IN), FRAME_ROW(WEIGHTS), FRAME_ROW(ENTRY), FRAME_ROW(WEIGHTS_END), FRAME(TABLE)
    stm r12, {r0-r4}
    ldr r8, [sp, #FRAME(ROW_STEP)]
    str r7, [sp, #FRAME(OUT)]
    add r7, r7, r8
    str r7, [sp, #FRAME(OUT_ROW)]
    add r11, sp, #FRAME(UNUSED) /* the first block has no output before it, and no carry */
    mov r12, #0
    FIELDS FRAME(BEFORE), FRAME(CARRY)
    strd r11, r12, [sp, #FRAME(BEFORE)]
    FIELDS FRAME(BEGIN)
    ldm sp, {r4-r9}
    bx r2
    SEGMENTS \name, WIDE\n, \code
    QUANTISE CONSTANTS_BLOCK, SPLIT6, \form, \shift, r11, r4, r5, r6, r7, r8
    ldr lr, [sp, #FRAME(BLOCKS_LEFT)]
    subs lr, lr, #1
    str lr, [sp, #FRAME(BLOCKS_LEFT)]
    beq 4f
    strb r11, [r10]
    strb r4, [r3]; strb r5, [r3, r2]
    add r3, r3, r2, lsl #1
    strb r6, [r3]; strb r7, [r3, r2]
    add r3, r3, r2, lsl #1
    strb r8, [r3]
    add r10, r3, r2
    add r3, r10, r2
    str r3, [sp, #FRAME(OUT)]
    str r10, [sp, #FRAME(BEFORE)]
    FIELDS FRAME_ROW(IN), FRAME_ROW(WEIGHTS)
    ldrd r0, r1, [sp, #FRAME_ROW(IN)]
    add r0, r0, #12 /* three words: six inputs */
    str r0, [sp, #FRAME_ROW(IN)]
    FIELDS FRAME(BEGIN)
    ldm sp, {r4-r9}
    ldr pc, [sp, #FRAME_ROW(ENTRY)]
4: /* the last block of a row has 0 to 5 outputs, and the one before it */
    ldr lr, [sp, #FRAME(LAST)]
    strb r11, [r10]
    cmp lr, #1
    blt 5f
    strb r4, [r3]
    beq 5f
    cmp lr, #3
    strb r5, [r3, r2]
    blt 5f
    add r3, r3, r2, lsl #1
    strb r6, [r3]
    beq 5f
    cmp lr, #5
    strb r7, [r3, r2]
    blt 5f
    strb r8, [r3, r2, lsl #1]
5:
    NEXT_ROW
    END \name
.endm

/* Rows of exactly 5 or 3 outputs: one block, which takes nothing over. OPEN starts a row with the
 * sums in such registers, CLOSE goes on to the next row's outputs. */
.macro OPEN_NARROW form, sums
    CHANNEL \form
    ldr r0, [sp, #FRAME(OUT_ROW)]
    str r0, [sp, #FRAME(OUT)]
3:
    ldr r4, [sp, #FRAME(TABLE)]
    ldr r10, [sp, #FRAME(PLANE)]
    FIELDS MH_DWK_ROW_IN, MH_DWK_ROW_WEIGHTS, MH_DWK_ROW_ENTRY, MH_DWK_ROW_WEIGHTS_END
    ldm r4!, {r0-r3}
    str r4, [sp, #FRAME(TABLE)]
    str r3, [sp, #FRAME_ROW(WEIGHTS_END)]
    add r0, r0, r10
    FIELDS FRAME(BEGIN)
    ldm sp, {\sums}
    bx r2
.endm
.macro CLOSE_NARROW
    ldr r9, [sp, #FRAME(OUT)]
    ldr r10, [sp, #FRAME(ROW_STEP)]
    add r9, r9, r10
    str r9, [sp, #FRAME(OUT)]
.endm

.macro CORE_w5 name, n, code, form, shift
    FUNCTION \name
    OPEN_NARROW \form, r4-r9
    SEGMENTS \name, WIDE\n, \code
    QUANTISE CONSTANTS_ROW, SPLIT5, \form, \shift, r4, r5, r6, r7, r8
    CLOSE_NARROW
    strb r4, [r3]; strb r5, [r3, r2]
    add r3, r3, r2, lsl #1
    strb r6, [r3]; strb r7, [r3, r2]; strb r8, [r3, r2, lsl #1]
    NEXT_ROW
    END \name
.endm

.macro CORE_w3 name, n, code, form, shift
    FUNCTION \name
    OPEN_NARROW \form, r4-r7
    SEGMENTS \name, NARROW\n, \code
    QUANTISE CONSTANTS_ROW, SPLIT3, \form, \shift, r4, r5, r6
    CLOSE_NARROW
    strb r4, [r3]; strb r5, [r3, r2]; strb r6, [r3, r2, lsl #1]
    NEXT_ROW
    END \name
.endm

/* void name(const mh_dwk_job *job): the forms of a core, by the words of a segment, the width of
 * rows and the bytes of a segment's code. */
.macro FORMS n, width, code
    CORE_\width mh_core_dwk\n\width\()_exact, \n, \code, exact, 0
    CORE_\width mh_core_dwk\n\width\()_slope8, \n, \code, slope, 8
    CORE_\width mh_core_dwk\n\width\()_slope12, \n, \code, slope, 12
    CORE_\width mh_core_dwk\n\width\()_slope16, \n, \code, slope, 16
.endm
FORMS 2, any, MH_DWK_WIDE2_CODE
FORMS 3, any, MH_DWK_WIDE3_CODE
FORMS 4, any, MH_DWK_WIDE4_CODE
FORMS 2, w5, MH_DWK_WIDE2_CODE
FORMS 3, w5, MH_DWK_WIDE3_CODE
FORMS 4, w5, MH_DWK_WIDE4_CODE
FORMS 2, w3, MH_DWK_NARROW2_CODE
FORMS 3, w3, MH_DWK_NARROW3_CODE
FORMS 4, w3, MH_DWK_NARROW4_CODE
