/* Convolution with any window and few or odd channels: windows are first put together as bytes. */
#include <string.h>

#include "mh_gemm.h"

/* Bytes of a window's row lie anywhere; whole words, then a word that ends with the last byte. */
static inline int8_t *copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    int8_t *const end = to + bytes;
    if (bytes >= 4) {
        uint32_t word, last;
        memcpy(&last, from + bytes - 4, 4);
        for (; end - to > 4; to += 4, from += 4) {
            memcpy(&word, from, 4);
            memcpy(to, &word, 4);
        }
        memcpy(end - 4, &last, 4);
        return end;
    }
    while (to < end) {
        *to++ = *from++;
    }
    return end;
}

static inline int8_t *fill(int8_t *to, int32_t value, int32_t bytes)
{
    int8_t *const end = to + bytes;
    while (to < end) {
        *to++ = (int8_t)value;
    }
    return end;
}

static int8_t *window_row(const mh_conv_fast_params *p, const int8_t *row, int32_t x, int8_t *to)
{
    for (int32_t kx = 0; kx < p->kernel_w; kx++, x += p->dilation_w) {
        if ((uint32_t)x < (uint32_t)p->in_w) {
            to = copy(to, row + x * p->in_c, p->in_c);
        } else {
            to = fill(to, p->in_zp, p->in_c);
        }
    }
    return to;
}

static void window(const mh_conv_fast_params *p, const int8_t *in, int32_t y, int32_t x, int8_t *to)
{
    const int32_t bytes = p->kernel_w * p->in_c;
    const int is_inner = p->dilation_w == 1 && x >= 0 && x + p->kernel_w <= p->in_w;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y += p->dilation_h) {
        const int8_t *row = in + y * p->in_w * p->in_c;
        if ((uint32_t)y >= (uint32_t)p->in_h) {
            to = fill(to, p->in_zp, bytes);
        } else if (is_inner) {
            to = copy(to, row + x * p->in_c, bytes);
        } else {
            to = window_row(p, row, x, to);
        }
    }
}

static mh_status run(const mh_conv_fast_params *p, const int8_t *in, int8_t *out, void *scratch,
                     const mh_gemm_form *form)
{
    const mh_gemm_head head = {p->stream, p->steps, p->out_c, p->pair_words, p->shift};
    uint32_t *const column = scratch;
    int8_t *const bytes = (int8_t *)(column + 6 * p->steps);
    const int32_t pitch = 4 * p->steps;
    mh_gemm_layer layer;
    mh_gemm_begin(&layer, form, &head, column);
    memset(bytes, 0, (size_t)(3 * pitch));
    int8_t *to = out;
    int32_t ready = 0, left = p->out_h * p->out_w;
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            window(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left,
                   bytes + ready * pitch);
            ready++;
            if (ready == 3) {
                mh_widen3(bytes, bytes + pitch, bytes + 2 * pitch, column, p->steps);
                mh_gemm_pixels3(&layer, to);
                to += 3 * p->out_c;
                left -= 3;
                ready = 0;
            } else if (left < 3) {
                mh_widen1(bytes, column, p->steps);
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
