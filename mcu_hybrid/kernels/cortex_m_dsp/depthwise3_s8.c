/* 3x3 depthwise convolution: two outputs per step, all weights in registers. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"

typedef void (*dw3_code)(void);

/* Read by the assembly, which copies it to its frame. A job is some channels of a strip. */
typedef struct {
    int32_t is_odd;   /* rows end with a single output */
    int32_t in_step;  /* from the last pair of a row to the next row */
    int32_t out_skip; /* the same in the output */
    const uint8_t *in_end;
    int32_t mul; /* the assembly's */
    int32_t out_c;
    const uint8_t *in;
    int8_t *out;
    const uint32_t *stream;
    int32_t pair_bytes; /* all pairs of a row, in the planes */
    int32_t channels;
    int32_t plane_step; /* from channel to channel */
    dw3_code entry;     /* of the loop over pairs, which is unrolled twice */
} dw3_job;

typedef void (*dw3_core)(const dw3_job *job);

/* clang-format off */
/* r0 in, r1 out, r2 r3 sums, r4-r9 weights, r10 r11 inputs, r12 start, lr end of the row.
 * Frame: the job at 0; addend, right and twice start at 56 (exact). */
#define FRAME "72"
#define ENTER                                                                                      \
    "push {r4-r11, lr}\n sub sp, #" FRAME "\n"                                                     \
    "ldm r0!, {r1-r12}\n stm sp, {r1-r12}\n ldr r1, [r0]\n str r1, [sp, #48]\n"
#define CHANNEL                                                                                    \
    "1:\n add r3, sp, #24\n ldm r3, {r0, r1, r2, lr}\n add lr, r0, lr\n"
#define NEXT_ROW(step)                                                                             \
    "4:\n add r0, r0, r3\n add r1, r1, r10\n add lr, lr, #" step "\n cmp r0, r11\n beq 6f\n"       \
    "ldr pc, [sp, #48]\n"                                                                          \
    "6:\n ldrd r0, r1, [sp, #24]\n ldrd r2, r3, [sp, #40]\n"                                       \
    "add r0, r0, r3\n adds r1, r1, #1\n add r11, r11, r3\n"                                        \
    "subs r2, r2, #1\n strd r0, r1, [sp, #24]\n str r11, [sp, #12]\n str r2, [sp, #40]\n"          \
    "bne.w 1b\n add sp, #" FRAME "\n pop {r4-r11, pc}\n"

/* Constants of the forms: what the channel loads, begins its sums with, and ends with. */
#define LOAD_SLOPE                                                                                 \
    "ldm r2!, {r4, r6, r8, r10, r12}\n str r2, [sp, #32]\n str r10, [sp, #16]\n"
#define LOAD_EXACT                                                                                 \
    "ldm r2!, {r4, r6, r8, r10, r12}\n str r10, [sp, #16]\n ldm r2!, {r3, r10}\n"                  \
    "str r2, [sp, #32]\n strd r3, r10, [sp, #56]\n strd r12, r12, [sp, #64]\n"
#define BEGIN_SLOPE
#define BEGIN_EXACT "ldrd r2, r3, [sp, #64]\n"
#define START_SLOPE(r) "r12"
#define START_EXACT(r) r
#define END_SLOPE(shift)                                                                           \
    "ldrd r10, r11, [sp, #16]\n"                                                                   \
    "smmul r2, r2, r10\n smmul r3, r3, r10\n"                                                      \
    "ssat r2, #8, r2, asr #" shift "\n ssat r3, #8, r3, asr #" shift "\n"
#define EXACT(v)                                                                                   \
    "add r12, r11, " v ", asr #31\n smmlar " v ", " v ", r10, r12\n"
#define END_EXACT(shift)                                                                           \
    "ldr r10, [sp, #16]\n ldr r11, [sp, #56]\n" EXACT("r2") EXACT("r3")                            \
    "ldr r10, [sp, #60]\n ldr r11, [sp, #20]\n asr r2, r2, r10\n asr r3, r3, r10\n"                \
    "ssat r2, #8, r2\n ssat r3, #8, r3\n"
