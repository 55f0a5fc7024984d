/* The inner loops of the pools and of MEAN: maxima and sums over a window.
 *
 *   r0      the window, then its pixels
 *   r1      out
 *   r2      bytes from pixel to pixel
 *   r3      columns, at least 1
 *   r4 r5   maxima or sums
 *   r6      a pixel
 *   r7      columns left
 *   r8      bytes from the end of a row to the next
 *   r9      rows left, at least 1
 */
#include "mh_ew_job.h"

.macro OPEN
    push {r4-r9}
    FIELDS MH_POOL_WINDOW_ALL
    ldm r0, {r0, r2, r3, r8, r9}
.endm

/* On to the next pixel at 2, or to the next row at 1. */
.macro NEXT
    add r0, r0, r2
    subs r7, r7, #1
    bne 2b
    add r0, r0, r8
    subs r9, r9, #1
    bne 1b
.endm

.macro CLOSE
    pop {r4-r9}
    bx lr
.endm

/* Byte by byte, by the carries that SSUB8 leaves. */
.macro MAX acc, x
    ssub8 r12, \acc, \x
    sel \acc, \acc, \x
.endm

/* void mh_max_8(const mh_pool_window *w, int8_t *out) */
FUNCTION mh_max_8
    OPEN
    ldr r4, [r0]; ldr r5, [r0, #4]
1:
    mov r7, r3
2:
    ldr r6, [r0]
    MAX r4, r6
    ldr r6, [r0, #4]
    MAX r5, r6
    NEXT
    str r4, [r1]; str r5, [r1, #4]
    CLOSE
END mh_max_8

/* void mh_max_4(const mh_pool_window *w, int8_t *out) */
FUNCTION mh_max_4
    OPEN
    ldr r4, [r0]
1:
    mov r7, r3
2:
    ldr r6, [r0]
    MAX r4, r6
    NEXT
    str r4, [r1]
    CLOSE
END mh_max_4

/* void mh_sum_4(const mh_pool_window *w, uint32_t sums[2]) */
FUNCTION mh_sum_4
    OPEN
    mov r4, #0; mov r5, #0
1:
    mov r7, r3
2:
    ldr r6, [r0]
    sxtab16 r4, r4, r6
    sxtab16 r5, r5, r6, ror #8
    NEXT
    strd r4, r5, [r1]
    CLOSE
END mh_sum_4
