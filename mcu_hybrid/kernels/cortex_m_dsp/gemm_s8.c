/* The tile of 3 pixels x 2 channels (and 1 pixel x 2 channels), and its requantisations.
 *
 * Channel 0 of a pair is the low byte of each half-word of its weights, channel 1 the rest:
 * half-word = 256 * w1 + w0. One SMLAD on the raw word therefore sums 256 * acc1 + acc0 (modulo
 * 2^32), one on the unpacked low bytes acc0; their difference is 256 * acc1, the scale that the
 * requantisation wants. Half the unpacking is saved.
 *
 * Registers of three pixels: r0 column, r1 stream, r2 lr weights, r3-r5 raw sums, r6-r8 low sums,
 * r9-r11 inputs, r12 end of the column; one pixel: r3 r6 sums, r7-r10 inputs, r2 r4 r5 lr weights.
 * Frame: column, out, pairs, stride (or shift), entry, tail, entry_even. A step is 4 inputs. The
 * unrolled loops are entered in their middle so that any number of steps comes out even.
 */
#include "mh_gemm.h"

#define STRING2(x) #x
#define STRING(x) STRING2(x)
#define STEPS3 8     /* unrolled steps of three pixels */
#define BYTES3 68    /* code bytes of one */
#define STEPS1 4     /* unrolled double steps of one pixel */
#define BYTES1 56
#define FRAME "28"

#define FUNCTION(name)                                                                             \
    ".section .text." name ",\"ax\",%progbits\n.balign 4\n.thumb\n.syntax unified\n"               \
    ".global " name "\n.type " name ", %function\n.thumb_func\n" name ":\n"
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

__asm__(FUNCTION("mh_gemm3") ENTER
        LABEL("mh_gemm3_next")
        "ldmia r1!, {r2, r5, lr}\n" /* the second word starts the raw sums */
        "ldmia r0!, {r9, r10, r11}\n"
        "smlad r3, r9, r2, r5\n smlad r4, r10, r2, r5\n smlad r5, r11, r2, r5\n"
        "sxtb16 r2, r2\n"
        "smuad r6, r9, r2\n smuad r7, r10, r2\n smuad r8, r11, r2\n"
        INPUTS3("lr")
        "ldr pc, [sp, #16]\n"
        LABEL("mh_gemm3_loop")
        "1:\n"
        ".rept " STRING(STEPS3) "\n"
        "ldrd r2, lr, [r1], #8\n"
        INPUTS3("r2") INPUTS3("lr")
        ".endr\n"
        ".if . - 1b != " STRING(STEPS3) " * " STRING(BYTES3) "\n.error \"BYTES3\"\n.endif\n"
        "cmp r0, r12\n bne.w 1b\n"
        "ldr pc, [sp, #20]\n.ltorg\n");

/* Weights that leave no room for the carry: both bytes are unpacked. */
__asm__(FUNCTION("mh_gemm3_plain") ENTER
        LABEL("mh_gemm3_plain_next")
        "movs r3, #0\n movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n mov r8, #0\n"
        "1:\n"
        "ldr r2, [r1], #4\n"
        "ldmia r0!, {r9, r10, r11}\n"
        "sxtb16 lr, r2, ror #8\n"
        "sxtb16 r2, r2\n"
        "smlad r3, r9, lr, r3\n smlad r4, r10, lr, r4\n smlad r5, r11, lr, r5\n"
        "smlad r6, r9, r2, r6\n smlad r7, r10, r2, r7\n smlad r8, r11, r2, r8\n"
        "cmp r0, r12\n bne 1b\n"
        "ldr pc, [sp, #20]\n");

#define STEP1(x, w)                                                                                \
    "smlad r3, " x ", " w ", r3\n sxtb16.w " w ", " w "\n smlad r6, " x ", " w ", r6\n"

