/* The tiles of 3 pixels x 2 channels and of 1 pixel x 2 channels, and their requantisations. The
 * unrolled loops are entered in their middle so that any number of steps comes out even. */
#include "mh_small.h" /* before all others */
#include "mh_tile.h"

#define STEPS3 8 /* unrolled steps of three pixels */
#define STEPS1 4 /* unrolled double steps of one pixel */
#define BYTES1 56

void mh_gemm3(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_loop(void);
void mh_gemm3_plain(const mh_gemm_job *job, int8_t *out);
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

/* clang-format off */
GEMM3("mh_gemm3", STEPS3);

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

#define STORE1(next)                                                                               \
    "strb r6, [r2], #1\n strb r3, [r2], #1\n"                                                      \
    "subs r4, #1\n"                                                                                \
    "strd r2, r4, [sp, #4]\n"                                                                      \
    "bne.w " next "\n" LEAVE

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

EXACT3("mh_tail3_exact", "mh_gemm3");
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

static const mh_gemm_tile tile = {mh_gemm3, mh_gemm1, mh_widen1, mh_gemm3_loop, STEPS3,
                                  mh_gemm1_loop, mh_gemm1_odd, STEPS1, BYTES1};
/* The loops of the plain form have no entries in their middle. */
static const mh_gemm_tile tile_plain = {mh_gemm3_plain, mh_gemm1_plain, mh_widen1, NULL, 1,
                                        NULL, NULL, 1, 0};

#define FORMS(s)                                                                                   \
    LINE3("mh_tail3_line" #s, "mh_gemm3", s);                                                      \
    FINE3("mh_tail3_fine" #s, "mh_gemm3", s);                                                      \
    void mh_tail3_line##s(void);                                                                   \
    void mh_tail3_fine##s(void);                                                                   \
    FORM(line##s, &tile, mh_tail3_line##s, mh_tail1_line)                                          \
    FORM(fine##s, &tile, mh_tail3_fine##s, mh_tail1_fine)
MH_FAST_SHIFTS(FORMS)
FORM(exact, &tile, mh_tail3_exact, mh_tail1_exact)
FORM(plain, &tile_plain, mh_tail3_plain, mh_tail1_plain)
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
    const mh_gemm_tile *const with = form->tile;
    const int32_t more = head->steps - 1;
    mh_gemm_job *const three = &layer->three, *const one = &layer->one;
    layer->tile = with;
    layer->column = column;
    layer->out_c = head->out_c;
    layer->last_stream = head->stream + (head->out_c / 2) * head->pair_words;
    three->column = column;
    three->stream = head->stream;
    three->pairs = head->out_c / 2;
    three->stride = head->out_c;
    three->tail = form->tail3;
    three->end = column + 6 * head->steps;
    three->entry = enter(with->loop3, form->tail3, more, with->unrolled3, BYTES3);
    three->last.zero_point = head->shift;
    *one = *three;
    one->stride = 0;
    if (form->tail1 != NULL) { /* else three times the same pixel, to the same place */
        one->stride = head->shift;
        one->tail = form->tail1;
        one->end = column + 2 * head->steps;
        one->last.entry_even =
            enter(with->loop1, form->tail1, more / 2, with->unrolled1, with->bytes1);
        one->entry = more % 2 ? with->odd1 : one->last.entry_even;
    }
}
