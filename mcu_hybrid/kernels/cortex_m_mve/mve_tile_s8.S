/* The multiplication of all matrix kernels: four output channels of two pixels at a time.
 *
 * vmladava adds 16 products to a core register; loads and products alternate, so that the two beats
 * of one run beside those of the other. The eight sums then become two vectors of four channels.
 *
 *               pairs                               singles
 *   r0 r2 ...   sums: the even registers, for an    r0 r2 r4 r6: sums
 *               instruction takes no others
 *   r1          the first pixel's outputs           stream
 *   r3          the second pixel's outputs          the pixel's inputs
 *   r5          stream                              pixels left
 *   r7          passes left                         outputs
 *   r8                                              end of the outputs
 *   r9 r11      inputs of both pixels               r11: the job
 *   r10 r12                                         blocks; the pixel
 *   q0-q3       weights
 *   q4 q5       inputs; constants
 *   q6          the zero point
 */
#include "mh_mve_job.h"

/* The frame of pairs is a copy of the job; where their blocks begin takes the number of blocks'
 * place. */
#define FRAME(field) MH_MVE_JOB_##field
#define FRAME_ENTRY FRAME(BLOCKS)
#define FRAME_BYTES MH_MVE_JOB_BYTES
#define BLOCK_CODE 56 /* bytes of code of a block: 14 instructions */

/* One block of weights of a channel and its products with both pixels. */
.macro PAIR_MAC q, first, second, bytes, mac
    vldrb.8 \q, [r5], #\bytes
    \mac\().s8 \first, \q, q4
    \mac\().s8 \second, \q, q5
.endm
.macro PAIR_BLOCK
    vldrb.8 q4, [r9], #16
    vldrb.8 q0, [r5], #16
    vmladava.s8 r0, q0, q4
    vldrb.8 q5, [r11], #16
    vmladava.s8 r2, q0, q5
    PAIR_MAC q1, r4, r6, 16, vmladava
    PAIR_MAC q2, r8, r10, 16, vmladava
    PAIR_MAC q3, r12, lr, 16, vmladava
.endm

/* The first block sets the sums; a short one has zeros beyond its inputs. */
.macro PAIR_FIRST bytes
    .if \bytes == 16
    vldrb.8 q4, [r9], #16
    vldrb.8 q5, [r11], #16
    .else
    vpstt
    vldrbt.8 q4, [r9], #\bytes
    vldrbt.8 q5, [r11], #\bytes
    .endif
    PAIR_MAC q0, r0, r2, \bytes, vmladav
    PAIR_MAC q1, r4, r6, \bytes, vmladav
    PAIR_MAC q2, r8, r10, \bytes, vmladav
    PAIR_MAC q3, r12, lr, \bytes, vmladav
.endm

/* Rounds half away from zero: one less where negative. t is lost; s holds right shifts < 0. */
.macro TIES form, q, s, t
    .ifc \form, away
    vshr.s32 \t, \q, #31
    vadd.i32 \q, \q, \t
    .endif
    .ifc \form, any
    vand \t, \q, \s
    vshr.s32 \t, \t, #31
    vadd.i32 \q, \q, \t
    .endif
.endm

/* q0 and q1 to 16 bits, in turn, less the zero point. */
.macro PAIR_SCALE form
    vldrw.u32 q4, [r5], #16
    vadd.i32 q0, q0, q4; vadd.i32 q1, q1, q4
    .ifc \form, any
    vldrw.u32 q4, [r5], #16
    vshl.s32 q0, q0, q4; vshl.s32 q1, q1, q4
    .endif
    vldrw.u32 q5, [r5], #16
    vqrdmulh.s32 q0, q0, q5
    vldrw.u32 q4, [r5], #16
    vqrdmulh.s32 q1, q1, q5
    TIES \form, q0, q4, q5
    vrshl.s32 q0, q0, q4
    TIES \form, q1, q4, q7
    vrshl.s32 q1, q1, q4
    vqmovnb.s32 q0, q0; vqmovnt.s32 q0, q1
.endm

/* For inputs whose number leaves ``tail`` when divided by 16: the lanes that a first block has. */
.macro TAIL_LANES tail
    .if \tail
    movs r0, #\tail
    vctp.8 r0
    .endif
.endm

/* void mh_mve_pairs_<form><tail>(const mh_mve_job *job) */
.macro PAIRS form, tail
    FUNCTION mh_mve_pairs_\form\tail
    push {r3-r11, lr}
    vpush {d8-d15}
    sub sp, #FRAME_BYTES
    FIELDS MH_MVE_JOB_ALL
    ldm r0, {r1-r12}
    FIELDS MH_MVE_JOB_ALL
    stm sp, {r1-r12}
    vdup.16 q6, r12
    TAIL_LANES \tail
    /* Where the blocks begin: the code of passes * 4 - blocks of them is left out. */
    adr.w r6, 3f
    cbz r5, 8f
    adr.w r6, 2f
    rsb r4, r5, r2, lsl #2
    movs r0, #BLOCK_CODE
    mla r6, r4, r0, r6