__asm__(FUNCTION("mh_gemm1") ENTER
        LABEL("mh_gemm1_next")
        "ldmia r1!, {r2, r3, lr}\n"
        "ldrd r7, r8, [r0], #8\n"
        "smlad r3, r7, r2, r3\n sxtb16 r2, r2\n smuad r6, r7, r2\n"
        STEP1("r8", "lr")
        "ldr pc, [sp, #16]\n"
        LABEL("mh_gemm1_odd")
        "ldrd r2, lr, [r1], #8\n"
        "ldrd r7, r8, [r0], #8\n"
        STEP1("r7", "r2") STEP1("r8", "lr")
        "ldr pc, [sp, #24]\n"
        LABEL("mh_gemm1_loop")
        "1:\n"
        ".rept " STRING(STEPS1) "\n"
        "ldmia.w r0!, {r7, r8, r9, r10}\n"
        "ldmia.w r1!, {r2, r4, r5, lr}\n"
        STEP1("r7", "r2") STEP1("r8", "r4") STEP1("r9", "r5") STEP1("r10", "lr")
        ".endr\n"
        ".if . - 1b != " STRING(STEPS1) " * " STRING(BYTES1) "\n.error \"BYTES1\"\n.endif\n"
        "cmp r0, r12\n bne.w 1b\n"
        "ldr pc, [sp, #20]\n");

__asm__(FUNCTION("mh_gemm1_plain") ENTER
        LABEL("mh_gemm1_plain_next")
        "movs r3, #0\n movs r6, #0\n"
        "1:\n"
        "ldr r2, [r1], #4\n"
        "ldr r7, [r0], #4\n"
        "sxtb16 lr, r2, ror #8\n"
        "sxtb16 r2, r2\n"
        "smlad r3, r7, lr, r3\n smlad r6, r7, r2, r6\n"
        "cmp r0, r12\n bne 1b\n"
        "ldr pc, [sp, #20]\n");

/* r6-r8 channel 0, r3-r5 channel 1; the pixels lie one stride apart. */
#define STORE3(next)                                                                               \
    "ldm sp, {r0, r2, r9, r10}\n"                                                                  \
    "strb r7, [r2, r10]\n strb r8, [r2, r10, lsl #1]\n strb r6, [r2], #1\n"                        \
    "strb r4, [r2, r10]\n strb r5, [r2, r10, lsl #1]\n strb r3, [r2], #1\n"                        \
    "subs r9, #1\n"                                                                                \
    "strd r2, r9, [sp, #4]\n"                                                                      \
    "bne.w " next "\n" LEAVE
#define STORE1(next)                                                                               \
    "strb r6, [r2], #1\n strb r3, [r2], #1\n"                                                      \
    "subs r4, #1\n"                                                                                \
    "strd r2, r4, [sp, #4]\n"                                                                      \
    "bne.w " next "\n" LEAVE

