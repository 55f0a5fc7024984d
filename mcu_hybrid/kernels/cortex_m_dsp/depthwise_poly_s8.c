/* Depthwise convolution with any kernel: polynomials in 64 bits, 4 products per instruction.
 *
 * Two neighbouring inputs, 0 .. 255 each, are one word x0 + x1 * B with B = 2^21, two neighbouring
 * weights w1 + w0 * B. Their product is x0 w1 + (x0 w0 + x1 w1) B + x1 w0 B^2: the middle belongs
 * to an output, the two ends to its neighbours. SMLAL sums such products over words and rows, and a
 * 64-bit sum keeps its three fields apart as long as each stays within 21 bits, which the match has
 * proved from the weights. With stride 2, even and odd inputs are separate words (phases).
 *
 * A segment is a row of one phase: its 2, 3 or 4 words of weights at three neighbouring places,
 * which makes 5 outputs and the halves of two more. A block of 6 outputs takes over a half from the
 * block before. Fields begin with 2^20, so that none borrows from the next.
 */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"

#define SEGMENT_BYTES 256 /* a row of one phase, four planes */
#define UNROLLED 4
#define EXACT_WORDS 4

typedef void (*dwp_code)(void);

/* How an output row begins; read by the assembly. */
typedef struct {
    const uint8_t *in; /* plane 0 */
    const uint32_t *weights;
    dwp_code entry;
    const uint32_t *weights_end;
} dwp_row;

/* Some channels of a strip; read by the assembly, which copies it to its frame. */
typedef struct {
    uint32_t begin[6]; /* what the three sums begin with */
    int32_t mul, start, out_c;
    int8_t *out; /* where the block's first output goes */
    int32_t row_step;
    int8_t *before; /* where the output before the block's first goes */
    int32_t carry, addend, right;
    int32_t last; /* outputs of the last block without the one before it: 0 .. 5 */
    dwp_row row;
    const dwp_row *table;
    int32_t rows;
    int8_t *out_row;
    int32_t plane; /* bytes to the channel's plane */
    int32_t blocks_left, blocks;
    uint32_t unused;
    int32_t channels, plane_step;
    const dwp_row *first;
    int32_t all_rows;
    int8_t *out_channel;
    const uint32_t *stream;
    uint32_t *unpacked;
    int32_t words; /* of stream to unpack, even */
    int32_t fill;
} dwp_job;

typedef void (*dwp_core)(const dwp_job *job);

/* clang-format off */
/* r0 in, r1 weights, r2 r3 words of weights, r4-r9 sums, r10 r11 r12 lr inputs. */
#define MUL "24"
#define OUT "36"
#define BEFORE "44"
#define CARRY "48"
#define ADDEND "52"
#define LAST "60"
#define ROW "64"
#define ENTRY "72"
#define ROW_END "76"
#define TABLE "80"
#define ROWS "84"
#define OUT_ROW "88"
#define PLANE "92"
#define LEFT "96"
#define BLOCKS "100"
#define UNUSED "104"
#define CHANNELS "108"
#define STREAM "128"
#define FRAME "144"

/* Products of a word of weights w with inputs at three places, or at two. */
#define AT3(w, a, b, c)                                                                            \
    "smlal r4, r5, " a ", " w "\n smlal r6, r7, " b ", " w "\n smlal r8, r9, " c ", " w "\n"
#define AT2(w, a, b) "smlal r4, r5, " a ", " w "\n smlal r6, r7, " b ", " w "\n"
/* Segments of n words: for rows of any width and of 5, and for rows of 3, which need two places.
 * All instructions have 4 bytes, for the loop is entered in its middle. */
#define SEGMENT2                                                                                   \
    "ldrd r2, r3, [r1], #8\n ldrd r10, r11, [r0], #8\n ldrd r12, lr, [r0], #248\n"                 \
    AT3("r2", "r10", "r11", "r12") AT3("r3", "r11", "r12", "lr")
#define SEGMENT3                                                                                   \
    "ldrd r2, r3, [r1], #8\n ldmia.w r0!, {r10, r11, r12, lr}\n"                                   \
    AT3("r2", "r10", "r11", "r12") AT3("r3", "r11", "r12", "lr")                                   \
    "ldr.w r2, [r1], #4\n ldr.w r10, [r0], #240\n" AT3("r2", "r12", "lr", "r10")