#define END1_SLOPE(shift)                                                                          \
    "ldr r10, [sp, #16]\n smmul r2, r2, r10\n ssat r2, #8, r2, asr #" shift "\n strb r2, [r1]\n"
#define END1_EXACT(shift)                                                                          \
    "ldr r10, [sp, #16]\n ldr r11, [sp, #56]\n" EXACT("r2")                                        \
    "ldr r10, [sp, #60]\n asr r2, r2, r10\n ssat r2, #8, r2\n strb r2, [r1]\n"
#define STORE                                                                                      \
    "strb r2, [r1]\n strb r3, [r1, r11]\n add r1, r1, r11, lsl #1\n"

/* Weights as halfwords: 256 * w for the slope, 2 * w for the exact form. */
#define MASK_SLOPE "mov r11, #0xff00ff00\n"
#define EVEN_SLOPE(to, from) "and " to ", r11, " from ", lsl #8\n"
#define ODD_SLOPE(to, from) "and " to ", r11, " from "\n"
#define MASK_EXACT
#define EVEN_EXACT(to, from) "sxtb16 " to ", " from "\n sadd16 " to ", " to ", " to "\n"
#define ODD_EXACT(to, from) "sxtb16 " to ", " from ", ror #8\n sadd16 " to ", " to ", " to "\n"

/* Stride 1: r4 r6 r8 = weights (0, 1) of the rows, r5 r7 r9 = (1, 2). */
#define WEIGHTS1(F)                                                                                \
    ODD_##F("r5", "r4") EVEN_##F("r4", "r4") ODD_##F("r7", "r6") EVEN_##F("r6", "r6")              \
    ODD_##F("r9", "r8") EVEN_##F("r8", "r8")
#define ROW1(w01, w12, a, b)                                                                       \
    "smlad r2, r10, " w01 ", " a "\n smlatb r3, r10, " w01 ", " b "\n"                             \
    "smlabt r2, r11, " w12 ", r2\n smlad r3, r11, " w12 ", r3\n"
#define SINGLE1(w01, w12, a)                                                                       \
    "smlad r2, r10, " w01 ", " a "\n smlabt r2, r11, " w12 ", r2\n"
#define PAIR1(F, shift, p)                                                                         \
    BEGIN_##F "ldrd r10, r11, [r0], #4\n" ROW1("r4", "r5", START_##F("r2"), START_##F("r3"))       \
    "ldrd r10, r11, [r0, #(4 * " p " - 4)]\n" ROW1("r6", "r7", "r2", "r3")                         \
    "ldrd r10, r11, [r0, #(8 * " p " - 4)]\n" ROW1("r8", "r9", "r2", "r3")                         \
    END_##F(shift) STORE
#define CORE1(name, F, shift, p)                                                                   \
    __asm__(FUNCTION(name) ENTER CHANNEL LOAD_##F MASK_##F WEIGHTS1(F)                             \
        "ldr pc, [sp, #48]\n"                                                                      \
        LABEL(name "_even") PAIR1(F, shift, p) LABEL(name "_odd") PAIR1(F, shift, p)               \
        "cmp r0, lr\n bne.w " name "_even\n"                                                       \
        "3:\n ldm sp, {r2, r3, r10, r11}\n cbnz r2, 5f\n" NEXT_ROW("(4 * " p ")")                  \
        "5:\n" BEGIN_##F "ldrd r10, r11, [r0]\n" SINGLE1("r4", "r5", START_##F("r2"))              \
        "ldrd r10, r11, [r0, #(4 * " p ")]\n" SINGLE1("r6", "r7", "r2")                            \
        "ldr r10, [r0, #(8 * " p ")]\n ldr r11, [r0, #(8 * " p " + 4)]\n"                          \
        SINGLE1("r8", "r9", "r2") END1_##F(shift)                                                  \
        "ldm sp, {r2, r3, r10, r11}\n b 4b\n" END)

