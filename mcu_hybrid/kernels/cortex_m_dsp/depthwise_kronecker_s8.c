/* Depthwise convolution with any kernel, Kronecker-packed: polynomials whose coefficients are the
 * digits of one 64-bit number (Kronecker substitution), 4 products per instruction.
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
#include "mh_dwk_job.h"

#define EXACT_WORDS 4 /* mul, start, addend, right */

typedef void (*dwk_core)(const mh_dwk_job *job);

/* A core, and what the C around it must know of it. */
struct mh_dwk_form {
    dwk_core core, exact;
    mh_code loop, exact_loop;
    int32_t words;        /* of weights per segment */
    int32_t segment_code; /* bytes */
    int32_t phases;       /* the horizontal stride */
    int32_t form_words;   /* of constants */
};

/* A layer at work. */
typedef struct {
    const mh_dw_params *p;
    const mh_dwk_form *form;
    void (*gather)(const mh_gather_job *job);
    mh_gather_job fill;
    mh_dwk_job job;
    uint8_t *planes;
    mh_dwk_row *table;
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
    const uint16_t *fixup;
} dwk_layer;

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static void gather(dwk_layer *l, const int8_t *in, int32_t first, int32_t end)
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
static void fill(dwk_layer *l, const int8_t *in, int32_t oy, int32_t rows)
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
static void tabulate(dwk_layer *l, mh_code loop, int32_t oy, int32_t rows)
{
    const mh_dw_params *p = l->p;
    const mh_dwk_form *form = l->form;
    for (int32_t i = 0; i < rows; i++) {
        const int32_t top = (oy + i) * p->stride_h - p->pad_top;
        const int32_t skip = max_of(l->begin - top, 0);
        const int32_t used = min_of(l->end - top, p->kernel_h) - skip;
        const int32_t over = used * form->phases % MH_DWK_UNROLLED;
        mh_dwk_row *const row = &l->table[i];
        row->in = l->planes + (top + skip - l->begin) * l->row_bytes;
        row->weights = l->unpacked + skip * l->row_words;
        row->weights_end = row->weights + used * l->row_words;
        row->entry = (mh_code)((uintptr_t)loop + (uintptr_t)((MH_DWK_UNROLLED - over) %
                                                             MH_DWK_UNROLLED * form->segment_code));
    }
}

/* Some output channels, whose planes begin with ``plane`` and are ``step`` apart. */
static void channels(dwk_layer *l, int8_t *out, int32_t first, int32_t count, int32_t plane,
                     int32_t step, dwk_core core, const uint32_t *stream)
{
    mh_dwk_job *const job = &l->job;
    job->channels = count;
    job->out_row = job->out_channel = out + first;
    job->plane = plane * (MH_DWK_SEGMENT_BYTES / 4);
    job->plane_step = step * (MH_DWK_SEGMENT_BYTES / 4);
    job->stream = stream;
    core(job);
}

/* The channels of the group that no slope fits; the planes still hold them. */
static const uint16_t *fixup(dwk_layer *l, int8_t *out, int32_t oy, int32_t rows, int32_t plane,
                             int32_t end)
{
    const mh_dw_params *p = l->p;
    const int32_t words = l->stream_words - l->form->form_words + EXACT_WORDS;
    const uint16_t *r = l->fixup;
    tabulate(l, l->form->exact_loop, oy, rows);
    l->is_tabulated = 0;
    for (; *r < end; r++) {
        channels(l, out, *r, 1, plane + *r / p->multiplier, 0, l->form->exact,
                 p->fixup_stream + (r - p->fixup) * words);
    }
    return r;
}

/* Input channels from ``first`` on, whose planes begin with ``plane``; in, out: of the tile. */
static void group(dwk_layer *l, const int8_t *in, int8_t *out, int32_t first, int32_t plane,
                  int32_t count)
{
    const mh_dw_params *p = l->p;
    const mh_dwk_form *form = l->form;
    const int32_t end = (first + count) * p->multiplier, words = l->stream_words;
    const uint16_t *next = l->fixup;
    l->end = -p->in_h - p->kernel_h; /* nothing is there */
    for (int32_t oy = 0; oy < p->out_h; oy += p->strip) {
        const int32_t rows = min_of(p->out_h - oy, p->strip);
        int8_t *const to = out + oy * l->job.row_step;
        fill(l, in + first - plane, oy, rows);
        if (!l->is_tabulated) {
            tabulate(l, form->loop, oy, rows);
            l->is_tabulated = p->strip >= p->out_h;
        }
        l->job.rows = l->job.all_rows = rows;
        if (p->multiplier == 1) {
            channels(l, to, first, count, plane, 1, form->core, p->stream + first * words);
        } else {
            for (int32_t i = 0; i < count; i++) {
                const int32_t c = (first + i) * p->multiplier;
                channels(l, to, c, p->multiplier, plane + i, 0, form->core, p->stream + c * words);
            }
        }
        if (p->fixup != NULL && *l->fixup < end) {
            next = fixup(l, to, oy, rows, plane - first, end);
        }
    }
    l->fixup = next;
}

