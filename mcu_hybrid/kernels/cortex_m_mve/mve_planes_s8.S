/* Depthwise products: a chunk is 8 outputs of one channel, as many rows high as the shape says.
 *
 * The weights of the channel stay in q4 to q7. A chunk's outputs go column by column; the first
 * four become q1, the others q2, which the narrowing to 16 bits interleaves.
 *
 *   r0 r2 r4 r6   sums
 *   r1            plane
 *   r3            outputs
 *   r5 r7 r9      bias, multiplier, negated right shift
 *   r8            from column to column of outputs, in the plane
 *   r10           from chunk to chunk of outputs
 *   r11           chunks left
 *   r12           the zero point
 *   lr            channels left
 *   q0            inputs
 *   q3            where the outputs of a chunk go
 */
#include "mh_mve_planes_job.h"

/* The frame is a copy of the job, of which registers hold what is read in chunks. */
#define FRAME(field) MH_MVE_PLANES_JOB_##field
#define FRAME_BYTES MH_MVE_PLANES_JOB_BYTES

/* The vectors of a channel's weights, lane by lane as r2 says, from r0. */
.macro WEIGHTS count
    vldrb.8 q0, [r2]
    vldrb.u8 q4, [r0, q0]
    .if \count > 1
    vldrb.8 q0, [r2, #16]
    vldrb.u8 q5, [r0, q0]
    .endif
    .if \count > 2
    vldrb.8 q0, [r2, #32]
    vldrb.u8 q6, [r0, q0]
    .endif
    .if \count > 3
    vldrb.8 q0, [r2, #48]
    vldrb.u8 q7, [r0, q0]
    .endif
.endm

/* One output. */
.macro PLANE_ONE sum, at, vectors
    vldrb.8 q0, [r1, #\at]
    vmladav.s8 \sum, q0, q4
    .if \vectors > 1
    vldrb.8 q0, [r1, #\at + 16]
    vmladava.s8 \sum, q0, q5
    .endif
    .if \vectors > 2
    vldrb.8 q0, [r1, #\at + 32]
    vmladava.s8 \sum, q0, q6
    .endif
    .if \vectors > 3
    vldrb.8 q0, [r1, #\at + 48]
    vmladava.s8 \sum, q0, q7
    .endif
.endm

/* Two outputs, one below the other, of the same vectors. */
.macro PLANE_TWO first, second, at, stride, vectors
    .if \vectors == 1
    vldrb.8 q0, [r1, #\at]
    vmladav.s8 \first, q0, q4; vmladav.s8 \second, q0, q5
    .elseif \vectors == 2
    vldrb.8 q0, [r1, #\at]
    vmladav.s8 \first, q0, q4; vmladav.s8 \second, q0, q6
    vldrb.8 q0, [r1, #\at + 16]
    vmladava.s8 \first, q0, q5; vmladava.s8 \second, q0, q7
    .else
    PLANE_ONE \first, \at, \vectors
    PLANE_ONE \second, \at+\stride, \vectors
    .endif
.endm

/* Four outputs: half a chunk. */
.macro PLANE_HALF rows, stride, vectors
    .if \rows == 1
    PLANE_ONE r0, 0, \vectors
    add r1, r8
    PLANE_ONE r2, 0, \vectors
    add r1, r8
    PLANE_ONE r4, 0, \vectors
    add r1, r8
    PLANE_ONE r6, 0, \vectors
    .elseif \rows == 2
    PLANE_TWO r0, r2, 0, \stride, \vectors
    add r1, r8
    PLANE_TWO r4, r6, 0, \stride, \vectors
    .else
    PLANE_TWO r0, r2, 0, \stride, \vectors
    PLANE_TWO r4, r6, 2*\stride, \stride, \vectors
    .endif
    add r1, r8
.endm

/* void mh_mve_planes_<form>_<rows>_<stride>_<vectors>(const mh_mve_planes_job *job) */
.macro PLANES form, rows, stride, vectors
    CORE mh_mve_planes_\form\()_\rows\()_\stride\()_\vectors, \form, \rows, \stride, \vectors
.endm
.macro CORE name, form, rows, stride, vectors
    FUNCTION \name
    push {r3-r11, lr}
    vpush {d8-d15}
    sub sp, #FRAME_BYTES
    FIELDS MH_MVE_PLANES_JOB_HEAD, FRAME(CHANNELS) /* where r0 moves on to */
    ldm r0!, {r1-r8}
    mov lr, sp
    stm lr!, {r1-r8}
    FIELDS FRAME(CHANNELS), FRAME(STEP), FRAME(OUT_STEP), FRAME(ZP)
    ldm r0, {r4, r8, r10, r12}
    FIELDS FRAME(LANES), FRAME(PLACES)
    ldrd r2, r3, [r0, #(FRAME(LANES) - FRAME(CHANNELS))]
    str r2, [sp, #FRAME(LANES)]
    vldrh.16 q3, [r3]
    mov lr, r4
1:
    FIELDS FRAME(STREAM), FRAME(PLANE), FRAME(OUT)
    ldm sp, {r0, r1, r3}
    ldr r2, [sp, #FRAME(LANES)]
    .if \rows > 1 && \vectors < 3
    WEIGHTS 2*\vectors
    .else
    WEIGHTS \vectors
    .endif
    FIELDS FRAME(WEIGHT_BYTES), FRAME(PLANE_BYTES)
    ldrd r2, r4, [sp, #FRAME(WEIGHT_BYTES)]
    add r0, r2
    ldm r0!, {r5, r7, r9}
    add r2, r1, r4
    add r4, r3, #1
    FIELDS FRAME(STREAM), FRAME(PLANE), FRAME(OUT) /* of the next channel */
    stm sp, {r0, r2, r4}
    FIELDS FRAME(CHUNKS), FRAME(FIRST_MASK)
    ldrd r11, r4, [sp, #FRAME(CHUNKS)]
2:
    vmsr p0, r4
3:
    PLANE_HALF \rows, \stride, \vectors
    vmov d2, r0, r2; vmov d3, r4, r6
    PLANE_HALF \rows, \stride, \vectors
    vmov d4, r0, r2; vmov d5, r4, r6
    vadd.i32 q1, q1, r5; vadd.i32 q2, q2, r5
    vqrdmulh.s32 q1, q1, r7; vqrdmulh.s32 q2, q2, r7
    .ifc \form, away
    vshr.s32 q0, q1, #31
    vadd.i32 q1, q1, q0
    vshr.s32 q0, q2, #31
    vadd.i32 q2, q2, q0
    .endif
    vrshl.s32 q1, r9; vrshl.s32 q2, r9
    vqmovnb.s32 q1, q1; vqmovnt.s32 q1, q2
    vqadd.s16 q1, q1, r12
    vqmovnb.s16 q1, q1
    vpst
    vstrbt.16 q1, [r3, q3]
    add r3, r10
    subs r11, #1
    bgt 3b
    bmi 4f
    ldr r4, [sp, #FRAME(LAST_MASK)]
    b 2b
4:
    subs lr, #1
    bne 1b
    add sp, #FRAME_BYTES
    vpop {d8-d15}
    pop {r3-r11, pc}
    END \name
.endm

/* The shapes and forms of MH_MVE_DEPTHWISE (mh_nn_mve.h). */
.irp form, up, away
PLANES \form, 1, 1, 1
PLANES \form, 1, 1, 2
PLANES \form, 1, 1, 3
PLANES \form, 1, 1, 4
PLANES \form, 2, 1, 1
PLANES \form, 2, 1, 2
PLANES \form, 2, 1, 3
PLANES \form, 2, 1, 4
PLANES \form, 2, 2, 1
PLANES \form, 2, 2, 2
PLANES \form, 2, 2, 3
PLANES \form, 2, 2, 4
PLANES \form, 4, 1, 1
.endr
