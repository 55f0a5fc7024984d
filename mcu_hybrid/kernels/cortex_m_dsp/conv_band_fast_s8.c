/* Convolution with any window and any number of channels (first layers, odd ones).
 *
 * The rows of the map that an output row sees lie in a band, padded and transposed:
 * [x][ky][channel]. A window is then one run of bytes, in the order [kx][ky][channel] that its
 * weights have too. Pixels go in threes across the ends of rows; windows that wait for the next row
 * are copied, as are windows with gaps.
 */
#include "mh_small.h" /* before all others */
#include <string.h>

#include "mh_gemm.h"

typedef struct {
    const mh_conv_fast_params *p;
    const int8_t *in;
    int8_t *band;
    int8_t *windows; /* 3 x 4 * steps bytes */
    const int8_t *at[3];
    int32_t column_bytes; /* kernel_h * in_c: one x of the band */
} gather;

/* Pixels of three bytes, pixel by pixel ``step`` bytes apart: as words, four at a time, or exactly
 * (mh_transpose3_exact). Four bytes to four bytes of a word are a store less, but the fourth is
 * right only when its own row is written after this one, which the last row of a window cannot
 * promise.
 */
void mh_transpose3_words(const int8_t *from, int8_t *to, int32_t step, int32_t pixels);
void mh_transpose3_exact(const int8_t *from, int8_t *to, int32_t step, int32_t pixels);

/* A row of the map to places step bytes apart. */
static void transpose_row(const gather *g, const int8_t *from, int32_t ky)
{
    const int32_t in_c = g->p->in_c, step = g->column_bytes;
    const int8_t *const end = from + g->p->in_w * in_c;
    int8_t *to = g->band + g->p->pad_left * step + ky * in_c;
    if (in_c == 1) {
        for (; from < end; to += step) {
            *to = *from++;
        }
    } else if (in_c == 3) {
        /* Behind the map's last pixel there may be nothing to read. */
        const int32_t words = ky == g->p->kernel_h - 1 ? 0 : g->p->in_w - 1;
        mh_transpose3_words(from, to, step, words);
        mh_transpose3_exact(from + 3 * words, to + words * step, step, g->p->in_w - words);
    } else {
        for (; from < end; from += in_c, to += step) {
            memcpy(to, from, (size_t)in_c);
        }
    }
}

static void clear_row(const gather *g, int32_t ky)
{
    const int32_t in_c = g->p->in_c;
    int8_t *to = g->band + g->p->pad_left * g->column_bytes + ky * in_c;
    for (int32_t x = g->p->in_w; x > 0; x--, to += g->column_bytes) {
        for (int32_t c = 0; c < in_c; c++) {
            to[c] = (int8_t)g->p->in_zp;
        }
    }
}

static void load_band(const gather *g, int32_t oy)
{
    const mh_conv_fast_params *p = g->p;
    int32_t y = oy * p->stride_h - p->pad_top;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y += p->dilation_h) {
        if ((uint32_t)y < (uint32_t)p->in_h) {
            transpose_row(g, g->in + y * p->in_w * p->in_c, ky);
        } else {
            clear_row(g, ky);
        }
    }
}

/* A copy of window i, without gaps. */
static void keep_window(gather *g, int32_t i)
{
    const mh_conv_fast_params *p = g->p;
    int8_t *const window = g->windows + i * 4 * p->steps;
    const int8_t *from = g->at[i];
    int8_t *to = window;
    if (p->dilation_w == 1) {
        memcpy(to, from, (size_t)(p->kernel_w * g->column_bytes));
    } else {
        for (int32_t kx = 0; kx < p->kernel_w; kx++, to += g->column_bytes) {
            memcpy(to, from, (size_t)g->column_bytes);
            from += p->dilation_w * g->column_bytes;
        }
    }
    g->at[i] = window;
}

/* Pixels of one output row; returns how many wait for the next. */
static int32_t output_row(gather *g, const mh_gemm_layer *layer, int32_t waiting, int8_t **to)
{
    const mh_conv_fast_params *p = g->p;
    const int32_t step = p->stride_w * g->column_bytes;
    const int8_t *window = g->band;
    const int32_t kept = waiting;
    for (int32_t left = p->out_w; left > 0; left--, window += step) {
        g->at[waiting] = window;
        if (p->dilation_w > 1) {
            keep_window(g, waiting);
        }
        if (++waiting == 3) {
            mh_widen3(g->at[0], g->at[1], g->at[2], layer->column, p->steps);
            mh_gemm_pixels3(layer, *to);
            *to += 3 * p->out_c;
            waiting = 0;
        }
    }
    if (p->dilation_w == 1) {
        for (int32_t i = kept + p->out_w < 3 ? kept : 0; i < waiting; i++) {
            keep_window(g, i);
        }
    }
    return waiting;
}

mh_status mh_conv_band_s8(const mh_conv_fast_params *p, const int8_t *in, int8_t *out,
                          void *scratch)
{
    const mh_gemm_head head = {p->stream, p->steps, p->out_c, p->pair_words, p->shift};
    mh_gemm_layer layer;
    mh_gemm_begin(&layer, p->form, &head, scratch);
    int8_t *const windows = (int8_t *)(layer.column + 6 * p->steps);
    gather g = {p, in, windows + 12 * p->steps, windows, {0}, p->kernel_h * p->in_c};
    memset(windows, p->in_zp, (size_t)(12 * p->steps + p->band_bytes));
    int32_t waiting = 0;
    int8_t *to = out;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        load_band(&g, oy);
        waiting = output_row(&g, &layer, waiting, &to);
    }
    for (int32_t i = 0; i < waiting; i++, to += p->out_c) {
        layer.tile->widen1(g.at[i], layer.column, p->steps);
        mh_gemm_pixel(&layer, to);
    }
    mh_bound(out, p->out_h * p->out_w * p->out_c, p->lo, p->hi);
    return MH_OK;
}