#define LINE3(s)                                                                                   \
    __asm__(FUNCTION("mh_tail3_line" #s) "ldmia r1!, {r2, r9, r10, r11, lr}\n"                     \
            "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"                             \
            "add r6, r2, r6, lsl #8\n add r7, r2, r7, lsl #8\n add r8, r2, r8, lsl #8\n"           \
            "smmla r3, r3, r11, lr\n smmla r4, r4, r11, lr\n smmla r5, r5, r11, lr\n"              \
            "smmla r6, r6, r9, r10\n smmla r7, r7, r9, r10\n smmla r8, r8, r9, r10\n"              \
            ".if " #s "\n"                                                                         \
            "ssat r3, #8, r3, asr #" #s "\n ssat r6, #8, r6, asr #" #s "\n"                        \
            "ssat r4, #8, r4, asr #" #s "\n ssat r7, #8, r7, asr #" #s "\n"                        \
            "ssat r5, #8, r5, asr #" #s "\n ssat r8, #8, r8, asr #" #s "\n"                        \
            ".else\n"                                                                              \
            "ssat r3, #8, r3\n ssat r4, #8, r4\n ssat r5, #8, r5\n"                                \
            "ssat r6, #8, r6\n ssat r7, #8, r7\n ssat r8, #8, r8\n"                                \
            ".endif\n" STORE3("mh_gemm3_next"));                                                   \
    void mh_tail3_line##s(void);                                                                   \
    const mh_gemm_form mh_form_line##s = {mh_tail3_line##s, mh_tail1_line, 0};

__asm__(FUNCTION("mh_tail1_line")
        "ldmia r1!, {r7, r8, r9, r10, r11}\n"
        "subs r3, r3, r6\n add r6, r7, r6, lsl #8\n"
        "smmla r6, r6, r8, r9\n smmla r3, r3, r10, r11\n"
        "ldm sp, {r0, r2, r4, r5}\n"
        "asrs r6, r5\n asrs r3, r5\n ssat r6, #8, r6\n ssat r3, #8, r3\n"
        STORE1("mh_gemm1_next"));

/* v = twice the true sum; t = addend, one less where v is negative: ties go away from zero. */
#define EXACT(v, t)                                                                                \
    "add " t ", r11, " v ", asr #31\n smmlar " v ", " v ", r10, " t "\n"                           \
    "asr " v ", " v ", lr\n ssat " v ", #8, " v "\n"
#define EXACT3_LOW                                                                                 \
    "add r6, r9, r6, lsl #1\n add r7, r9, r7, lsl #1\n add r8, r9, r8, lsl #1\n"                   \
    EXACT("r6", "r2") EXACT("r7", "r2") EXACT("r8", "r2")
#define EXACT3_HIGH EXACT("r3", "r2") EXACT("r4", "r2") EXACT("r5", "r2")

__asm__(FUNCTION("mh_tail3_exact")
        "ldmia r1!, {r9, r10, r11, lr}\n"
        "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"
        EXACT3_LOW
        "ldmia r1!, {r10, r11, lr}\n"
        "asrs r3, r3, #7\n asrs r4, r4, #7\n asrs r5, r5, #7\n"
        EXACT3_HIGH STORE3("mh_gemm3_next"));
__asm__(FUNCTION("mh_tail3_plain")
        "ldmia r1!, {r9, r10, r11, lr}\n"
        EXACT3_LOW
        "ldmia r1!, {r9, r10, r11, lr}\n"
        "add r3, r9, r3, lsl #1\n add r4, r9, r4, lsl #1\n add r5, r9, r5, lsl #1\n"
        EXACT3_HIGH STORE3("mh_gemm3_plain_next"));
__asm__(FUNCTION("mh_tail1_exact")
        "ldmia r1!, {r9, r10, r11, lr}\n"
        "subs r3, r3, r6\n add r6, r9, r6, lsl #1\n"
        EXACT("r6", "r2")
        "ldmia r1!, {r10, r11, lr}\n"
        "asrs r3, r3, #7\n"
        EXACT("r3", "r2")
        "ldm sp, {r0, r2, r4}\n"
        STORE1("mh_gemm1_next"));
__asm__(FUNCTION("mh_tail1_plain")
        "ldmia r1!, {r9, r10, r11, lr}\n"
        "add r6, r9, r6, lsl #1\n"
        EXACT("r6", "r2")
        "ldmia r1!, {r9, r10, r11, lr}\n"
        "add r3, r9, r3, lsl #1\n"
        EXACT("r3", "r2")
        "ldm sp, {r0, r2, r4}\n"
        STORE1("mh_gemm1_plain_next")
        ".text\n");

void mh_gemm3(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_plain(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_loop(void);
void mh_gemm1(const mh_gemm_job *job, int8_t *out);
void mh_gemm1_plain(const mh_gemm_job *job, int8_t *out);
void mh_gemm1_odd(void);
void mh_gemm1_loop(void);
void mh_tail1_line(void);
void mh_tail3_exact(void);
void mh_tail1_exact(void);
void mh_tail3_plain(void);
void mh_tail1_plain(void);

LINE3(0)
LINE3(1)
LINE3(2)
LINE3(3)
LINE3(4)
LINE3(5)
LINE3(6)
LINE3(7)
LINE3(8)
LINE3(9)
LINE3(10)
LINE3(11)
LINE3(12)
LINE3(13)
LINE3(14)
LINE3(15)
LINE3(16)
LINE3(17)
LINE3(18)
LINE3(19)
LINE3(20)
LINE3(21)
LINE3(22)
const mh_gemm_form mh_form_exact = {mh_tail3_exact, mh_tail1_exact, 0};
const mh_gemm_form mh_form_plain = {mh_tail3_plain, mh_tail1_plain, 1};
