/* The tile of 3 pixels x 2 channels (and 1 pixel x 2 channels), and its requantisations.
 *
 * Channel 0 of a pair is the low byte of each half-word of its weights, channel 1 the rest:
 * half-word = 256 * w1 + w0. One SMLAD on the raw word therefore sums 256 * acc1 + acc0 (modulo
 * 2^32), one on the unpacked low bytes acc0; their difference is 256 * acc1, the scale that the
 * requantisation wants. Half the unpacking is saved.
 *
 * Registers of three pixels: r0 column, r1 stream, r2 lr weights, r3-r5 raw sums, r6-r8 low sums,
 * r9-r11 inputs, r12 end of the column; one pixel: r3 r6 sums, r7-r10 inputs, r2 r4 r5 lr weights.
 * Frame: column, out, pairs, stride (or shift), entry, tail, last. A step is 4 inputs. The unrolled
 * loops are entered in their middle so that any number of steps comes out even.
 */
#include "mh_gemm.h"

#define STRING2(x) #x
#define STRING(x) STRING2(x)
#define STEPS3 8  /* unrolled steps of three pixels */
#define BYTES3 68 /* code bytes of one */
#define STEPS1 4  /* unrolled double steps of one pixel */
#define BYTES1 56
#define FRAME "28"

void mh_gemm3(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_plain(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_loop(void);
void mh_gemm1(const mh_gemm_job *job, int8_t *out);
void mh_gemm1_plain(const mh_gemm_job *job, int8_t *out);
void mh_gemm1_odd(void);
void mh_gemm1_loop(void);
void mh_tail1_line(void);
void mh_tail1_fine(void);
void mh_tail3_exact(void);
void mh_tail1_exact(void);
void mh_tail3_plain(void);
void mh_tail1_plain(void);

/* A section of its own each, so that the linker drops the forms that no layer uses. */
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
        "ldr pc, [sp, #20]\n" END);

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
        "ldr pc, [sp, #20]\n" END);

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
        "ldr pc, [sp, #20]\n" END);

__asm__(FUNCTION("mh_gemm1_plain") ENTER
        LABEL("mh_gemm1_plain_next")
        "movs r3, #0\n movs r6, #0\n"
        "1:\n"
        "ldrd r2, r4, [r1], #8\n"
        "ldrd r7, r8, [r0], #8\n"
        "sxtb16 lr, r2, ror #8\n sxtb16 r2, r2\n"
        "smlad r3, r7, lr, r3\n smlad r6, r7, r2, r6\n"
        "sxtb16 lr, r4, ror #8\n sxtb16 r4, r4\n"
        "smlad r3, r8, lr, r3\n smlad r6, r8, r4, r6\n"
        "cmp r0, r12\n bne 1b\n"
        "ldr pc, [sp, #20]\n" END);

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

#define SSAT3(s)                                                                                   \
    ".if " #s "\n"                                                                                 \
    "ssat r3, #8, r3, asr #" #s "\n ssat r6, #8, r6, asr #" #s "\n"                                \
    "ssat r4, #8, r4, asr #" #s "\n ssat r7, #8, r7, asr #" #s "\n"                                \
    "ssat r5, #8, r5, asr #" #s "\n ssat r8, #8, r8, asr #" #s "\n"                                \
    ".else\n"                                                                                      \
    "ssat r3, #8, r3\n ssat r4, #8, r4\n ssat r5, #8, r5\n"                                        \
    "ssat r6, #8, r6\n ssat r7, #8, r7\n ssat r8, #8, r8\n"                                        \
    ".endif\n"