#define SEGMENT4                                                                                   \
    "ldrd r2, r3, [r1], #8\n ldmia.w r0!, {r10, r11, r12, lr}\n"                                   \
    AT3("r2", "r10", "r11", "r12") AT3("r3", "r11", "r12", "lr")                                   \
    "ldrd r2, r3, [r1], #8\n ldrd r10, r11, [r0], #240\n"                                          \
    AT3("r2", "r12", "lr", "r10") AT3("r3", "lr", "r10", "r11")
#define NARROW2                                                                                    \
    "ldrd r2, r3, [r1], #8\n ldrd r10, r11, [r0], #8\n ldr.w r12, [r0], #248\n"                    \
    AT2("r2", "r10", "r11") AT2("r3", "r11", "r12")
#define NARROW3                                                                                    \
    "ldrd r2, r3, [r1], #8\n ldrd r10, r11, [r0], #8\n ldrd r12, lr, [r0], #248\n"                 \
    AT2("r2", "r10", "r11") AT2("r3", "r11", "r12") "ldr.w r2, [r1], #4\n" AT2("r2", "r12", "lr")
#define NARROW4                                                                                    \
    "ldrd r2, r3, [r1], #8\n ldmia.w r0!, {r10, r11, r12, lr}\n"                                   \
    AT2("r2", "r10", "r11") AT2("r3", "r11", "r12")                                                \
    "ldrd r2, r3, [r1], #8\n ldr.w r10, [r0], #240\n" AT2("r2", "r12", "lr") AT2("r3", "lr", "r10")

/* Sums prescaled by 2^11 from the lowest field, and from the middle one (in place). */
#define LOW(to, lo) "add " to ", r1, " lo ", lsl #11\n"
#define MIDDLE(lo, hi)                                                                             \
    "lsr " lo ", " lo ", #21\n orr " lo ", " lo ", " hi ", lsl #11\n"                              \
    "add " lo ", r1, " lo ", lsl #11\n"
#define CARRY_TO(lo, hi) "add " lo ", " lo ", " hi ", asr #10\n"
/* Outputs of a block in r11, r4-r8; of a row of 5 in r4-r8; of a row of 3 in r4-r6. */
#define FIELDS5                                                                                    \
    MIDDLE("r4", "r5") CARRY_TO("r6", "r5") LOW("r5", "r6") MIDDLE("r6", "r7")                     \
    CARRY_TO("r8", "r7") LOW("r7", "r8") MIDDLE("r8", "r9")
#define FIELDS3 MIDDLE("r4", "r5") CARRY_TO("r6", "r5") LOW("r5", "r6") MIDDLE("r6", "r7")
#define FIELDS6 CARRY_TO("r4", "r12") LOW("r11", "r4") FIELDS5 "str r9, [sp, #" CARRY "]\n"

/* r0 mul, r1 start, r2 channels of the output, r3 out; then row_step or before, and carry. */
#define CONSTANTS_ROW "add r12, sp, #" MUL "\n ldm r12, {r0, r1, r2, r3, r10}\n"
#define CONSTANTS_BLOCK                                                                            \
    "add r12, sp, #" MUL "\n ldm r12, {r0, r1, r2, r3}\n ldrd r10, r12, [sp, #" BEFORE "]\n"

#define ONE_SLOPE(v, shift) "smmul " v ", " v ", r0\n ssat " v ", #8, " v ", asr #" shift "\n"
#define SLOPE_BEGIN
#define SLOPE_END
#define LOAD_SLOPE "ldrd r0, r1, [r7], #8\n str r7, [sp, #" STREAM "]\n strd r0, r1, [sp, #" MUL "]\n"
/* Here start is added to doubled sums. */
#define ONE_EXACT(v, shift)                                                                        \
    "add " v ", r1, " v ", asr #10\n add r9, r12, " v ", asr #31\n"                                \
    "smmlar " v ", " v ", r0, r9\n asr " v ", " v ", lr\n ssat " v ", #8, " v "\n"
#define EXACT_BEGIN "mov lr, r1\n mov r1, #0x80000000\n"
#define EXACT_END "mov r1, lr\n ldrd r12, lr, [sp, #" ADDEND "]\n"
#define LOAD_EXACT                                                                                 \
    "ldm r7!, {r0-r3}\n str r7, [sp, #" STREAM "]\n"                                               \
    "strd r0, r1, [sp, #" MUL "]\n strd r2, r3, [sp, #" ADDEND "]\n"