/* Stride 2: r4 r5 r6 = weights (0, 1) of the rows, r7 = weight 2 of rows 0 and 1, r8 of row 2. */
#define WEIGHTS2(F)                                                                                \
    ODD_##F("r5", "r4") EVEN_##F("r4", "r4") ODD_##F("r7", "r6") EVEN_##F("r6", "r6")              \
    EVEN_##F("r8", "r8")
#define ROW2(w01, half, w2, a, b)                                                                  \
    "smlad r2, r9, " w01 ", " a "\n smlad r3, r10, " w01 ", " b "\n"                               \
    "smlab" half " r2, r10, " w2 ", r2\n smlab" half " r3, r11, " w2 ", r3\n"
#define SINGLE2(w01, half, w2, a)                                                                  \
    "smlad r2, r9, " w01 ", " a "\n smlab" half " r2, r10, " w2 ", r2\n"
#define PAIR2(F, shift, p)                                                                         \
    BEGIN_##F "ldrd r9, r10, [r0], #8\n ldr r11, [r0]\n"                                           \
    ROW2("r4", "b", "r7", START_##F("r2"), START_##F("r3"))                                        \
    "ldrd r9, r10, [r0, #(4 * " p " - 8)]\n ldr r11, [r0, #(4 * " p ")]\n"                         \
    ROW2("r5", "t", "r7", "r2", "r3")                                                              \
    "ldrd r9, r10, [r0, #(8 * " p " - 8)]\n ldr r11, [r0, #(8 * " p ")]\n"                         \
    ROW2("r6", "b", "r8", "r2", "r3") END_##F(shift) STORE
#define CORE2(name, F, shift, p)                                                                   \
    __asm__(FUNCTION(name) ENTER CHANNEL LOAD_##F MASK_##F WEIGHTS2(F)                             \
        "ldr pc, [sp, #48]\n"                                                                      \
        LABEL(name "_even") PAIR2(F, shift, p) LABEL(name "_odd") PAIR2(F, shift, p)               \
        "cmp r0, lr\n bne.w " name "_even\n"                                                       \
        "3:\n ldm sp, {r2, r3, r10, r11}\n cbnz r2, 5f\n" NEXT_ROW("(8 * " p ")")                  \
        "5:\n" BEGIN_##F "ldrd r9, r10, [r0]\n" SINGLE2("r4", "b", "r7", START_##F("r2"))          \
        "ldrd r9, r10, [r0, #(4 * " p ")]\n" SINGLE2("r5", "t", "r7", "r2")                        \
        "ldr r9, [r0, #(8 * " p ")]\n ldr r10, [r0, #(8 * " p " + 4)]\n"                           \
        SINGLE2("r6", "b", "r8", "r2") END1_##F(shift)                                             \
        "ldm sp, {r2, r3, r10, r11}\n b 4b\n" END)
/* clang-format on */

/* A core and where its loop is entered with an even and with an odd number of pairs. */
typedef struct {
    dw3_core core;
    dw3_code even, odd;
} dw3_form;

/* A layer at work: planes of four channels, ``row_bytes`` from row to row. */
typedef struct {
    const mh_dw_params *p;
    void (*gather)(const mh_gather_job *job);
    const dw3_form *form, *exact;
    mh_gather_job fill;
    dw3_job job;
    uint8_t *planes;
    int32_t row_bytes, stride;
    int32_t words;        /* of stream per channel */
    int32_t is_odd;       /* number of pairs */
    int is_whole;         /* one strip: what is gathered where is the same for all channels */
    const uint16_t *redo; /* of the next channels */
} dw3_layer;

#define EXACT_WORDS 7

/* The planes' rows for a strip: what the strip before left over, new rows, rows of padding. Sets
 * what is to be gathered, but for the input. */
static int32_t prepare(dw3_layer *l, int32_t oy, int32_t rows)
{
    const mh_dw_params *p = l->p;
    const int32_t kept = oy > 0 ? 3 - l->stride : 0;
    const int32_t top = oy * l->stride - p->pad_top; /* input row of the planes' first */
    int32_t first = top + kept < 0 ? -top : kept;
    int32_t end = top + rows > p->in_h ? p->in_h - top : rows;
    if (!l->is_whole) { /* else the rows of padding stay as they are */
        first = first > rows ? rows : first;
        end = end < first ? first : end;
        if (kept > 0) {
            mh_copy_words(l->planes, l->planes + p->strip * l->stride * l->row_bytes,
                          kept * l->row_bytes);
        }
        mh_fill_words(l->planes + kept * l->row_bytes, 0, (first - kept) * l->row_bytes);
        mh_fill_words(l->planes + end * l->row_bytes, 0, (rows - end) * l->row_bytes);
    }
    l->fill.dst = (uint32_t *)(void *)(l->planes + first * l->row_bytes + l->fill.dst_skip);
    l->fill.rows = end - first;
    return (top + first) * p->in_row;
}

/* The channels of the group that no slope fits; the planes still hold them. */
static void redo(const dw3_layer *l, int32_t first, int32_t channels)
{
    const mh_dw_params *p = l->p;
    dw3_job job = l->job;
    job.channels = 1;
    job.entry = l->is_odd ? l->exact->odd : l->exact->even;
    for (const uint16_t *r = l->redo; *r < first + channels; r++) {
        const int32_t plane = (*r / p->multiplier - first / p->multiplier) * (l->row_bytes / 4);
        job.in = l->job.in + plane;
        job.in_end = l->job.in_end + plane;
        job.out = l->job.out + (*r - first);
        job.stream = p->redo_stream + (r - p->redo) * EXACT_WORDS;
        l->exact->core(&job);
    }
}

/* The planes' channels of rows of output: ``first`` is the first output channel. */
static void strip(dw3_layer *l, int8_t *out, int32_t first, int32_t plane, int32_t rows)
{
    const mh_dw_params *p = l->p;
    const int32_t plane_bytes = l->row_bytes / 4;
    dw3_job *const job = &l->job;
    job->in = l->planes + plane * plane_bytes;
    job->in_end = job->in + rows * l->stride * l->row_bytes;
    job->out = out + first;
    job->stream = p->stream + first * l->words;
    if (p->multiplier == 1) {
        job->channels = 4 - plane;
        l->form->core(job);
    } else {
        dw3_job part = *job;
        part.channels = p->multiplier;
        part.plane_step = 0;
        for (int32_t i = plane; i < 4; i++) {
            l->form->core(&part);
            part.in += plane_bytes;
            part.in_end += plane_bytes;
            part.out += p->multiplier;
            part.stream += p->multiplier * l->words;
        }
    }
    if (l->redo != NULL) {
        redo(l, first, (4 - plane) * p->multiplier);
    }
}

/* All channels of a tile. */
static void tile(dw3_layer *l, const int8_t *in, int8_t *out)
{
    const mh_dw_params *p = l->p;
    int32_t from = prepare(l, 0, (p->strip - 1) * l->stride + 3);
    l->redo = p->redo;
    for (int32_t c = 0; c < p->in_c; c += 4) {
        /* The last group reaches back, and leaves out what is done. */
        const int32_t plane = c + 4 > p->in_c ? c + 4 - p->in_c : 0, first = c * p->multiplier;
        for (int32_t oy = 0; oy < p->out_h; oy += p->strip) {
            const int32_t rows = p->out_h - oy < p->strip ? p->out_h - oy : p->strip;
            if (!l->is_whole) {
                from = prepare(l, oy, (rows - 1) * l->stride + 3);
            }
            l->fill.src = in + from + c - plane;
            if (l->fill.rows > 0) {
                l->gather(&l->fill);
            }
            strip(l, out + oy * p->out_row, first, plane, rows);
        }
        while (l->redo != NULL && *l->redo < first + (4 - plane) * p->multiplier) {
            l->redo++;
        }
    }
}

static mh_status run(const mh_dw_params *p, const int8_t *in, int8_t *out, dw3_layer *l)
{
    dw3_job *const job = &l->job;
    l->p = p;
    l->is_whole = p->strip >= p->out_h;
    job->out_c = p->out_pixel;
    job->plane_step = l->row_bytes / 4;
    for (int32_t x = 0; x < p->out_w; x += p->tile) {
        const int32_t width = p->out_w - x < p->tile ? p->out_w - x : p->tile;
        const mh_span span = mh_columns(p, x, width, l->stride);
        l->is_odd = width / 2 & 1;
        job->entry = l->is_odd ? l->form->odd : l->form->even;
        job->is_odd = width & 1;
        job->pair_bytes = 4 * (width / 2) * l->stride;
        job->in_step = l->stride * l->row_bytes - job->pair_bytes;
        job->out_skip = p->out_row - (width - job->is_odd) * p->out_pixel;
        mh_gather_begin(&l->fill, p, &span, l->row_bytes);
        mh_fill_words(l->planes, 0, ((p->strip - 1) * l->stride + 3) * l->row_bytes);
        tile(l, in + span.first * p->in_pixel, out + x * p->out_pixel);
    }
    mh_bound(out, p->out_h * p->out_w * p->in_c * p->multiplier, p->lo, p->hi);
    return MH_OK;
}

#define DEFINE_CORE(head, P, form_, CORE, F, shift)                                                \
    void mh_core_##head##_##form_(const dw3_job *job);                                             \
    void mh_core_##head##_##form_##_even(void);                                                    \
    void mh_core_##head##_##form_##_odd(void);                                                     \
    CORE("mh_core_" #head "_" #form_, F, #shift, #P);                                              \
    static const dw3_form dw3_##head##_##form_ = {mh_core_##head##_##form_,                        \
                                                  mh_core_##head##_##form_##_even,                 \
                                                  mh_core_##head##_##form_##_odd};
#define DEFINE_HEAD(head, S, P, name, form_, exact_, WORDS)                                        \
    mh_status mh_##head##_##name##_s8(const mh_dw_params *p, const int8_t *in, int8_t *out,        \
                                      void *scratch)                                               \
    {                                                                                              \
        dw3_layer layer;                                                                           \
        layer.gather = mh_gather_w##P;                                                             \
        layer.form = &dw3_##head##_##form_;                                                        \
        layer.exact = exact_;                                                                      \
        layer.planes = scratch;                                                                    \
        layer.row_bytes = 4 * P;                                                                   \
        layer.stride = S;                                                                          \
        layer.words = WORDS;                                                                       \
        return run(p, in, out, &layer);                                                            \
    }
#define DEFINE_SLOPE(head, S, P, CORE, shift)                                                      \
    DEFINE_CORE(head, P, slope##shift, CORE, SLOPE, shift)                                         \
    DEFINE_HEAD(head, S, P, slope##shift, slope##shift, NULL, 5)                                   \
    DEFINE_HEAD(head, S, P, slope##shift##x, slope##shift, &dw3_##head##_exact, 5)
#define DEFINE_FORMS(head, S, P, CORE)                                                             \
    DEFINE_CORE(head, P, exact, CORE, EXACT, 0)                                                    \
    DEFINE_HEAD(head, S, P, exact, exact, NULL, 7)                                                 \
    DEFINE_SLOPE(head, S, P, CORE, 8)                                                              \
    DEFINE_SLOPE(head, S, P, CORE, 12)                                                             \
    DEFINE_SLOPE(head, S, P, CORE, 16)

DEFINE_FORMS(dw3s1w64, 1, 64, CORE1)
DEFINE_FORMS(dw3s1w128, 1, 128, CORE1)
DEFINE_FORMS(dw3s2w64, 2, 64, CORE2)
DEFINE_FORMS(dw3s2w128, 2, 128, CORE2)
