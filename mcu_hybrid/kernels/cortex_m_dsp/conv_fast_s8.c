/* Convolution with any window where in_c is a multiple of 4: columns are gathered from the map. */
#include <string.h>

#include "mh_gemm.h"

/* The top left corner of an output pixel's window, in input pixels. */
typedef struct {
    int32_t x, y;
} place;

typedef struct {
    const mh_conv_fast_params *p;
    const int8_t *in;
    const int8_t *padding;    /* in_c zero points */
    int32_t inner_h, inner_w; /* windows with 0 <= x < inner_w hang over neither side */
    place next;
    int32_t left_in_row;
} walk;

static place take(walk *w)
{
    const place now = w->next;
    w->next.x += w->p->stride_w;
    if (--w->left_in_row == 0) {
        w->left_in_row = w->p->out_w;
        w->next.x = -w->p->pad_left;
        w->next.y += w->p->stride_h;
    }
    return now;
}

static const int8_t *pixel(const walk *w, const place *at, int32_t y, int32_t kx)
{
    const mh_conv_fast_params *p = w->p;
    const int32_t x = at->x + kx * p->dilation_w;
    if ((uint32_t)y >= (uint32_t)p->in_h || (uint32_t)x >= (uint32_t)p->in_w) {
        return w->padding;
    }
    return w->in + (y * p->in_w + x) * p->in_c;
}

static int is_whole(const walk *w, const place *at)
{
    return (uint32_t)at->x < (uint32_t)w->inner_w && (uint32_t)at->y < (uint32_t)w->inner_h;
}

static void gather3(const walk *w, const place at[3], uint32_t *column)
{
    const mh_conv_fast_params *p = w->p;
    const int32_t groups = p->in_c / 4;
    if (is_whole(w, &at[0]) && is_whole(w, &at[1]) && is_whole(w, &at[2])) {
        const int32_t gap = p->in_c * (p->in_w * p->dilation_h - p->kernel_w);
        const mh_rows rows = {{pixel(w, &at[0], at[0].y, 0), pixel(w, &at[1], at[1].y, 0),
                               pixel(w, &at[2], at[2].y, 0)},
                              {gap, gap, gap}};
        mh_widen3_rows(&rows, column, p->kernel_w * groups, p->kernel_h);
        return;
    }
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t row = ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            column =
                mh_widen3(pixel(w, &at[0], at[0].y + row, kx), pixel(w, &at[1], at[1].y + row, kx),
                          pixel(w, &at[2], at[2].y + row, kx), column, groups);
        }
    }
}

static void gather1(const walk *w, const place *at, uint32_t *column)
{
    const mh_conv_fast_params *p = w->p;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = at->y + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            column = mh_widen1(pixel(w, at, y, kx), column, p->in_c / 4);
        }
    }
}

static mh_status run(const mh_conv_fast_params *p, const int8_t *in, int8_t *out, void *scratch,
                     const mh_gemm_form *form)
{
    const mh_gemm_head head = {p->stream, p->steps, p->out_c, p->pair_words, p->shift};
    uint32_t *const column = scratch;
    int8_t *const padding = (int8_t *)(column + 6 * p->steps);
    mh_gemm_layer layer;
    walk w = {p, in, padding, 0, 0, {-p->pad_left, -p->pad_top}, p->out_w};
    /* Rows of a dilated window do not lie together. */
    w.inner_w = p->dilation_w == 1 ? p->in_w - p->kernel_w + 1 : 0;
    w.inner_w = w.inner_w < 0 ? 0 : w.inner_w;
    w.inner_h = p->in_h - (p->kernel_h - 1) * p->dilation_h;
    w.inner_h = w.inner_h < 0 ? 0 : w.inner_h;
    memset(padding, p->in_zp, (size_t)p->in_c);
    mh_gemm_begin(&layer, form, &head, column);
    int8_t *to = out;
    int32_t left = p->out_h * p->out_w;
    for (; left >= 3; left -= 3) {
        place at[3];
        at[0] = take(&w);
        at[1] = take(&w);
        at[2] = take(&w);
        gather3(&w, at, column);
        mh_gemm_pixels3(&layer, to);
        to += 3 * p->out_c;
    }
    for (; left > 0; left--) {
        const place at = take(&w);
        gather1(&w, &at, column);
        mh_gemm_pixel(&layer, to);
        to += p->out_c;
    }
    mh_clamp_s8(out, p->out_h * p->out_w * p->out_c, p->lo, p->hi);
    return MH_OK;
}

#define DEFINE(form)                                                                               \
    mh_status mh_conv_##form##_s8(const mh_conv_fast_params *p, const int8_t *in, int8_t *out,     \
                                  void *scratch)                                                   \
    {                                                                                              \
        return run(p, in, out, scratch, &mh_form_##form);                                          \
    }
#define DEFINE_LINE(shift) DEFINE(line##shift) DEFINE(fine##shift)
MH_FAST_SHIFTS(DEFINE_LINE)
DEFINE(exact)
DEFINE(plain)
