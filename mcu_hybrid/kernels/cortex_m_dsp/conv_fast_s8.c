/* Convolution with any window where in_c is a multiple of 4: columns are gathered from the map. */
#include <string.h>

#include "mh_gemm.h"

/* The top left corner of an output pixel's window, in input pixels, and as bytes from the map's
 * first; either may lie outside. */
typedef struct {
    int32_t x, y, offset;
} place;

typedef struct {
    const mh_conv_fast_params *p;
    const int8_t *in;
    const int8_t *padding;    /* in_c zero points */
    int32_t inner_h, inner_w; /* windows with 0 <= x < inner_w hang over neither side */
    int32_t step;             /* bytes from window to window */
    place next;
    int32_t left_in_row;
} walk;

static void begin_row(walk *w)
{
    const mh_conv_fast_params *p = w->p;
    w->left_in_row = p->out_w;
    w->next.x = -p->pad_left;
    w->next.offset = (w->next.y * p->in_w - p->pad_left) * p->in_c;
}

static inline int is_whole(const walk *w, const place *at)
{
    return (uint32_t)at->x < (uint32_t)w->inner_w && (uint32_t)at->y < (uint32_t)w->inner_h;
}

/* The next window; returns 1 where all of it is inside the map. */
static int take(walk *w, place *at)
{
    *at = w->next;
    w->next.x += w->p->stride_w;
    w->next.offset += w->step;
    if (--w->left_in_row == 0) {
        w->next.y += w->p->stride_h;
        begin_row(w);
    }
    return is_whole(w, at);
}

/* Where a window's place lies in a row of the map: x of 0 .. width - 1 is inside. */
#define PLACE(i)                                                                                   \
    ((uint32_t)(at[i].x + right) < width[i] ? w->in + (first + at[i].offset) : w->padding)

/* One or three windows that hang over the map's sides; ``at`` has three. */
static void gather_border(const walk *w, const place *at, const mh_gemm_tile *tile,
                          uint32_t *column, int32_t pixels)
{
    const mh_conv_fast_params *p = w->p;
    const int32_t groups = p->in_c / 4, step = p->dilation_w * p->in_c;
    int32_t row = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, row += p->dilation_h * p->in_w * p->in_c) {
        int32_t first = row;
        int32_t right = 0;
        uint32_t width[3]; /* of the map in this row: 0 above and below it */
        for (int32_t i = 0; i < 3; i++) {
            const int32_t y = at[i].y + ky * p->dilation_h;
            width[i] = (uint32_t)y < (uint32_t)p->in_h ? (uint32_t)p->in_w : 0u;
        }
        for (int32_t left = p->kernel_w; left > 0; left--) {
            if (pixels == 1) {
                column = tile->widen1(PLACE(0), column, groups);
            } else {
                column = mh_widen3(PLACE(0), PLACE(1), PLACE(2), column, groups);
            }
            right += p->dilation_w;
            first += step;
        }
    }
}

mh_status mh_conv_s8(const mh_conv_fast_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const mh_gemm_head head = {p->stream, p->steps, p->out_c, p->pair_words, p->shift};
    uint32_t *const column = scratch;
    int8_t *const padding = (int8_t *)(column + 6 * p->steps);
    mh_gemm_layer layer;
    const int32_t gap = p->in_c * (p->in_w * p->dilation_h - p->kernel_w);
    const int32_t row_groups = p->kernel_w * (p->in_c / 4);
    mh_rows rows = {{NULL, NULL, NULL}, {gap, gap, gap}};
    walk w = {.p = p, .in = in, .padding = padding, .step = p->stride_w * p->in_c};
    /* Rows of a dilated window do not lie together. */
    w.inner_w = p->dilation_w == 1 ? p->in_w - p->kernel_w + 1 : 0;
    w.inner_w = w.inner_w < 0 ? 0 : w.inner_w;
    w.inner_h = p->in_h - (p->kernel_h - 1) * p->dilation_h;
    w.inner_h = w.inner_h < 0 ? 0 : w.inner_h;
    w.next.y = -p->pad_top;
    begin_row(&w);
    memset(padding, p->in_zp, (size_t)p->in_c);
    mh_gemm_begin(&layer, p->form, &head, column);
    int8_t *to = out;
    int32_t left = p->out_h * p->out_w;
    for (; left >= 3; left -= 3) {
        place at[3];
        int inside = 1;
        for (int32_t i = 0; i < 3; i++) {
            inside &= take(&w, &at[i]);
        }
        if (inside) {
            for (int32_t i = 0; i < 3; i++) {
                rows.at[i] = in + at[i].offset;
            }
            mh_widen3_rows(&rows, column, row_groups, p->kernel_h);
        } else {
            gather_border(&w, at, layer.tile, column, 3);
        }
        mh_gemm_pixels3(&layer, to);
        to += 3 * p->out_c;
    }
    for (; left > 0; left--) {
        place at[3];
        (void)take(&w, &at[0]);
        at[1] = at[2] = at[0];
        gather_border(&w, at, layer.tile, column, 1);
        mh_gemm_pixel(&layer, to);
        to += p->out_c;
    }
    mh_bound(out, p->out_h * p->out_w * p->out_c, p->lo, p->hi);
    return MH_OK;
}