#define QUANTISE6(F, shift)                                                                        \
    CONSTANTS_BLOCK F##_BEGIN FIELDS6 F##_END                                                      \
    ONE_##F("r11", shift) ONE_##F("r4", shift) ONE_##F("r5", shift)                                \
    ONE_##F("r6", shift) ONE_##F("r7", shift) ONE_##F("r8", shift)
#define QUANTISE5(F, shift)                                                                        \
    CONSTANTS_ROW F##_BEGIN FIELDS5 F##_END ONE_##F("r4", shift) ONE_##F("r5", shift)              \
    ONE_##F("r6", shift) ONE_##F("r7", shift) ONE_##F("r8", shift)
#define QUANTISE3(F, shift)                                                                        \
    CONSTANTS_ROW F##_BEGIN FIELDS3 F##_END                                                        \
    ONE_##F("r4", shift) ONE_##F("r5", shift) ONE_##F("r6", shift)

/* Unpacks a channel's weights and constants. */
#define CHANNEL(F)                                                                                 \
    "push {r4-r11, lr}\n sub sp, #" FRAME "\n"                                                     \
    "ldm r0!, {r1-r12}\n stm sp, {r1-r12}\n add lr, sp, #48\n"                                     \
    "ldm r0!, {r1-r12}\n stm lr!, {r1-r12}\n ldm r0, {r1-r12}\n stm lr, {r1-r12}\n"                \
    "1:\n add r12, sp, #" STREAM "\n ldm r12, {r7, r8, r9}\n"                                      \
    "2:\n ldrd r0, r2, [r7], #8\n"                                                                 \
    "sxtb r1, r0, ror #8\n sxtb r3, r0, ror #16\n asr r4, r0, #24\n sxtb r0, r0\n"                 \
    "add r0, r0, r1, lsl #21\n add r1, r3, r4, lsl #21\n"                                          \
    "sxtb r3, r2, ror #8\n sxtb r4, r2, ror #16\n asr r5, r2, #24\n sxtb r2, r2\n"                 \
    "add r2, r2, r3, lsl #21\n add r3, r4, r5, lsl #21\n"                                          \
    "stm r8!, {r0, r1, r2, r3}\n subs r9, r9, #2\n bne 2b\n" LOAD_##F
#define NEXT_CHANNEL                                                                               \
    "add r12, sp, #" CHANNELS "\n ldm r12, {r0, r1, r2, r3, r4}\n ldr r5, [sp, #" PLANE "]\n"      \
    "adds r4, r4, #1\n add r5, r5, r1\n str r4, [r12, #16]\n"                                      \
    "add r12, sp, #" TABLE "\n stm r12, {r2, r3, r4, r5}\n"                                        \
    "subs r0, r0, #1\n str r0, [sp, #" CHANNELS "]\n bne.w 1b\n"                                   \
    "add sp, #" FRAME "\n pop {r4-r11, pc}\n"
#define SEGMENTS(name, segment)                                                                    \
    ".balign 4\n" LABEL(name "_loop")                                                              \
    segment segment segment segment                                                                \
    "ldr r2, [sp, #" ROW_END "]\n cmp r1, r2\n bne.w " name "_loop\n"

