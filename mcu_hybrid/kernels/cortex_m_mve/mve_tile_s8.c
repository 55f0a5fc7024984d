/* The multiplication of all matrix kernels: four output channels of two pixels at a time.
 *
 * vmladava adds 16 products to a core register; loads and products alternate, so that the two beats
 * of one run beside those of the other. The eight sums then become two vectors of four channels.
 *
 * Registers: r1 and r3 outputs, r5 stream, r7 passes, r9 and r11 pixels; the even ones are sums
 * (an instruction takes no others). The stack pointer holds an mh_mve_job.
 */
#include "mh_mve.h"

/* clang-format off */
#define FIELD_END 0
#define FIELD_PIXEL 8
#define FIELD_ENTRY 16
#define FIELD_STREAM 20
#define FIELD_OUT_C 24
#define FIELD_PIXELS 32
#define FIELD_OUT 36
#define FIELD_GROUP_BYTES 40
#define FIELD_ZP 44
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

__asm__(
    ".syntax unified\n.thumb\n"
    /* One block of weights of a channel and its products with both pixels. */
    ".macro mh_pair_mac q, first, second, bytes, mac\n"
    "vldrb.8 \\q, [r5], #\\bytes\n"
    "\\mac\\().s8 \\first, \\q, q4\n"
    "\\mac\\().s8 \\second, \\q, q5\n"
    ".endm\n"
    ".macro mh_pair_block\n"
    "vldrb.8 q4, [r9], #16\n"
    "vldrb.8 q0, [r5], #16\n"
    "vmladava.s8 r0, q0, q4\n"
    "vldrb.8 q5, [r11], #16\n"
    "vmladava.s8 r2, q0, q5\n"
    "mh_pair_mac q1, r4, r6, 16, vmladava\n"
    "mh_pair_mac q2, r8, r10, 16, vmladava\n"
    "mh_pair_mac q3, r12, lr, 16, vmladava\n"
    ".endm\n"
    /* The first block sets the sums; a short one has zeros beyond its inputs. */
    ".macro mh_pair_first bytes\n"
    ".if \\bytes == 16\n"
    "vldrb.8 q4, [r9], #16\n vldrb.8 q5, [r11], #16\n"
    ".else\n"
    "vpstt\n vldrbt.8 q4, [r9], #\\bytes\n vldrbt.8 q5, [r11], #\\bytes\n"
    ".endif\n"
    "mh_pair_mac q0, r0, r2, \\bytes, vmladav\n"
    "mh_pair_mac q1, r4, r6, \\bytes, vmladav\n"
    "mh_pair_mac q2, r8, r10, \\bytes, vmladav\n"
    "mh_pair_mac q3, r12, lr, \\bytes, vmladav\n"
    ".endm\n"
    /* Rounds half away from zero: one less where negative. t is lost; s holds right shifts < 0. */
    ".macro mh_ties form, q, s, t\n"
    ".ifc \\form,away\n"
    "vshr.s32 \\t, \\q, #31\n vadd.i32 \\q, \\q, \\t\n"
    ".endif\n"
    ".ifc \\form,any\n"
    "vand \\t, \\q, \\s\n vshr.s32 \\t, \\t, #31\n vadd.i32 \\q, \\q, \\t\n"
    ".endif\n"
    ".endm\n"
    /* q0 and q1 to 16 bits, in turn, less the zero point. */
    ".macro mh_pair_scale form\n"
    "vldrw.u32 q4, [r5], #16\n"
    "vadd.i32 q0, q0, q4\n vadd.i32 q1, q1, q4\n"
    ".ifc \\form,any\n"
    "vldrw.u32 q4, [r5], #16\n"
    "vshl.s32 q0, q0, q4\n vshl.s32 q1, q1, q4\n"
    ".endif\n"
    "vldrw.u32 q5, [r5], #16\n"
    "vqrdmulh.s32 q0, q0, q5\n"
    "vldrw.u32 q4, [r5], #16\n"
    "vqrdmulh.s32 q1, q1, q5\n"
    "mh_ties \\form, q0, q4, q5\n"
    "vrshl.s32 q0, q0, q4\n"
    "mh_ties \\form, q1, q4, q7\n"
    "vrshl.s32 q1, q1, q4\n"
    "vqmovnb.s32 q0, q0\n vqmovnt.s32 q0, q1\n"
    ".endm\n"

    ".macro mh_pairs form, tail\n"
    ".pushsection .text.mh_mve_pairs_\\form\\tail,\"ax\",%progbits\n.balign 4\n"
    ".global mh_mve_pairs_\\form\\tail\n.type mh_mve_pairs_\\form\\tail, %function\n.thumb_func\n"
    "mh_mve_pairs_\\form\\tail\\():\n"
    "push {r3-r11, lr}\n vpush {d8-d15}\n sub sp, #48\n"
    "ldm r0, {r1-r12}\n stm sp, {r1-r12}\n"
    "vdup.16 q6, r12\n"
    ".if \\tail\n movs r0, #\\tail\n vctp.8 r0\n .endif\n"
    /* Where the blocks begin: passes * 4 - blocks of 56 bytes are left out. */
    "adr.w r6, 3f\n cbz r5, 8f\n"
    "adr.w r6, 2f\n rsb r4, r5, r2, lsl #2\n movs r0, #56\n mla r6, r4, r0, r6\n"
    "8: orr r6, r6, #1\n str r6, [sp, #" TEXT(FIELD_ENTRY) "]\n"
    "mov r1, r10\n add r3, r10, r7\n ldr r5, [sp, #" TEXT(FIELD_STREAM) "]\n"
    "ldm sp, {r0, r7, r9, r11}\n"
    "1:\n"
    ".if \\tail\n mh_pair_first \\tail\n .else\n mh_pair_first 16\n .endif\n"
    "ldr pc, [sp, #" TEXT(FIELD_ENTRY) "]\n"
    ".balign 4\n"
    "2: mh_pair_block\n mh_pair_block\n mh_pair_block\n mh_pair_block\n"
    "subs.w r7, #1\n bne.w 2b\n"
    "3:\n"
    "vmov d0, r0, r4\n vmov d1, r8, r12\n"
    "vmov d2, r2, r6\n vmov d3, r10, lr\n"
    "mh_pair_scale \\form\n"
    "vqadd.s16 q0, q0, q6\n vqmovnb.s16 q0, q0\n"
    "vstrb.32 q0, [r1], #4\n vshr.u32 q0, q0, #16\n vstrb.32 q0, [r3], #4\n"
    "ldm sp, {r0, r7, r9, r11}\n"
    "cmp r1, r0\n bne.w 1b\n"
    /* The next two pixels. */
    "add r5, sp, #" TEXT(FIELD_STREAM) "\n ldm r5, {r2, r4, r6, r8, r10, r12}\n"
    "subs r8, #2\n ble 4f\n"
    "mov r5, r2\n"
    "add r9, r9, r6, lsl #1\n add r11, r11, r6, lsl #1\n"
    "add r1, r10, r4, lsl #1\n add r3, r1, r4\n add r0, r1, r12\n"
    "str r8, [sp, #" TEXT(FIELD_PIXELS) "]\n str r1, [sp, #" TEXT(FIELD_OUT) "]\n"
    "stm sp, {r0, r7, r9, r11}\n"
    "b.w 1b\n"
    "4: add sp, #48\n vpop {d8-d15}\n pop {r3-r11, pc}\n"
    ".popsection\n"
    ".endm\n"

    /* One pixel: sums in r0, r2, r4, r6; r8 end of the outputs, r10 blocks, r12 the pixel. */
    ".macro mh_single_mac q, sum, bytes, mac\n"
    "vldrb.8 \\q, [r1], #\\bytes\n"
    "\\mac\\().s8 \\sum, \\q, q4\n"
    ".endm\n"
    ".macro mh_singles form, tail\n"
    ".pushsection .text.mh_mve_singles_\\form\\tail,\"ax\",%progbits\n.balign 4\n"
    ".global mh_mve_singles_\\form\\tail\n.type mh_mve_singles_\\form\\tail, %function\n"
    ".thumb_func\n"
    "mh_mve_singles_\\form\\tail\\():\n"
    "push {r4-r11, lr}\n vpush {d8-d15}\n"
    "mov r11, r0\n"
    "ldr r0, [r11, #" TEXT(FIELD_ZP) "]\n vdup.16 q6, r0\n"
    "ldr r8, [r11]\n ldr r12, [r11, #" TEXT(FIELD_PIXEL) "]\n ldr r10, [r11, #16]\n"
    "ldr r7, [r11, #" TEXT(FIELD_OUT) "]\n ldr r5, [r11, #" TEXT(FIELD_PIXELS) "]\n"
    ".if \\tail\n movs r0, #\\tail\n vctp.8 r0\n .endif\n"
    "1: ldr r1, [r11, #" TEXT(FIELD_STREAM) "]\n"
    "2: mov r3, r12\n"
    ".if \\tail\n"
    "vpst\n vldrbt.8 q4, [r3], #\\tail\n"
    "mh_single_mac q0, r0, \\tail, vmladav\n mh_single_mac q1, r2, \\tail, vmladav\n"
    "mh_single_mac q2, r4, \\tail, vmladav\n mh_single_mac q3, r6, \\tail, vmladav\n"
    ".else\n"
    "vldrb.8 q4, [r3], #16\n"
    "mh_single_mac q0, r0, 16, vmladav\n mh_single_mac q1, r2, 16, vmladav\n"
    "mh_single_mac q2, r4, 16, vmladav\n mh_single_mac q3, r6, 16, vmladav\n"
    ".endif\n"
    "wls lr, r10, 4f\n"
    "3: vldrb.8 q4, [r3], #16\n"
    "mh_single_mac q0, r0, 16, vmladava\n mh_single_mac q1, r2, 16, vmladava\n"
    "mh_single_mac q2, r4, 16, vmladava\n mh_single_mac q3, r6, 16, vmladava\n"
    "le lr, 3b\n"
    "4: vmov d0, r0, r2\n vmov d1, r4, r6\n"
    "vldrw.u32 q4, [r1], #16\n vadd.i32 q0, q0, q4\n"
    ".ifc \\form,any\n vldrw.u32 q4, [r1], #16\n vshl.s32 q0, q0, q4\n .endif\n"
    "vldrw.u32 q5, [r1], #16\n vqrdmulh.s32 q0, q0, q5\n"
    "vldrw.u32 q4, [r1], #16\n"
    "mh_ties \\form, q0, q4, q5\n"
    "vrshl.s32 q0, q0, q4\n"
    "vqmovnb.s32 q0, q0\n vqadd.s16 q0, q0, q6\n vqmovnb.s16 q0, q0\n"
    "vstrb.32 q0, [r7], #4\n"
    "cmp r7, r8\n bne.w 2b\n"
    "subs r5, #1\n beq 5f\n"
    "add r0, r11, #" TEXT(FIELD_OUT_C) "\n ldm r0, {r2, r4}\n ldr r0, [r11, #"
    TEXT(FIELD_GROUP_BYTES) "]\n"
    "add r12, r12, r4\n add r8, r8, r2\n sub r7, r8, r0\n"
    "b.w 1b\n"
    "5: vpop {d8-d15}\n pop {r4-r11, pc}\n"
    ".popsection\n"
    ".endm\n"
);

#define TILE(form, tail)                                                                           \
    __asm__("mh_pairs " #form ", " #tail "\nmh_singles " #form ", " #tail "\n");                   \
    void mh_mve_pairs_##form##tail(const mh_mve_job *job);                                         \
    void mh_mve_singles_##form##tail(const mh_mve_job *job);                                       \
    const mh_mve_tile mh_mve_tile_##form##tail = {mh_mve_pairs_##form##tail,                       \
                                                  mh_mve_singles_##form##tail};
MH_MVE_FORMS(TILE)
/* clang-format on */
