/* Convolution with any window and any number of channels (first layers, odd ones).
 *
 * The column holds first the whole groups of 4 bytes of every row of the window, then what is left
 * of the rows, collected. Windows that hang over the map, or have gaps, are put together as bytes.
 */
#include <string.h>

#include "mh_gemm.h"

typedef struct {
    const mh_conv_fast_params *p;
    const int8_t *in;
    int8_t *windows;    /* 3 x window_bytes: put together here */
    int8_t *rests;      /* 3 x rest_bytes */
    int32_t row_bytes;  /* of a window */
    int32_t row_groups; /* of 4 bytes, the rest left out */
    int32_t window_bytes, rest_bytes;
} gather;

static int8_t *put_row(const mh_conv_fast_params *p, const int8_t *row, int32_t x, int8_t *to)
{
    for (int32_t kx = 0; kx < p->kernel_w; kx++, x += p->dilation_w) {
        const int is_inside = (uint32_t)x < (uint32_t)p->in_w;
        for (int32_t c = 0; c < p->in_c; c++) {
            *to++ = is_inside ? row[x * p->in_c + c] : (int8_t)p->in_zp;
        }
    }
    return to;
}

/* Where the window at (y, x) lies, and the bytes from row to row. */
static const int8_t *place(const gather *g, int32_t y, int32_t x, int8_t *window, int32_t *pitch)
{
    const mh_conv_fast_params *p = g->p;
    const int32_t line = p->in_w * p->in_c;
    if (p->dilation_w == 1 && x >= 0 && y >= 0 && x + p->kernel_w <= p->in_w &&
        y + (p->kernel_h - 1) * p->dilation_h < p->in_h) {
        *pitch = line * p->dilation_h;
        return g->in + y * line + x * p->in_c;
    }
    int8_t *to = window;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y += p->dilation_h) {
        if ((uint32_t)y < (uint32_t)p->in_h) {
            to = put_row(p, g->in + y * line, x, to);
        } else {
            memset(to, p->in_zp, (size_t)g->row_bytes);
            to += g->row_bytes;
        }
    }
    *pitch = g->row_bytes;
    return window;
}

static void collect_rests(const gather *g, const int8_t *at, int32_t pitch, int8_t *to)
{
    const int32_t rest = g->row_bytes & 3;
    for (int32_t ky = g->p->kernel_h; ky > 0; ky--, at += pitch) {
        to[0] = at[0];
        if (rest > 1) {
            to[1] = at[1];
        }
        if (rest > 2) {
            to[2] = at[2];
        }
        to += rest;
    }
}

static void fill_column(const gather *g, const int8_t *const at[3], const int32_t pitch[3],
                        uint32_t *column)
{
    const int32_t whole = 4 * g->row_groups;
    if (g->row_groups > 0) {
        const mh_rows rows = {{at[0], at[1], at[2]},
                              {pitch[0] - whole, pitch[1] - whole, pitch[2] - whole}};
        column = mh_widen3_rows(&rows, column, g->row_groups, g->p->kernel_h);
    }
    if (g->rest_bytes > 0) {
        int8_t *const rest = g->rests;
        for (int32_t i = 0; i < 3; i++) {
            collect_rests(g, at[i] + whole, pitch[i], rest + i * g->rest_bytes);
        }
        mh_widen3(rest, rest + g->rest_bytes, rest + 2 * g->rest_bytes, column, g->rest_bytes / 4);
    }
}

static void fill_single(const gather *g, const int8_t *at, int32_t pitch, uint32_t *column)
{
    const int32_t whole = 4 * g->row_groups;
    uint32_t *to = column;
    const int8_t *row = at;
    for (int32_t ky = g->p->kernel_h; ky > 0; ky--, row += pitch) {
        to = mh_widen1(row, to, g->row_groups);
    }
    if (g->rest_bytes > 0) {
        collect_rests(g, at + whole, pitch, g->rests);
        mh_widen1(g->rests, to, g->rest_bytes / 4);
    }
}

static void start(gather *g, const mh_conv_fast_params *p, const int8_t *in, uint32_t *column)
{
    g->p = p;
    g->in = in;
    g->row_bytes = p->kernel_w * p->in_c;
    g->row_groups = g->row_bytes / 4;
    g->window_bytes = g->row_bytes * p->kernel_h;
    g->rest_bytes = ((g->row_bytes & 3) * p->kernel_h + 3) & ~3;
    g->rests = (int8_t *)(column + 6 * p->steps);
    g->windows = g->rests + 3 * g->rest_bytes;
    memset(g->rests, 0, (size_t)(3 * g->rest_bytes));
}

static mh_status run(const mh_conv_fast_params *p, const int8_t *in, int8_t *out, void *scratch,
                     const mh_gemm_form *form)
{
    const mh_gemm_head head = {p->stream, p->steps, p->out_c, p->pair_words, p->shift};
    uint32_t *const column = scratch;
    mh_gemm_layer layer;
    gather g;
    start(&g, p, in, column);
    mh_gemm_begin(&layer, form, &head, column);
    const int8_t *at[3];
    int32_t pitch[3], ready = 0, left = p->out_h * p->out_w;
    int8_t *to = out;
    for (int32_t oy = 0, y = -p->pad_top; oy < p->out_h; oy++, y += p->stride_h) {
        for (int32_t ox = 0, x = -p->pad_left; ox < p->out_w; ox++, x += p->stride_w) {
            at[ready] = place(&g, y, x, g.windows + ready * g.window_bytes, &pitch[ready]);
            if (++ready == 3) {
                fill_column(&g, at, pitch, column);
                mh_gemm_pixels3(&layer, to);
                to += 3 * p->out_c;
                left -= 3;
                ready = 0;
            } else if (left < 3) {
                fill_single(&g, at[0], pitch[0], column);
                mh_gemm_pixel(&layer, to);
                to += p->out_c;
                left--;
                ready = 0;
            }
        }
    }
    mh_clamp_s8(out, p->out_h * p->out_w * p->out_c, p->lo, p->hi);
    return MH_OK;
}

#define DEFINE(form)                                                                               \
    mh_status mh_convb_##form##_s8(const mh_conv_fast_params *p, const int8_t *in, int8_t *out,    \
                                   void *scratch)                                                  \
    {                                                                                              \
        return run(p, in, out, scratch, &mh_form_##form);                                          \
    }
#define DEFINE_LINE(shift) DEFINE(line##shift)
MH_FAST_SHIFTS(DEFINE_LINE)
DEFINE(exact)
DEFINE(plain)