#define LINE3(s)                                                                                   \
    __asm__(FUNCTION("mh_tail3_line" #s) "ldmia r1!, {r9, r10, r11}\n"                             \
            "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"                             \
            "add r6, r9, r6, lsl #8\n add r7, r9, r7, lsl #8\n add r8, r9, r8, lsl #8\n"           \
            "smmul r3, r3, r11\n smmul r4, r4, r11\n smmul r5, r5, r11\n"                          \
            "smmul r6, r6, r10\n smmul r7, r7, r10\n smmul r8, r8, r10\n"                          \
            SSAT3(s) STORE3("mh_gemm3_next") END);                                                 \
    void mh_tail3_line##s(void);                                                                   \
    FORM(line##s, mh_gemm3, mh_gemm1, mh_tail3_line##s, mh_tail1_line)
#define FINE3(s)                                                                                   \
    __asm__(FUNCTION("mh_tail3_fine" #s) "ldmia r1!, {r2, r9, r10, r11, lr}\n"                     \
            "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"                             \
            "add r6, r2, r6, lsl #8\n add r7, r2, r7, lsl #8\n add r8, r2, r8, lsl #8\n"           \
            "smmla r3, r3, r11, lr\n smmla r4, r4, r11, lr\n smmla r5, r5, r11, lr\n"              \
            "smmla r6, r6, r9, r10\n smmla r7, r7, r9, r10\n smmla r8, r8, r9, r10\n"              \
            SSAT3(s) STORE3("mh_gemm3_next") END);                                                 \
    void mh_tail3_fine##s(void);                                                                   \
    FORM(fine##s, mh_gemm3, mh_gemm1, mh_tail3_fine##s, mh_tail1_fine)
MH_FAST_SHIFTS(LINE3)
MH_FAST_SHIFTS(FINE3)

#define SHIFT1                                                                                     \
    "ldm sp, {r0, r2, r4, r5}\n"                                                                   \
    "asrs r6, r5\n asrs r3, r5\n ssat r6, #8, r6\n ssat r3, #8, r3\n"
__asm__(FUNCTION("mh_tail1_line")
        "ldmia r1!, {r7, r8, r9}\n"
        "subs r3, r3, r6\n add r6, r7, r6, lsl #8\n"
        "smmul r6, r6, r8\n smmul r3, r3, r9\n"
        SHIFT1 STORE1("mh_gemm1_next") END);
__asm__(FUNCTION("mh_tail1_fine")
        "ldmia r1!, {r7, r8, r9, r10, r11}\n"
        "subs r3, r3, r6\n add r6, r7, r6, lsl #8\n"
        "smmla r6, r6, r8, r9\n smmla r3, r3, r10, r11\n"
        SHIFT1 STORE1("mh_gemm1_next") END);

/* v = twice the true sum; t = r11, one less where v is negative: ties go away from zero. lr is the
 * shift less one, r11 = (2 * zero point + 1) << lr brings the zero point and the rounding. */
#define EXACT(v, mul)                                                                              \
    "add r0, r11, " v ", asr #31\n smmlar " v ", " v ", " mul ", r0\n"                             \
    "asr " v ", " v ", lr\n ssat " v ", #8, " v ", asr #1\n"
#define EXACT3_LOW EXACT("r6", "r2") EXACT("r7", "r2") EXACT("r8", "r2")
#define EXACT3_HIGH EXACT("r3", "r9") EXACT("r4", "r9") EXACT("r5", "r9")
#define ADDEND(at) "ldr r11, [sp, #" at "]\n lsl r11, r11, lr\n"

/* Shifts lie in low bits of what is added: of the sums of channel 1, and below channel 0's. */
__asm__(FUNCTION("mh_tail3_exact")
        "ldmia r1!, {r0, r2, r9}\n"
        "sub.w r3, r3, r6\n sub.w r4, r4, r7\n sub.w r5, r5, r8\n"
        "and lr, r0, #31\n asrs r0, r0, #5\n"
        ADDEND("24")
        "add r6, r0, r6, lsl #1\n add r7, r0, r7, lsl #1\n add r8, r0, r8, lsl #1\n"
        EXACT3_LOW
        "and lr, r3, #31\n"
        ADDEND("24")
        "asrs r3, r3, #7\n asrs r4, r4, #7\n asrs r5, r5, #7\n"
        EXACT3_HIGH STORE3("mh_gemm3_next") END);
__asm__(FUNCTION("mh_tail1_exact")
        "ldmia r1!, {r0, r2, r9}\n"
        "subs r3, r3, r6\n"
        "and lr, r0, #31\n asrs r0, r0, #5\n"
        ADDEND("12")
        "add r6, r0, r6, lsl #1\n"
        EXACT("r6", "r2")
        "and lr, r3, #31\n"
        ADDEND("12")
        "asrs r3, r3, #7\n"
        EXACT("r3", "r9")
        "ldm sp, {r0, r2, r4}\n"
        STORE1("mh_gemm1_next") END);

/* Channel by channel: what is added, multiplier, addend, shift less one. */
__asm__(FUNCTION("mh_tail3_plain")
        "ldmia r1!, {r2, r10, r11, lr}\n"
        "add r6, r2, r6, lsl #1\n add r7, r2, r7, lsl #1\n add r8, r2, r8, lsl #1\n"
        EXACT("r6", "r10") EXACT("r7", "r10") EXACT("r8", "r10")
        "ldmia r1!, {r2, r10, r11, lr}\n"
        "add r3, r2, r3, lsl #1\n add r4, r2, r4, lsl #1\n add r5, r2, r5, lsl #1\n"
        EXACT("r3", "r10") EXACT("r4", "r10") EXACT("r5", "r10")
        STORE3("mh_gemm3_plain_next") END);
__asm__(FUNCTION("mh_tail1_plain")
        "ldmia r1!, {r2, r10, r11, lr}\n"
        "add r6, r2, r6, lsl #1\n"
        EXACT("r6", "r10")
        "ldmia r1!, {r2, r10, r11, lr}\n"
        "add r3, r2, r3, lsl #1\n"
        EXACT("r3", "r10")
        "ldm sp, {r0, r2, r4}\n"
        STORE1("mh_gemm1_plain_next") END);

FORM(exact, mh_gemm3, mh_gemm1, mh_tail3_exact, mh_tail1_exact)
FORM(plain, mh_gemm3_plain, mh_gemm1_plain, mh_tail3_plain, mh_tail1_plain)

/* clang-format on */

/* Where n further steps begin in a loop of ``unrolled`` steps that take ``bytes`` of code each. */
static mh_code enter(mh_code loop, mh_code done, int32_t n, int32_t unrolled, int32_t bytes)
{
    const int32_t skipped = (unrolled - n % unrolled) % unrolled;
    return n == 0 ? done : (mh_code)((uintptr_t)loop + (uintptr_t)(skipped * bytes));
}

void mh_gemm_begin(mh_gemm_layer *layer, const mh_gemm_form *form, const mh_gemm_head *head,
                   uint32_t *column)
{
    const int32_t more = head->steps - 1;
    mh_gemm_job *const three = &layer->three, *const one = &layer->one;
    layer->form = form;
    layer->column = column;
    layer->out_c = head->out_c;
    layer->last_stream = head->stream + (head->out_c / 2) * head->pair_words;
    three->column = one->column = column;
    three->stream = one->stream = head->stream;
    three->pairs = one->pairs = head->out_c / 2;
    three->stride = head->out_c;
    one->stride = head->shift;
    three->tail = form->tail3;
    one->tail = form->tail1;
    three->end = column + 6 * head->steps;
    one->end = column + 2 * head->steps;
    three->entry = enter(mh_gemm3_loop, form->tail3, more, STEPS3, BYTES3);
    three->last.zero_point = head->shift;
    one->last.entry_even = enter(mh_gemm1_loop, form->tail1, more / 2, STEPS1, BYTES1);
    one->entry = more % 2 ? mh_gemm1_odd : one->last.entry_even;
}

void mh_gemm_last_channel(const mh_gemm_layer *layer, int8_t *out, int32_t pixels)
{
    int8_t both[6];
    mh_gemm_job job = pixels == 3 ? layer->three : layer->one;
    job.stream = layer->last_stream;
    job.pairs = 1;
    if (pixels == 3) {
        job.stride = 2;
        layer->form->start3(&job, both);
    } else {
        layer->form->start1(&job, both);
    }
    for (int32_t i = 0; i < pixels; i++) {
        out[(i + 1) * layer->out_c - 1] = both[2 * i];
    }
}

void mh_clamp_s8(int8_t *out, int32_t bytes, int32_t lo, int32_t hi)
{
    if (lo == INT8_MIN && hi == INT8_MAX) {
        return;
    }
    for (int32_t i = 0; i < bytes; i++) {
        out[i] = (int8_t)mh_clamp(out[i], lo, hi);
    }
}
