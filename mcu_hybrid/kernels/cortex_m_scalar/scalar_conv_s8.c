/* Convolution with any window: what it sees of two pixels is copied to columns, row by row, and
 * the zero point where it hangs over the map. */
#include <string.h>

#include "mh_scalar.h"

static inline int8_t *copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    for (; bytes > 3; bytes -= 4, to += 4, from += 4) {
        memcpy(to, from, 4);
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
    return to;
}

static inline int8_t *fill(int8_t *to, int32_t value, int32_t bytes)
{
    for (; bytes > 0; bytes--) {
        *to++ = (int8_t)value;
    }
    return to;
}

static inline int32_t clip(int32_t x, int32_t lo, int32_t hi)
{
    return x < lo ? lo : (x > hi ? hi : x);
}

/* One row of the window from column x0 of an input row. */
static int8_t *window_row(const mh_scalar_conv_params *p, const int8_t *row, int32_t x0, int8_t *to)
{
    const int32_t depth = p->in_c;
    if (p->dilation_w == 1) {
        const int32_t first = clip(-x0, 0, p->kernel_w);
        const int32_t end = clip(p->in_w - x0, first, p->kernel_w);
        to = fill(to, p->in_zp, first * depth);
        to = copy(to, row + (x0 + first) * depth, (end - first) * depth);
        return fill(to, p->in_zp, (p->kernel_w - end) * depth);
    }
    for (int32_t kx = 0; kx < p->kernel_w; kx++, x0 += p->dilation_w) {
        if (x0 < 0 || x0 >= p->in_w) {
            to = fill(to, p->in_zp, depth);
        } else {
            to = copy(to, row + x0 * depth, depth);
        }
    }
    return to;
}

static void window(const mh_scalar_conv_params *p, const int8_t *in, int32_t y0, int32_t x0,
                   int8_t *to)
{
    const int32_t row_bytes = p->in_w * p->in_c;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y0 += p->dilation_h) {
        if (y0 < 0 || y0 >= p->in_h) {
            to = fill(to, p->in_zp, p->kernel_w * p->in_c);
        } else {
            to = window_row(p, in + y0 * row_bytes, x0, to);
        }
    }
}

mh_status mh_scalar_conv_s8(const mh_scalar_conv_params *p, const int8_t *in, int8_t *out,
                            void *scratch)
{
    const mh_scalar_layer layer = {p->weights, p->constants, p->steps, p->out_c,
                                   p->form,    p->lo,        p->hi};
    const int32_t length = 4 * p->steps;
    int8_t *const column0 = scratch;
    int8_t *const column1 = column0 + length;
    int8_t *at = out;
    int32_t is_waiting = 0;
    fill(column0, 0, 2 * length);
    for (int32_t y = 0; y < p->out_h; y++) {
        int32_t x0 = -p->pad_left;
        for (int32_t x = 0; x < p->out_w; x++, x0 += p->stride_w) {
            window(p, in, y * p->stride_h - p->pad_top, x0, is_waiting ? column1 : column0);
            is_waiting ^= 1;
            if (!is_waiting) {
                mh_scalar_pixels2(&layer, column0, column1, at);
                at += 2 * p->out_c;
            }
        }
    }
    if (is_waiting) {
        mh_scalar_pixel(&layer, column0, at);
    }
    mh_scalar_clamp(out, p->out_h * p->out_w * p->out_c, p->lo, p->hi);
    return MH_OK;
}
