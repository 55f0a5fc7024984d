/* The sums of any window: four channels, straight from the map. */
#include "mh_dw_job.h"

/* void mh_dw_window(const mh_dw_window_job *w, int32_t sums[4])
 * Sums of channels 0, 2, 1, 3.
 *
 *   r0        the job, then four inputs; channels 1 and 3 of them
 *   r1 r2     in, weights
 *   r3 r4     from column to column of both
 *   r5        columns
 *   r6        rows left; within a row columns left; weights of channels 0 and 2
 *   r7        offset
 *   r8-r11    sums
 *   r12       four weights, then those of channels 1 and 3
 *   lr        inputs of channels 0 and 2
 *   [sp]      the job and where the sums go; above them what r6 held
 */
#define FRAME_JOB 0
job .req r0
FUNCTION mh_dw_window
    push {r0, r1, r4-r11, lr}
    ldr r7, [job, #MH_DW_WINDOW_JOB_OFFSET]
    FIELDS MH_DW_WINDOW_JOB_LOADED
    ldm job, {r1-r6}
    mov r8, #0; mov r9, #0; mov r10, #0; mov r11, #0
1:
    push {r6}
    mov r6, r5
2:
    ldr r0, [r1]
    ldr r12, [r2]
    sxtab16 lr, r7, r0
    sxtab16 r0, r7, r0, ror #8
    push {r6}
    sxtb16 r6, r12
    sxtb16 r12, r12, ror #8
    smlabb r8, lr, r6, r8; smlatt r9, lr, r6, r9
    smlabb r10, r0, r12, r10; smlatt r11, r0, r12, r11
    pop {r6}
    add r1, r1, r3; add r2, r2, r4
    subs r6, r6, #1
    bne 2b
    pop {r6}
    ldr job, [sp, #FRAME_JOB]
    FIELDS MH_DW_WINDOW_JOB_IN_SKIP, MH_DW_WINDOW_JOB_WEIGHTS_SKIP
    ldrd r12, r0, [job, #MH_DW_WINDOW_JOB_IN_SKIP]
    add r1, r1, r12; add r2, r2, r0
    subs r6, r6, #1
    bne 1b
    pop {r0, r1}
    stm r1, {r8-r11}
    pop {r4-r11, pc}
END mh_dw_window
