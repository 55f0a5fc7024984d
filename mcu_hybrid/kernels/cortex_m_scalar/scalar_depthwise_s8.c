/* Depthwise convolution, a channel at a time: the rows that a band of output rows sees are copied
 * out of the map, then four output pixels of a row share their weights and most of their inputs.
 *
 * The copy holds values minus the zero point: columns of padding are zeros, and rows above or below
 * the map are left out of the sums.
 */
#include "mh_scalar.h"

#if defined(__ARM_ARCH_6M__)
#define PIXELS 2 /* for want of registers */
#else
#define PIXELS 4 /* share the load of a weight; more sums than registers would be stored */
#endif
/* Loops are unrolled 4 times (the literal of each pragma): all PIXELS, or 4 taps. */

/* One channel of a band of output rows. */
typedef struct {
    const mh_scalar_depthwise_params *p;
    const int16_t *copy;
    int32_t copied_from; /* input row at which the copy begins */
    const int8_t *weights;
    const int32_t *constants;
    int8_t *out;
    int32_t y0, rows; /* input row of the first window, may be negative; output rows */
    int32_t out_step; /* channels */
} channel_job;

typedef void (*channel_function)(const channel_job *job);

/* What the pixels of one output row share. */
typedef struct {
    const int8_t *weights;
    int32_t rows; /* of the window, inside the map */
    int32_t x_step;
    int32_t kernel_w, stride, dilation; /* columns */
} row_window;

/* Add count taps of a row of weights to the sums of some pixels; all but pointers is constant. */
static inline __attribute__((always_inline)) void taps(int32_t *sums, const int16_t *x,
                                                       const int8_t *w, int32_t count,
                                                       int32_t stride, int32_t pixels)
{
#pragma GCC unroll 4
    for (int32_t i = 0; i < count; i++) {
#pragma GCC unroll 4
        for (int32_t n = 0; n < pixels; n++) {
            sums[n] += w[i] * x[n * stride + i];
        }
    }
}

/* kernel_w: 0 where it is not constant. stride: 0 where stride and dilation are not. */
static inline __attribute__((always_inline)) void sum_pixels(row_window window, const int16_t *x,
                                                             int32_t kernel_w, int32_t stride,
                                                             int32_t pixels, int32_t *sums)
{
    const int8_t *w = window.weights;
    for (int32_t left = window.rows; left > 0; left--, x += window.x_step) {
        if (stride == 0) {
            for (int32_t i = 0; i < window.kernel_w; i++) {
                const int16_t *at = x + i * window.dilation;
                const int32_t weight = *w++;
#pragma GCC unroll 4
                for (int32_t n = 0; n < pixels; n++, at += window.stride) {
                    sums[n] += weight * *at;
                }
            }
        } else if (kernel_w != 0) {
            taps(sums, x, w, kernel_w, stride, pixels);
            w += kernel_w;
        } else {
            const int16_t *at = x;
            int32_t more = window.kernel_w;
            for (; more > 2; more -= 3, w += 3, at += 3) {
                taps(sums, at, w, 3, stride, pixels);
            }
            for (; more > 0; more--, w++, at++) {
                taps(sums, at, w, 1, stride, pixels);
            }
        }
    }
}

/* Which rows of the window at input row y0 lie inside the map. */
static inline void clip_rows(const mh_scalar_depthwise_params *p, int32_t y0, int32_t *first,
                             int32_t *end)
{
    const int32_t step = p->dilation_h;
    *first = 0;
    *end = p->kernel_h;
    for (int32_t y = y0; y < 0; y += step) {
        ++*first;
    }
    for (int32_t y = y0 + (*end - 1) * step; y >= p->in_h && *end > *first; y -= step) {
        --*end;
    }
}

