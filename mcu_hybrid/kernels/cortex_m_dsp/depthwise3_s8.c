/* 3x3 depthwise convolution: two outputs per step, all weights in registers. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_dw3_job.h"

typedef void (*dw3_core)(const mh_dw3_job *job);

/* A core, where its loop is entered with an even and with an odd number of pairs, and its planes.
 */
struct mh_dw3_form {
    dw3_core core;
    mh_code even, odd;
    const mh_dw3_form *exact; /* for the channels of fixup, where there are such */
    void (*gather)(const mh_gather_job *job);
    int32_t row_bytes, stride;
    int32_t words; /* of stream per channel */
};

/* A layer at work: planes of four channels, ``row_bytes`` from row to row. */
typedef struct {
    const mh_dw_params *p;
    const mh_dw3_form *form, *exact;
    void (*gather)(const mh_gather_job *job);
    mh_gather_job fill;
    mh_dw3_job job;
    uint8_t *planes;
    int32_t row_bytes, stride;
    int32_t words;         /* of stream per channel */
    int32_t is_odd;        /* number of pairs */
    int is_whole;          /* one strip: what is gathered where is the same for all channels */
    const uint16_t *fixup; /* of the next channels */
} dw3_layer;

#define EXACT_WORDS 7 /* three of weights, mul, start, addend, right */

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
static void fixup(const dw3_layer *l, int32_t first, int32_t channels)
{
    const mh_dw_params *p = l->p;
    mh_dw3_job job = l->job;
    job.channels = 1;
    job.entry = l->is_odd ? l->exact->odd : l->exact->even;
    for (const uint16_t *r = l->fixup; *r < first + channels; r++) {
        const int32_t plane = (*r / p->multiplier - first / p->multiplier) * (l->row_bytes / 4);
        job.in = l->job.in + plane;
        job.in_end = l->job.in_end + plane;
        job.out = l->job.out + (*r - first);
        job.stream = p->fixup_stream + (r - p->fixup) * EXACT_WORDS;
        l->exact->core(&job);
    }
}

/* The planes' channels of rows of output: ``first`` is the first output channel. */
static void strip(dw3_layer *l, int8_t *out, int32_t first, int32_t plane, int32_t rows)
{
    const mh_dw_params *p = l->p;
    const int32_t plane_bytes = l->row_bytes / 4;
    mh_dw3_job *const job = &l->job;
    job->in = l->planes + plane * plane_bytes;
    job->in_end = job->in + rows * l->stride * l->row_bytes;
    job->out = out + first;
    job->stream = p->stream + first * l->words;
    if (p->multiplier == 1) {
        job->channels = 4 - plane;
        l->form->core(job);
    } else {
        mh_dw3_job part = *job;
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
    if (l->fixup != NULL) {
        fixup(l, first, (4 - plane) * p->multiplier);
    }
}

/* All channels of a tile. */
static void tile(dw3_layer *l, const int8_t *in, int8_t *out)
{
    const mh_dw_params *p = l->p;
    int32_t from = prepare(l, 0, (p->strip - 1) * l->stride + 3);
    l->fixup = p->fixup;
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
        while (l->fixup != NULL && *l->fixup < first + (4 - plane) * p->multiplier) {
            l->fixup++;
        }
    }
}

mh_status mh_dw3_s8(const mh_dw_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const mh_dw3_form *const form = p->form.three;
    dw3_layer layer, *const l = &layer;
    mh_dw3_job *const job = &l->job;
    l->form = form;
    l->exact = form->exact;
    l->gather = form->gather;
    l->row_bytes = form->row_bytes;
    l->stride = form->stride;
    l->words = form->words;
    l->planes = scratch;
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

#define DEFINE_FORM(head, S, P, name, core, exact, WORDS)                                          \
    MH_DW_FORM_DEFINE(mh_dw3_form, head##_##name, mh_core_##head##_##core,                         \
                      mh_core_##head##_##core##_even, mh_core_##head##_##core##_odd, exact,        \
                      mh_gather_w##P, 4 * P, S, WORDS)
#define DECLARE_CORE(head, core)                                                                   \
    void mh_core_##head##_##core(const mh_dw3_job *job);                                           \
    void mh_core_##head##_##core##_even(void);                                                     \
    void mh_core_##head##_##core##_odd(void);
#define DEFINE_SLOPE(head, S, P, shift)                                                            \
    DECLARE_CORE(head, slope##shift)                                                               \
    DEFINE_FORM(head, S, P, slope##shift, slope##shift, NULL, 5)                                   \
    DEFINE_FORM(head, S, P, slope##shift##x, slope##shift, &mh_form_##head##_exact, 5)
#define DEFINE_FORMS(head, S, P)                                                                   \
    DECLARE_CORE(head, exact)                                                                      \
    DEFINE_FORM(head, S, P, exact, exact, NULL, 7)                                                 \
    DEFINE_SLOPE(head, S, P, 8)                                                                    \
    DEFINE_SLOPE(head, S, P, 12)                                                                   \
    DEFINE_SLOPE(head, S, P, 16)

DEFINE_FORMS(dw3s1w64, 1, 64)
DEFINE_FORMS(dw3s1w128, 1, 128)
DEFINE_FORMS(dw3s2w64, 2, 64)
DEFINE_FORMS(dw3s2w128, 2, 128)