/* Rows of any width, in blocks of 6 outputs. */
#define CORE(name, n, F, shift)                                                                    \
    __asm__(FUNCTION(name) CHANNEL(F)                                                              \
        "3:\n add r12, sp, #" TABLE "\n ldm r12, {r4, r6, r7, r10}\n ldm r4!, {r0-r3}\n"           \
        "ldr r8, [sp, #" BLOCKS "]\n str r8, [sp, #" LEFT "]\n"                                    \
        "add r0, r0, r10\n add r12, sp, #" ROW "\n stm r12, {r0-r4}\n"                             \
        "ldr r8, [sp, #40]\n str r7, [sp, #" OUT "]\n add r7, r7, r8\n str r7, [sp, #" OUT_ROW "]\n"\
        "add r11, sp, #" UNUSED "\n mov r12, #0\n strd r11, r12, [sp, #" BEFORE "]\n"              \
        "ldm sp, {r4-r9}\n bx r2\n"                                                                \
        SEGMENTS(name, SEGMENT##n) QUANTISE6(F, shift)                                             \
        "ldr lr, [sp, #" LEFT "]\n subs lr, lr, #1\n str lr, [sp, #" LEFT "]\n beq 4f\n"           \
        "strb r11, [r10]\n strb r4, [r3]\n strb r5, [r3, r2]\n add r3, r3, r2, lsl #1\n"           \
        "strb r6, [r3]\n strb r7, [r3, r2]\n add r3, r3, r2, lsl #1\n strb r8, [r3]\n"             \
        "add r10, r3, r2\n add r3, r10, r2\n str r3, [sp, #" OUT "]\n str r10, [sp, #" BEFORE "]\n"\
        "ldrd r0, r1, [sp, #" ROW "]\n add r0, r0, #12\n str r0, [sp, #" ROW "]\n"                 \
        "ldm sp, {r4-r9}\n ldr pc, [sp, #" ENTRY "]\n"                                             \
        /* The last block of a row. */                                                             \
        "4:\n ldr lr, [sp, #" LAST "]\n strb r11, [r10]\n"                                         \
        "cmp lr, #1\n blt 5f\n strb r4, [r3]\n beq 5f\n"                                           \
        "cmp lr, #3\n strb r5, [r3, r2]\n blt 5f\n add r3, r3, r2, lsl #1\n"                       \
        "strb r6, [r3]\n beq 5f\n"                                                                 \
        "cmp lr, #5\n strb r7, [r3, r2]\n blt 5f\n strb r8, [r3, r2, lsl #1]\n"                    \
        "5:\n ldr r0, [sp, #" ROWS "]\n subs r0, r0, #1\n str r0, [sp, #" ROWS "]\n bne.w 3b\n"    \
        NEXT_CHANNEL END)

/* Rows of exactly 5 or 3 outputs: one block, which takes nothing over. */
#define CORE_NARROW(name, segment, sums, quantise, store)                                          \
    "3:\n ldr r4, [sp, #" TABLE "]\n ldr r10, [sp, #" PLANE "]\n ldm r4!, {r0-r3}\n"               \
    "str r4, [sp, #" TABLE "]\n str r3, [sp, #" ROW_END "]\n add r0, r0, r10\n"                    \
    "ldm sp, {" sums "}\n bx r2\n"                                                                 \
    SEGMENTS(name, segment) quantise                                                               \
    "ldr r9, [sp, #" OUT "]\n ldr r10, [sp, #40]\n add r9, r9, r10\n str r9, [sp, #" OUT "]\n"     \
    store                                                                                          \
    "ldr r0, [sp, #" ROWS "]\n subs r0, r0, #1\n str r0, [sp, #" ROWS "]\n bne.w 3b\n"             \
    NEXT_CHANNEL END
#define CORE_w5(name, n, F, shift)                                                                 \
    __asm__(FUNCTION(name) CHANNEL(F) "ldr r0, [sp, #" OUT_ROW "]\n str r0, [sp, #" OUT "]\n"      \
        CORE_NARROW(name, SEGMENT##n, "r4-r9", QUANTISE5(F, shift),                                \
                    "strb r4, [r3]\n strb r5, [r3, r2]\n add r3, r3, r2, lsl #1\n"                 \
                    "strb r6, [r3]\n strb r7, [r3, r2]\n strb r8, [r3, r2, lsl #1]\n"))
#define CORE_w3(name, n, F, shift)                                                                 \
    __asm__(FUNCTION(name) CHANNEL(F) "ldr r0, [sp, #" OUT_ROW "]\n str r0, [sp, #" OUT "]\n"      \
        CORE_NARROW(name, NARROW##n, "r4-r7", QUANTISE3(F, shift),                                 \
                    "strb r4, [r3]\n strb r5, [r3, r2]\n strb r6, [r3, r2, lsl #1]\n"))
#define CORE_any CORE
/* clang-format on */

/* What depends on the number of words. */
typedef struct {
    dwp_core core, exact;
    dwp_code loop, exact_loop;
    int32_t words;        /* of weights per segment */
    int32_t segment_code; /* bytes */
    int32_t phases;       /* the horizontal stride */
    int32_t form_words;   /* of constants */
} dwp_kind;

/* A layer at work. */
typedef struct {
    const mh_dw_params *p;
    const dwp_kind *kind;
    void (*gather)(const mh_gather_job *job);
    mh_gather_job fill;
    dwp_job job;
    uint8_t *planes;
    dwp_row *table;
    uint32_t *unpacked;
    int8_t *last_row;   /* a copy of the map's last row, with room behind it; or NULL */
    int32_t columns;    /* that the tile reads */
    int32_t begin, end; /* input rows that the planes hold */
    int32_t row_bytes;
    int32_t row_words;    /* of weights */
    int32_t stream_words; /* per channel, constants included */
    int is_tabulated;     /* the table holds for the next group, too */
    uint32_t padding;     /* a word of padding */
    int is_clipped;       /* padding is 0: its rows are left out */
    const uint16_t *redo;
} dwp_layer;

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static void gather(dwp_layer *l, const int8_t *in, int32_t first, int32_t end)
{
    const mh_dw_params *p = l->p;
    uint8_t *const to = l->planes + (first - l->begin) * l->row_bytes + l->fill.dst_skip;
    const int8_t *const from = in + first * p->in_row;
    l->fill.dst = (uint32_t *)(void *)to;
    l->fill.src = from;
    l->fill.rows = end - first;
    if (l->last_row != NULL && end == p->in_h) {
        /* Pixels are read as words: behind the last there may be nothing. */
        if (--l->fill.rows > 0) {
            l->gather(&l->fill);
            l->fill.dst += (end - 1 - first) * l->row_bytes / 4;
        }
        const int8_t *const last = from + (end - 1 - first) * p->in_row;
        for (int32_t i = 0; i < l->columns * p->in_c; i++) {
            l->last_row[i] = last[i];
        }
        l->fill.src = l->last_row;
        l->fill.rows = 1;
    }
    l->gather(&l->fill);
}

/* The planes' rows for output rows oy to oy + rows: what is there already, new rows, padding. */
static void fill(dwp_layer *l, const int8_t *in, int32_t oy, int32_t rows)
{
    const mh_dw_params *p = l->p;
    const int32_t low = oy * p->stride_h - p->pad_top;
    const int32_t high = low + (rows - 1) * p->stride_h + p->kernel_h;
    const int32_t begin = l->is_clipped ? max_of(low, 0) : low;
    const int32_t end = l->is_clipped ? min_of(high, p->in_h) : high;
    const int32_t kept = max_of(l->end - begin, 0);
    if (kept > 0) {
        mh_copy_words(l->planes, l->planes + (begin - l->begin) * l->row_bytes,
                      kept * l->row_bytes);
    }
    l->begin = begin;
    l->end = end;
    const int32_t next = begin + kept;
    const int32_t first = max_of(next, 0), last = min_of(end, p->in_h);
    if (first > next) {
        mh_fill_words(l->planes + kept * l->row_bytes, l->padding, (first - next) * l->row_bytes);
    }
    if (last > first) {
        gather(l, in, first, last);
    }
    if (end > max_of(last, next)) {
        const int32_t from = max_of(last, next);
        mh_fill_words(l->planes + (from - begin) * l->row_bytes, l->padding,
                      (end - from) * l->row_bytes);
    }
}

/* Where the rows of a strip begin. */
static void tabulate(dwp_layer *l, dwp_code loop, int32_t oy, int32_t rows)
{
    const mh_dw_params *p = l->p;
    const dwp_kind *kind = l->kind;
    for (int32_t i = 0; i < rows; i++) {
        const int32_t top = (oy + i) * p->stride_h - p->pad_top;
        const int32_t skip = max_of(l->begin - top, 0);
        const int32_t used = min_of(l->end - top, p->kernel_h) - skip;
        const int32_t over = used * kind->phases % UNROLLED;
        dwp_row *const row = &l->table[i];
        row->in = l->planes + (top + skip - l->begin) * l->row_bytes;
        row->weights = l->unpacked + skip * l->row_words;
        row->weights_end = row->weights + used * l->row_words;
        row->entry = (dwp_code)((uintptr_t)loop +
                                (uintptr_t)((UNROLLED - over) % UNROLLED * kind->segment_code));
    }
}

/* Some output channels, whose planes begin with ``plane`` and are ``step`` apart. */
static void channels(dwp_layer *l, int8_t *out, int32_t first, int32_t count, int32_t plane,
                     int32_t step, dwp_core core, const uint32_t *stream)
{
    dwp_job *const job = &l->job;
    job->channels = count;
    job->out_row = job->out_channel = out + first;
    job->plane = plane * (SEGMENT_BYTES / 4);
    job->plane_step = step * (SEGMENT_BYTES / 4);
    job->stream = stream;
    core(job);
}

/* The channels of the group that no slope fits; the planes still hold them. */
static const uint16_t *redo(dwp_layer *l, int8_t *out, int32_t oy, int32_t rows, int32_t plane,
                            int32_t end)
{
    const mh_dw_params *p = l->p;
    const int32_t words = l->stream_words - l->kind->form_words + EXACT_WORDS;
    const uint16_t *r = l->redo;
    tabulate(l, l->kind->exact_loop, oy, rows);
    l->is_tabulated = 0;
    for (; *r < end; r++) {
        channels(l, out, *r, 1, plane + *r / p->multiplier, 0, l->kind->exact,
                 p->redo_stream + (r - p->redo) * words);
    }
    return r;
}

/* Input channels from ``first`` on, whose planes begin with ``plane``; in, out: of the tile. */
static void group(dwp_layer *l, const int8_t *in, int8_t *out, int32_t first, int32_t plane,
                  int32_t count)
{
    const mh_dw_params *p = l->p;
    const dwp_kind *kind = l->kind;
    const int32_t end = (first + count) * p->multiplier, words = l->stream_words;
    const uint16_t *next = l->redo;
    l->end = -p->in_h - p->kernel_h; /* nothing is there */
    for (int32_t oy = 0; oy < p->out_h; oy += p->strip) {
        const int32_t rows = min_of(p->out_h - oy, p->strip);
        int8_t *const to = out + oy * l->job.row_step;
        fill(l, in + first - plane, oy, rows);
        if (!l->is_tabulated) {
            tabulate(l, kind->loop, oy, rows);
            l->is_tabulated = p->strip >= p->out_h;
        }
        l->job.rows = l->job.all_rows = rows;
        if (p->multiplier == 1) {
            channels(l, to, first, count, plane, 1, kind->core, p->stream + first * words);
        } else {
            for (int32_t i = 0; i < count; i++) {
                const int32_t c = (first + i) * p->multiplier;
                channels(l, to, c, p->multiplier, plane + i, 0, kind->core, p->stream + c * words);
            }
        }
        if (p->redo != NULL && *l->redo < end) {
            next = redo(l, to, oy, rows, plane - first, end);
        }
    }
    l->redo = next;
}

static void tile(dwp_layer *l, const int8_t *in, int8_t *out, int32_t x, int32_t width)
{
    const mh_dw_params *p = l->p;
    const mh_span span = mh_columns(p, x, width, l->kind->phases);
    dwp_job *const job = &l->job;
    job->blocks = (width + 6) / 6;
    job->last = width - 6 * (job->blocks - 1);
    if (l->kind->phases == 1) {
        mh_gather_poly1_begin(&l->fill, p, &span, SEGMENT_BYTES);
    } else {
        mh_gather_poly2_begin(&l->fill, p, &span, SEGMENT_BYTES);
    }
    mh_fill_words(l->planes, l->padding, (int32_t)((uint8_t *)l->table - l->planes));
    l->columns = span.count;
    l->is_tabulated = 0;
    l->redo = p->redo;
    for (int32_t c = 0; c < p->in_c; c += 4) {
        /* The last group reaches back, and leaves out what is done. */
        const int32_t plane = c + 4 > p->in_c && p->in_c >= 4 ? c + 4 - p->in_c : 0;
        group(l, in + span.first * p->in_pixel, out + x * p->out_pixel, c, plane,
              min_of(4 - plane, p->in_c - c));
    }
}

static mh_status run(const mh_dw_params *p, const int8_t *in, int8_t *out, void *scratch,
                     const dwp_kind *kind)
{
    const uint32_t zero = (uint32_t)(p->in_zp + 128);
    dwp_layer l;
    dwp_job *const job = &l.job;
    l.p = p;
    l.kind = kind;
    l.gather = kind->phases == 1 ? mh_gather_poly1 : mh_gather_poly2;
    l.is_clipped = zero == 0;
    l.padding = zero | zero << 21;
    l.row_bytes = kind->phases * SEGMENT_BYTES;
    l.row_words = kind->phases * kind->words;
    job->words = (p->kernel_h * l.row_words + 3) / 4 * 2;
    l.stream_words = job->words + kind->form_words;
    const int32_t all = (p->strip - 1) * p->stride_h + p->kernel_h;
    const int32_t held = l.is_clipped ? min_of(all, p->in_h) : all;
    l.planes = scratch;
    l.table = (dwp_row *)(void *)(l.planes + held * l.row_bytes);
    l.unpacked = (uint32_t *)(void *)(l.table + p->strip);
    l.last_row = p->in_c < 4 ? (int8_t *)(l.unpacked + 2 * job->words) : NULL;
    for (int i = 0; i < 3; i++) {
        job->begin[2 * i] = 1u << 20;
        job->begin[2 * i + 1] = 1u << 9;
    }
    job->out_c = p->out_pixel;
    job->row_step = p->out_row;
    job->unpacked = l.unpacked;
    job->table = job->first = l.table;
    for (int32_t x = 0; x < p->out_w; x += p->tile) {
        tile(&l, in, out, x, min_of(p->out_w - x, p->tile));
    }
    mh_bound(out, p->out_h * p->out_w * p->in_c * p->multiplier, p->lo, p->hi);
    return MH_OK;
}

#define DEFINE_CORE(N, W, form, F, shift)                                                          \
    void mh_core_dwp##N##W##_##form(const dwp_job *job);                                           \
    void mh_core_dwp##N##W##_##form##_loop(void);                                                  \
    CORE_##W("mh_core_dwp" #N #W "_" #form, N, F, #shift);
#define DEFINE_HEAD(N, W, S, BYTES, name, form, exact_core, exact_loop, WORDS)                     \
    mh_status mh_dwp##N##W##_s##S##_##name##_s8(const mh_dw_params *p, const int8_t *in,           \
                                                int8_t *out, void *scratch)                        \
    {                                                                                              \
        static const dwp_kind kind = {mh_core_dwp##N##W##_##form,                                  \
                                      exact_core,                                                  \
                                      mh_core_dwp##N##W##_##form##_loop,                           \
                                      exact_loop,                                                  \
                                      N,                                                           \
                                      BYTES,                                                       \
                                      S,                                                           \
                                      WORDS};                                                      \
        return run(p, in, out, scratch, &kind);                                                    \
    }
