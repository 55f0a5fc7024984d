/* The tile of 3 pixels x 2 channels, for files that define it: with as many steps unrolled as they
 * ask for. Not part of the API.
 *
 * Channel 0 of a pair is the low byte of each half-word of its weights, channel 1 the rest:
 * half-word = 256 * w1 + w0. One SMLAD on the raw word therefore sums 256 * acc1 + acc0 (modulo
 * 2^32), one on the unpacked low bytes acc0; their difference is 256 * acc1, the scale that the
 * requantisation wants. Half the unpacking is saved.
 *
 * Registers of three pixels: r0 column, r1 stream, r2 lr weights, r3-r5 raw sums, r6-r8 low sums,
 * r9-r11 inputs, r12 end of the column; one pixel: r3 r6 sums, r7-r10 inputs, r2 r4 r5 lr
 * weights.
 * Frame: column, out, pairs, stride (or shift), entry, tail, last. A step is 4 inputs. The unrolled
 * loops are entered in their middle so that any number of steps comes out even.
 */
#ifndef MH_TILE_H
#define MH_TILE_H

#include "mh_gemm.h"

#define STRING2(x) #x
#define STRING(x) STRING2(x)
#define BYTES3 68 /* code bytes of a step of three pixels */
#define FRAME "28"

/* Forms and tiles: a section of its own each, so that the linker drops what no layer uses. */
#define FORM(name, ...)                                                                            \
    const mh_gemm_form mh_form_##name                                                              \
        __attribute__((section(".rodata.mh_form_" #name))) = {__VA_ARGS__};

/* clang-format off */
#define FUNCTION(name)                                                                             \
    ".pushsection .text." name ",\"ax\",%progbits\n.balign 4\n.thumb\n.syntax unified\n"           \
    ".global " name "\n.type " name ", %function\n.thumb_func\n" name ":\n"
#define END ".popsection\n"
#define LABEL(name) ".global " name "\n.type " name ", %function\n.thumb_func\n" name ":\n"

/* r0 = job, r1 = out */
#define ENTER                                                                                      \
    "push {r4-r11, lr}\n"                                                                          \
    "sub sp, #" FRAME "\n"                                                                         \
    "ldm r0, {r3, r5, r6, r7, r8, r9, r10, r12}\n"                                                 \
    "mov r4, r1\n"                                                                                 \
    "stm sp, {r3-r9}\n"                                                                            \
    "mov r1, r10\n"                                                                                \
    "mov r0, r3\n"
#define LEAVE "add sp, #" FRAME "\npop {r4-r11, pc}\n"

/* Two inputs x 3 pixels x 2 channels; the weights in register w. */
#define INPUTS3(w)                                                                                 \
    "ldmia.w r0!, {r9, r10, r11}\n"                                                                \
    "smlad r3, r9, " w ", r3\n smlad r4, r10, " w ", r4\n smlad r5, r11, " w ", r5\n"              \
    "sxtb16.w " w ", " w "\n"                                                                      \
    "smlad r6, r9, " w ", r6\n smlad r7, r10, " w ", r7\n smlad r8, r11, " w ", r8\n"

/* Function ``name``, whose loop has ``steps`` steps. */
#define GEMM3(name, steps)                                                                         \
    __asm__(FUNCTION(name) ENTER                                                                   \
        LABEL(name "_next")                                                                        \
        "ldmia r1!, {r2, r5, lr}\n" /* the second word starts the raw sums */                      \
        "ldmia r0!, {r9, r10, r11}\n"                                                              \
        "smlad r3, r9, r2, r5\n smlad r4, r10, r2, r5\n smlad r5, r11, r2, r5\n"                   \
        "sxtb16 r2, r2\n"                                                                          \
        "smuad r6, r9, r2\n smuad r7, r10, r2\n smuad r8, r11, r2\n"                               \
        INPUTS3("lr")                                                                              \
        "ldr pc, [sp, #16]\n"                                                                      \
        LABEL(name "_loop")                                                                        \
        "1:\n"                                                                                     \
        ".rept " STRING(steps) "\n"                                                                \
        "ldrd r2, lr, [r1], #8\n"                                                                  \
        INPUTS3("r2") INPUTS3("lr")                                                                \
        ".endr\n"                                                                                  \
        ".if . - 1b != " STRING(steps) " * " STRING(BYTES3) "\n.error \"BYTES3\"\n.endif\n"        \
        "cmp r0, r12\n bne.w 1b\n"                                                                 \
        "ldr pc, [sp, #20]\n" END)

/* r6-r8 channel 0, r3-r5 channel 1; the pixels lie one stride apart. */
#define STORE3(next)                                                                               \
    "ldm sp, {r0, r2, r9, r10}\n"                                                                  \
    "strb r7, [r2, r10]\n strb r8, [r2, r10, lsl #1]\n strb r6, [r2], #1\n"                        \
    "strb r4, [r2, r10]\n strb r5, [r2, r10, lsl #1]\n strb r3, [r2], #1\n"                        \
    "subs r9, #1\n"                                                                                \
    "strd r2, r9, [sp, #4]\n"                                                                      \
    "bne.w " next "\n" LEAVE
#define SSAT3(s)                                                                                   \
    ".if " #s "\n"                                                                                 \
    "ssat r3, #8, r3, asr #" #s "\n ssat r6, #8, r6, asr #" #s "\n"                                \
    "ssat r4, #8, r4, asr #" #s "\n ssat r7, #8, r7, asr #" #s "\n"                                \
    "ssat r5, #8, r5, asr #" #s "\n ssat r8, #8, r8, asr #" #s "\n"                                \
    ".else\n"                                                                                      \
    "ssat r3, #8, r3\n ssat r4, #8, r4\n ssat r5, #8, r5\n"                                        \
    "ssat r6, #8, r6\n ssat r7, #8, r7\n ssat r8, #8, r8\n"                                        \
    ".endif\n"
/* Tails of a line and of a fine line with shift s, for the function ``gemm``. */
#define LINE3(name, gemm, s)                                                                       \
    __asm__(FUNCTION(name) "ldmia r1!, {r9, r10, r11}\n"                                           \
            "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"                             \
            "add r6, r9, r6, lsl #8\n add r7, r9, r7, lsl #8\n add r8, r9, r8, lsl #8\n"           \
            "smmul r3, r3, r11\n smmul r4, r4, r11\n smmul r5, r5, r11\n"                          \
            "smmul r6, r6, r10\n smmul r7, r7, r10\n smmul r8, r8, r10\n"                          \
            SSAT3(s) STORE3(gemm "_next") END)
#define FINE3(name, gemm, s)                                                                       \
    __asm__(FUNCTION(name) "ldmia r1!, {r2, r9, r10, r11, lr}\n"                                   \
            "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"                             \
            "add r6, r2, r6, lsl #8\n add r7, r2, r7, lsl #8\n add r8, r2, r8, lsl #8\n"           \
            "smmla r3, r3, r11, lr\n smmla r4, r4, r11, lr\n smmla r5, r5, r11, lr\n"              \
            "smmla r6, r6, r9, r10\n smmla r7, r7, r9, r10\n smmla r8, r8, r9, r10\n"              \
            SSAT3(s) STORE3(gemm "_next") END)

/* v = twice the true sum; t = r11, one less where v is negative: ties go away from zero. lr is the
 * shift less one, r11 = (2 * zero point + 1) << lr brings the zero point and the rounding. */
#define EXACT(v, mul)                                                                              \
    "add r0, r11, " v ", asr #31\n smmlar " v ", " v ", " mul ", r0\n"                             \
    "asr " v ", " v ", lr\n ssat " v ", #8, " v ", asr #1\n"
#define EXACT3_LOW EXACT("r6", "r2") EXACT("r7", "r2") EXACT("r8", "r2")
#define EXACT3_HIGH EXACT("r3", "r9") EXACT("r4", "r9") EXACT("r5", "r9")
#define ADDEND(at) "ldr r11, [sp, #" at "]\n lsl r11, r11, lr\n"

/* Shifts lie in low bits of what is added: of the sums of channel 1, and below channel 0's. */
#define EXACT3(name, gemm)                                                                         \
    __asm__(FUNCTION(name)                                                                         \
            "ldmia r1!, {r0, r2, r9}\n"                                                            \
            "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"                             \
            "and lr, r0, #31\n asrs r0, r0, #5\n"                                                  \
            ADDEND("24")                                                                           \
            "add r6, r0, r6, lsl #1\n add r7, r0, r7, lsl #1\n add r8, r0, r8, lsl #1\n"           \
            EXACT3_LOW                                                                             \
            "and lr, r3, #31\n"                                                                    \
            ADDEND("24")                                                                           \
            "asrs r3, r3, #7\n asrs r4, r4, #7\n asrs r5, r5, #7\n"                                \
            EXACT3_HIGH STORE3(gemm "_next") END)
/* clang-format on */

#endif