static inline __attribute__((always_inline)) void channel(const channel_job *job, int32_t kernel_w,
                                                          int32_t stride)
{
    const mh_scalar_depthwise_params *p = job->p;
    const int32_t step = stride != 0 ? stride : p->stride_w, out_step = job->out_step;
    const int32_t start = job->constants[0], form = p->form;
    const int32_t k[3] = {job->constants[1], job->constants[2],
                          job->constants[mh_scalar_words(form)]};
    row_window window = {
        .x_step = p->dilation_h * p->row_width,
        .kernel_w = p->kernel_w,
        .stride = p->stride_w,
        .dilation = p->dilation_w,
    };
    int8_t *out = job->out;
    int32_t y0 = job->y0;
    for (int32_t rows = job->rows; rows > 0; rows--, y0 += p->stride_h) {
        int32_t first, end;
        clip_rows(p, y0, &first, &end);
        window.rows = end - first;
        window.weights = job->weights + first * p->kernel_w;
        const int16_t *x =
            job->copy + (y0 + first * p->dilation_h - job->copied_from) * p->row_width;
        int32_t left = p->out_w;
        for (; left > 1; left -= PIXELS, x += PIXELS * step) {
            int32_t sums[PIXELS];
#pragma GCC unroll 4
            for (int32_t n = 0; n < PIXELS; n++) {
                sums[n] = start;
            }
            sum_pixels(window, x, kernel_w, stride, PIXELS, sums);
            if (form == MH_SCALAR_LINE) {
#pragma GCC unroll 4
                for (int32_t n = 0; n < PIXELS; n++) {
                    sums[n] = mh_scalar_line_s8(sums[n], k);
                }
            } else {
#pragma GCC unroll 4
                for (int32_t n = 0; n < PIXELS; n++) {
                    sums[n] = mh_scalar_exact_s8(sums[n], k);
                }
            }
#pragma GCC unroll 4
            for (int32_t n = 0; n < PIXELS; n++) {
                if (n < 2 || left > n) {
                    *out = (int8_t)sums[n];
                    out += out_step;
                }
            }
        }
        if (left == 1) {
            int32_t sum = start;
            sum_pixels(window, x, kernel_w, stride, 1, &sum);
            *out = (int8_t)(form == MH_SCALAR_LINE ? mh_scalar_line_s8(sum, k)
                                                   : mh_scalar_exact_s8(sum, k));
            out += out_step;
        }
    }
}

static void channel3_stride1(const channel_job *job)
{
    channel(job, 3, 1);
}

static void channel3_stride2(const channel_job *job)
{
    channel(job, 3, 2);
}

static void channel_stride1(const channel_job *job)
{
    channel(job, 0, 1);
}

static void channel_stride2(const channel_job *job)
{
    channel(job, 0, 2);
}

static void channel_any(const channel_job *job)
{
    channel(job, 0, 0);
}

static channel_function function_of(const mh_scalar_depthwise_params *p)
{
    if (p->dilation_w != 1 || p->stride_w > 2) {
        return channel_any;
    }
    if (p->kernel_w == 3) {
        return p->stride_w == 1 ? channel3_stride1 : channel3_stride2;
    }
    return p->stride_w == 1 ? channel_stride1 : channel_stride2;
}

/* Rows y .. end of one channel into the copy. */
static void copy_channel(const mh_scalar_depthwise_params *p, const int8_t *in, int32_t y,
                         int32_t end, int16_t *copy)
{
    const int32_t depth = p->in_c, zero_point = p->in_zp;
    const int8_t *from = in + y * p->in_w * depth;
    for (copy += p->pad_left; y < end; y++, copy += p->row_width) {
        int16_t *to = copy;
#pragma GCC unroll 4
        for (int32_t left = p->in_w; left > 0; left--, from += depth) {
            *to++ = (int16_t)(*from - zero_point);
        }
    }
}

static void band(const mh_scalar_depthwise_params *p, const int8_t *in, int8_t *out, int16_t *copy,
                 int32_t oy, int32_t rows)
{
    const int32_t out_c = p->in_c * p->multiplier, taps_count = p->kernel_h * p->kernel_w;
    const int32_t y0 = oy * p->stride_h - p->pad_top;
    const int32_t y1 = y0 + (rows - 1) * p->stride_h + (p->kernel_h - 1) * p->dilation_h + 1;
    const int32_t y_first = y0 < 0 ? 0 : y0, y_end = y1 > p->in_h ? p->in_h : y1;
    const channel_function function = function_of(p);
    channel_job job = {p,  copy, y_first, p->weights, p->constants, out + oy * p->out_w * out_c,
                       y0, rows, out_c};
    for (int32_t c = 0; c < p->in_c; c++) {
        copy_channel(p, in + c, y_first, y_end, copy);
        for (int32_t m = 0; m < p->multiplier; m++) {
            function(&job);
            job.weights += taps_count;
            job.constants += 1 + mh_scalar_words(p->form);
            job.out++;
        }
    }
}

mh_status mh_scalar_depthwise_s8(const mh_scalar_depthwise_params *p, const int8_t *in, int8_t *out,
                                 void *scratch)
{
    int16_t *const copy = scratch;
    if (p->multiplier < 1 || p->band_rows < 1) {
        return MH_ERR_ARG;
    }
    for (int32_t i = 0; i < p->row_width * p->copy_rows; i++) {
        copy[i] = 0;
    }
    for (int32_t oy = 0; oy < p->out_h; oy += p->band_rows) {
        const int32_t left = p->out_h - oy;
        band(p, in, out, copy, oy, left < p->band_rows ? left : p->band_rows);
    }
    mh_scalar_clamp(out, p->out_h * p->out_w * p->in_c * p->multiplier, p->lo, p->hi);
    return MH_OK;
}