#define DEFINE_HEADS(N, W, BYTES, name, form, exact_core, exact_loop, WORDS)                       \
    DEFINE_HEAD(N, W, 1, BYTES, name, form, exact_core, exact_loop, WORDS)                         \
    DEFINE_HEAD(N, W, 2, BYTES, name, form, exact_core, exact_loop, WORDS)
#define DEFINE_SLOPE(N, W, BYTES, shift)                                                           \
    DEFINE_CORE(N, W, slope##shift, SLOPE, shift)                                                  \
    DEFINE_HEADS(N, W, BYTES, slope##shift, slope##shift, NULL, NULL, 2)                           \
    DEFINE_HEADS(N, W, BYTES, slope##shift##x, slope##shift, mh_core_dwp##N##W##_exact,            \
                 mh_core_dwp##N##W##_exact_loop, 2)
#define DEFINE_FORMS(N, W, BYTES)                                                                  \
    DEFINE_CORE(N, W, exact, EXACT, 0)                                                             \
    DEFINE_HEADS(N, W, BYTES, exact, exact, NULL, NULL, 4)                                         \
    DEFINE_SLOPE(N, W, BYTES, 8)                                                                   \
    DEFINE_SLOPE(N, W, BYTES, 12)                                                                  \
    DEFINE_SLOPE(N, W, BYTES, 16)

/* Words of a segment, width of rows, bytes of a segment's code. */
DEFINE_FORMS(2, any, 36)
DEFINE_FORMS(3, any, 52)
DEFINE_FORMS(4, any, 64)
DEFINE_FORMS(2, w5, 36)
DEFINE_FORMS(3, w5, 52)
DEFINE_FORMS(4, w5, 64)
DEFINE_FORMS(2, w3, 28)
DEFINE_FORMS(3, w3, 40)
DEFINE_FORMS(4, w3, 48)