8:
    orr r6, r6, #1
    str r6, [sp, #FRAME_ENTRY]
    mov r1, r10
    add r3, r10, r7
    ldr r5, [sp, #FRAME(STREAM)]
    FIELDS FRAME(END), FRAME(PASSES), FRAME(PIXEL), FRAME(SECOND)
    ldm sp, {r0, r7, r9, r11}
1:
    .if \tail
    PAIR_FIRST \tail
    .else
    PAIR_FIRST 16
    .endif
    ldr pc, [sp, #FRAME_ENTRY]
    .balign 4
2:
    PAIR_BLOCK
    PAIR_BLOCK
    PAIR_BLOCK
    PAIR_BLOCK
    .if . - 2b != 4 * BLOCK_CODE
    .error "BLOCK_CODE: a block has another size"
    .endif
    subs.w r7, #1
    bne.w 2b
3:
    vmov d0, r0, r4; vmov d1, r8, r12
    vmov d2, r2, r6; vmov d3, r10, lr
    PAIR_SCALE \form
    vqadd.s16 q0, q0, q6
    vqmovnb.s16 q0, q0
    vstrb.32 q0, [r1], #4
    vshr.u32 q0, q0, #16
    vstrb.32 q0, [r3], #4
    FIELDS FRAME(END), FRAME(PASSES), FRAME(PIXEL), FRAME(SECOND)
    ldm sp, {r0, r7, r9, r11}
    cmp r1, r0
    bne.w 1b
    /* The next two pixels. */
    add r5, sp, #FRAME(STREAM)
    FIELDS FRAME(STREAM), FRAME(OUT_C), FRAME(PIXEL_BYTES), FRAME(PIXELS)
    FIELDS FRAME(PIXELS), FRAME(OUT), FRAME(GROUP_BYTES)
    ldm r5, {r2, r4, r6, r8, r10, r12}
    subs r8, #2
    ble 4f
    mov r5, r2
    add r9, r9, r6, lsl #1; add r11, r11, r6, lsl #1
    add r1, r10, r4, lsl #1
    add r3, r1, r4
    add r0, r1, r12
    str r8, [sp, #FRAME(PIXELS)]
    str r1, [sp, #FRAME(OUT)]
    FIELDS FRAME(END), FRAME(PASSES), FRAME(PIXEL), FRAME(SECOND)
    stm sp, {r0, r7, r9, r11}
    b.w 1b
4:
    add sp, #FRAME_BYTES
    vpop {d8-d15}
    pop {r3-r11, pc}
    END mh_mve_pairs_\form\tail
.endm

/* One block of weights of a channel and its products with the pixel. */
.macro SINGLE_MAC q, sum, bytes, mac
    vldrb.8 \q, [r1], #\bytes
    \mac\().s8 \sum, \q, q4
.endm
.macro SINGLE_MACS bytes, mac
    SINGLE_MAC q0, r0, \bytes, \mac
    SINGLE_MAC q1, r2, \bytes, \mac
    SINGLE_MAC q2, r4, \bytes, \mac
    SINGLE_MAC q3, r6, \bytes, \mac
.endm

job .req r11

/* void mh_mve_singles_<form><tail>(const mh_mve_job *job) */
.macro SINGLES form, tail
    FUNCTION mh_mve_singles_\form\tail
    push {r4-r11, lr}
    vpush {d8-d15}
    mov job, r0
    ldr r0, [job, #MH_MVE_JOB_ZP]
    vdup.16 q6, r0
    ldr r8, [job, #MH_MVE_JOB_END]
    ldr r12, [job, #MH_MVE_JOB_PIXEL]
    ldr r10, [job, #MH_MVE_JOB_BLOCKS]
    ldr r7, [job, #MH_MVE_JOB_OUT]
    ldr r5, [job, #MH_MVE_JOB_PIXELS]
    TAIL_LANES \tail
1:
    ldr r1, [job, #MH_MVE_JOB_STREAM]
2:
    mov r3, r12
    .if \tail
    vpst
    vldrbt.8 q4, [r3], #\tail
    SINGLE_MACS \tail, vmladav
    .else
    vldrb.8 q4, [r3], #16
    SINGLE_MACS 16, vmladav
    .endif
    wls lr, r10, 4f
3:
    vldrb.8 q4, [r3], #16
    SINGLE_MACS 16, vmladava
    le lr, 3b
4:
    vmov d0, r0, r2; vmov d1, r4, r6
    vldrw.u32 q4, [r1], #16
    vadd.i32 q0, q0, q4
    .ifc \form, any
    vldrw.u32 q4, [r1], #16
    vshl.s32 q0, q0, q4
    .endif
    vldrw.u32 q5, [r1], #16
    vqrdmulh.s32 q0, q0, q5
    vldrw.u32 q4, [r1], #16
    TIES \form, q0, q4, q5
    vrshl.s32 q0, q0, q4
    vqmovnb.s32 q0, q0
    vqadd.s16 q0, q0, q6
    vqmovnb.s16 q0, q0
    vstrb.32 q0, [r7], #4
    cmp r7, r8
    bne.w 2b
    subs r5, #1
    beq 5f
    add r0, job, #MH_MVE_JOB_OUT_C
    FIELDS MH_MVE_JOB_OUT_C, MH_MVE_JOB_PIXEL_BYTES
    ldm r0, {r2, r4}
    ldr r0, [job, #MH_MVE_JOB_GROUP_BYTES]
    add r12, r12, r4
    add r8, r8, r2
    sub r7, r8, r0
    b.w 1b
5:
    vpop {d8-d15}
    pop {r4-r11, pc}
    END mh_mve_singles_\form\tail
.endm

/* The forms and tails of MH_MVE_FORMS (mh_nn_mve.h). */
.macro TILES form
    .irp tail, 0, 4, 8, 12
    PAIRS \form, \tail
    SINGLES \form, \tail
    .endr
.endm
TILES up
TILES away
TILES any