static void tile(dwk_layer *l, const int8_t *in, int8_t *out, int32_t x, int32_t width)
{
    const mh_dw_params *p = l->p;
    const mh_span span = mh_columns(p, x, width, l->form->phases);
    mh_dwk_job *const job = &l->job;
    job->blocks = (width + 6) / 6;
    job->last = width - 6 * (job->blocks - 1);
    if (l->form->phases == 1) {
        mh_gather_kronecker1_begin(&l->fill, p, &span, MH_DWK_SEGMENT_BYTES);
    } else {
        mh_gather_kronecker2_begin(&l->fill, p, &span, MH_DWK_SEGMENT_BYTES);
    }
    mh_fill_words(l->planes, l->padding, (int32_t)((uint8_t *)l->table - l->planes));
    l->columns = span.count;
    l->is_tabulated = 0;
    l->fixup = p->fixup;
    for (int32_t c = 0; c < p->in_c; c += 4) {
        /* The last group reaches back, and leaves out what is done. */
        const int32_t plane = c + 4 > p->in_c && p->in_c >= 4 ? c + 4 - p->in_c : 0;
        group(l, in + span.first * p->in_pixel, out + x * p->out_pixel, c, plane,
              min_of(4 - plane, p->in_c - c));
    }
}

mh_status mh_dwk_s8(const mh_dw_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const mh_dwk_form *const form = p->form.kronecker;
    const uint32_t zero = (uint32_t)(p->in_zp + 128);
    dwk_layer l;
    mh_dwk_job *const job = &l.job;
    l.p = p;
    l.form = form;
    l.gather = form->phases == 1 ? mh_gather_kronecker1 : mh_gather_kronecker2;
    l.is_clipped = zero == 0;
    l.padding = zero | zero << 21;
    l.row_bytes = form->phases * MH_DWK_SEGMENT_BYTES;
    l.row_words = form->phases * form->words;
    job->words = (p->kernel_h * l.row_words + 3) / 4 * 2; /* two unpacked to one, an even number */
    l.stream_words = job->words + form->form_words;
    const int32_t all = (p->strip - 1) * p->stride_h + p->kernel_h;
    const int32_t held = l.is_clipped ? min_of(all, p->in_h) : all;
    l.planes = scratch;
    l.table = (mh_dwk_row *)(void *)(l.planes + held * l.row_bytes);
    l.unpacked = (uint32_t *)(void *)(l.table + p->strip);
    l.last_row = p->in_c < 4 ? (int8_t *)(l.unpacked + 2 * job->words) : NULL;
    for (int i = 0; i < 3; i++) {
        job->begin[2 * i] = 1u << 20;
        job->begin[2 * i + 1] = 1u << 9; /* of the middle field: bit 20 + 21 is 9 of this word */
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

#define DECLARE_CORE(N, W, core)                                                                   \
    void mh_core_dwk##N##W##_##core(const mh_dwk_job *job);                                        \
    void mh_core_dwk##N##W##_##core##_loop(void);
#define DEFINE_FORM(N, W, S, BYTES, name, core, exact_core, exact_loop, WORDS)                     \
    MH_DW_FORM_DEFINE(mh_dwk_form, dwk##N##W##_s##S##_##name, mh_core_dwk##N##W##_##core,          \
                      exact_core, mh_core_dwk##N##W##_##core##_loop, exact_loop, N, BYTES, S,      \
                      WORDS)
#define DEFINE_BOTH(N, W, BYTES, name, core, exact_core, exact_loop, WORDS)                        \
    DEFINE_FORM(N, W, 1, BYTES, name, core, exact_core, exact_loop, WORDS)                         \
    DEFINE_FORM(N, W, 2, BYTES, name, core, exact_core, exact_loop, WORDS)
#define DEFINE_SLOPE(N, W, BYTES, shift)                                                           \
    DECLARE_CORE(N, W, slope##shift)                                                               \
    DEFINE_BOTH(N, W, BYTES, slope##shift, slope##shift, NULL, NULL, 2)                            \
    DEFINE_BOTH(N, W, BYTES, slope##shift##x, slope##shift, mh_core_dwk##N##W##_exact,             \
                mh_core_dwk##N##W##_exact_loop, 2)
#define DEFINE_FORMS(N, W, BYTES)                                                                  \
    DECLARE_CORE(N, W, exact)                                                                      \
    DEFINE_BOTH(N, W, BYTES, exact, exact, NULL, NULL, 4)                                          \
    DEFINE_SLOPE(N, W, BYTES, 8)                                                                   \
    DEFINE_SLOPE(N, W, BYTES, 12)                                                                  \
    DEFINE_SLOPE(N, W, BYTES, 16)

/* Words of a segment, width of rows, bytes of a segment's code. */
DEFINE_FORMS(2, any, MH_DWK_WIDE2_CODE)
DEFINE_FORMS(3, any, MH_DWK_WIDE3_CODE)
DEFINE_FORMS(4, any, MH_DWK_WIDE4_CODE)
DEFINE_FORMS(2, w5, MH_DWK_WIDE2_CODE)
DEFINE_FORMS(3, w5, MH_DWK_WIDE3_CODE)
DEFINE_FORMS(4, w5, MH_DWK_WIDE4_CODE)
DEFINE_FORMS(2, w3, MH_DWK_NARROW2_CODE)
DEFINE_FORMS(3, w3, MH_DWK_NARROW3_CODE)
DEFINE_FORMS(4, w3, MH_DWK_NARROW4_CODE)
