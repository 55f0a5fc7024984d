/* Depthwise products: a chunk is 8 outputs of one channel, as many rows high as the shape says.
 *
 * The weights of the channel stay in q4 to q7. A chunk's outputs go column by column; the first
 * four become q1, the others q2, which the narrowing to 16 bits interleaves.
 *
 * Registers: r1 plane, r3 outputs, r5 bias, r7 multiplier, r9 shift, r8 and r10 steps, r11 chunks
 * left, r12 zero point, lr channels; r0, r2, r4, r6 sums. The stack pointer holds the job.
 */
#include "mh_mve_planes.h"

/* clang-format off */
#define FIELD_WEIGHT_BYTES 12
#define FIELD_PLANE_BYTES 16
#define FIELD_CHUNKS 20
#define FIELD_FIRST_MASK 24
#define FIELD_LAST_MASK 28
#define FIELD_LANES 48
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

__asm__(
    ".syntax unified\n.thumb\n"
    ".macro mh_plane_weights count\n"
    "vldrb.8 q0, [r2]\n vldrb.u8 q4, [r0, q0]\n"
    ".if \\count > 1\n vldrb.8 q0, [r2, #16]\n vldrb.u8 q5, [r0, q0]\n .endif\n"
    ".if \\count > 2\n vldrb.8 q0, [r2, #32]\n vldrb.u8 q6, [r0, q0]\n .endif\n"
    ".if \\count > 3\n vldrb.8 q0, [r2, #48]\n vldrb.u8 q7, [r0, q0]\n .endif\n"
    ".endm\n"
    /* One output. */
    ".macro mh_plane_one sum, at, vectors\n"
    "vldrb.8 q0, [r1, #\\at]\n vmladav.s8 \\sum, q0, q4\n"
    ".if \\vectors > 1\n vldrb.8 q0, [r1, #\\at+16]\n vmladava.s8 \\sum, q0, q5\n .endif\n"
    ".if \\vectors > 2\n vldrb.8 q0, [r1, #\\at+32]\n vmladava.s8 \\sum, q0, q6\n .endif\n"
    ".if \\vectors > 3\n vldrb.8 q0, [r1, #\\at+48]\n vmladava.s8 \\sum, q0, q7\n .endif\n"
    ".endm\n"
    /* Two outputs, one below the other, of the same vectors. */
    ".macro mh_plane_two first, second, at, stride, vectors\n"
    ".if \\vectors == 1\n"
    "vldrb.8 q0, [r1, #\\at]\n vmladav.s8 \\first, q0, q4\n vmladav.s8 \\second, q0, q5\n"
    ".elseif \\vectors == 2\n"
    "vldrb.8 q0, [r1, #\\at]\n vmladav.s8 \\first, q0, q4\n vmladav.s8 \\second, q0, q6\n"
    "vldrb.8 q0, [r1, #\\at+16]\n vmladava.s8 \\first, q0, q5\n vmladava.s8 \\second, q0, q7\n"
    ".else\n"
    "mh_plane_one \\first, \\at, \\vectors\n mh_plane_one \\second, \\at+\\stride, \\vectors\n"
    ".endif\n"
    ".endm\n"
    /* Four outputs: half a chunk. */
    ".macro mh_plane_half rows, stride, vectors\n"
    ".if \\rows == 1\n"
    "mh_plane_one r0, 0, \\vectors\n add r1, r8\n"
    "mh_plane_one r2, 0, \\vectors\n add r1, r8\n"
    "mh_plane_one r4, 0, \\vectors\n add r1, r8\n"
    "mh_plane_one r6, 0, \\vectors\n"
    ".elseif \\rows == 2\n"
    "mh_plane_two r0, r2, 0, \\stride, \\vectors\n add r1, r8\n"
    "mh_plane_two r4, r6, 0, \\stride, \\vectors\n"
    ".else\n"
    "mh_plane_two r0, r2, 0, \\stride, \\vectors\n"
    "mh_plane_two r4, r6, 2*\\stride, \\stride, \\vectors\n"
    ".endif\n"
    "add r1, r8\n"
    ".endm\n"

    ".macro mh_planes form, rows, stride, vectors\n"
    ".pushsection .text.mh_mve_planes_\\form\\()_\\rows\\()_\\stride\\()_\\vectors,\"ax\",%progbits\n"
    ".balign 4\n"
    ".global mh_mve_planes_\\form\\()_\\rows\\()_\\stride\\()_\\vectors\n"
    ".type mh_mve_planes_\\form\\()_\\rows\\()_\\stride\\()_\\vectors, %function\n.thumb_func\n"
    "mh_mve_planes_\\form\\()_\\rows\\()_\\stride\\()_\\vectors\\():\n"
    "push {r3-r11, lr}\n vpush {d8-d15}\n sub sp, #56\n"
    "ldm r0!, {r1-r8}\n mov lr, sp\n stm lr!, {r1-r8}\n"
    "ldm r0, {r4, r8, r10, r12}\n ldrd r2, r3, [r0, #16]\n"
    "str r2, [sp, #" TEXT(FIELD_LANES) "]\n vldrh.16 q3, [r3]\n mov lr, r4\n"
    "1: ldm sp, {r0, r1, r3}\n ldr r2, [sp, #" TEXT(FIELD_LANES) "]\n"
    ".if \\rows > 1 && \\vectors < 3\n mh_plane_weights 2*\\vectors\n"
    ".else\n mh_plane_weights \\vectors\n .endif\n"
    "ldrd r2, r4, [sp, #" TEXT(FIELD_WEIGHT_BYTES) "]\n"
    "add r0, r2\n ldm r0!, {r5, r7, r9}\n add r2, r1, r4\n add r4, r3, #1\n stm sp, {r0, r2, r4}\n"
    "ldrd r11, r4, [sp, #" TEXT(FIELD_CHUNKS) "]\n"
    "2: vmsr p0, r4\n"
    "3:\n"
    "mh_plane_half \\rows, \\stride, \\vectors\n"
    "vmov d2, r0, r2\n vmov d3, r4, r6\n"
    "mh_plane_half \\rows, \\stride, \\vectors\n"
    "vmov d4, r0, r2\n vmov d5, r4, r6\n"
    "vadd.i32 q1, q1, r5\n vadd.i32 q2, q2, r5\n"
    "vqrdmulh.s32 q1, q1, r7\n vqrdmulh.s32 q2, q2, r7\n"
    ".ifc \\form,away\n"
    "vshr.s32 q0, q1, #31\n vadd.i32 q1, q1, q0\n vshr.s32 q0, q2, #31\n vadd.i32 q2, q2, q0\n"
    ".endif\n"
    "vrshl.s32 q1, r9\n vrshl.s32 q2, r9\n"
    "vqmovnb.s32 q1, q1\n vqmovnt.s32 q1, q2\n"
    "vqadd.s16 q1, q1, r12\n vqmovnb.s16 q1, q1\n"
    "vpst\n vstrbt.16 q1, [r3, q3]\n"
    "add r3, r10\n subs r11, #1\n bgt 3b\n"
    "bmi 4f\n ldr r4, [sp, #" TEXT(FIELD_LAST_MASK) "]\n b 2b\n"
    "4: subs lr, #1\n bne 1b\n"
    "add sp, #56\n vpop {d8-d15}\n pop {r3-r11, pc}\n"
    ".popsection\n"
    ".endm\n"
);

#define PLANES(form, rows, stride, vectors)                                                        \
    __asm__("mh_planes " #form ", " #rows ", " #stride ", " #vectors "\n");
MH_MVE_DEPTHWISE(PLANES)
/* clang-format on */
