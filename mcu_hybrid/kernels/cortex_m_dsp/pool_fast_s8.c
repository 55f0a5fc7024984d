/* MAX_POOL_2D and AVERAGE_POOL_2D, and MEAN: four or eight channels at a time. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_ew_job.h"
#include "mh_nn_fast_ew.h"

void mh_max_8(const mh_pool_window *w, int8_t *out);
void mh_max_4(const mh_pool_window *w, int8_t *out);
/* Sums of four channels: channels 0 and 2, then 1 and 3, as halfwords. */
void mh_sum_4(const mh_pool_window *w, uint32_t sums[2]);

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* What an output pixel sees of the map. */
static mh_pool_window window_of(const mh_pool_fast_params *p, const int8_t *in, int32_t oy,
                                int32_t ox)
{
    const int32_t y0 = oy * p->stride_h - p->pad_top, x0 = ox * p->stride_w - p->pad_left;
    const int32_t y = max_of(y0, 0), x = max_of(x0, 0);
    mh_pool_window w;
    w.in = in + (y * p->in_w + x) * p->channels;
    w.step = p->channels;
    w.rows = min_of(y0 + p->kernel_h, p->in_h) - y;
    w.columns = min_of(x0 + p->kernel_w, p->in_w) - x;
    w.row_skip = (p->in_w - w.columns) * p->channels;
    return w;
}

mh_status mh_max_pool_fast_s8(const mh_pool_fast_params *p, const int8_t *in, int8_t *out,
                              void *scratch)
{
    int8_t *to = out;
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            mh_pool_window w = window_of(p, in, oy, ox);
            int32_t left = p->channels;
            for (; left >= 8; left -= 8) {
                mh_max_8(&w, to);
                w.in += 8;
                to += 8;
            }
            if (left >= 4) {
                mh_max_4(&w, to);
                w.in += 4;
                to += 4;
                left -= 4;
            }
            if (left > 0) { /* the last four, some of them again */
                w.in -= 4 - left;
                mh_max_4(&w, to - (4 - left));
                to += left;
            }
        }
    }
    mh_bound(out, (int32_t)(to - out), p->lo, p->hi);
    return MH_OK;
}

/* sum / count, rounded half away from zero, as the high half of a product: 4 * sum times
 * 2^30 / count. |sum| <= 2^15 and count <= 256, for sums take a half-word
 * (test_fast_simple.py goes through all of them). */
typedef struct {
    int32_t scale, half;
} quotient;

static quotient quotient_of(int32_t count)
{
    quotient q;
    q.scale = ((1 << 30) + count / 2) / count;
    q.half = 2 * count + 1;
    return q;
}

static int32_t divide(int32_t sum, const quotient *q)
{
    /* A half is added, less a little below zero; an odd number over 4 * count is never whole. */
    const int32_t fourfold = 4 * sum + q->half + 2 * (sum >> 31);
    return (int32_t)(((int64_t)fourfold * q->scale) >> 32);
}

static void put4(const uint32_t sums[2], const quotient *q, int8_t *out)
{
    out[0] = (int8_t)divide((int16_t)sums[0], q);
    out[1] = (int8_t)divide((int16_t)sums[1], q);
    out[2] = (int8_t)divide((int32_t)sums[0] >> 16, q);
    out[3] = (int8_t)divide((int32_t)sums[1] >> 16, q);
}

mh_status mh_average_pool_fast_s8(const mh_pool_fast_params *p, const int8_t *in, int8_t *out,
                                  void *scratch)
{
    int8_t *to = out;
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            mh_pool_window w = window_of(p, in, oy, ox);
            const quotient q = quotient_of(w.rows * w.columns);
            for (int32_t left = p->channels; left > 0; left -= 4) {
                uint32_t sums[2];
                const int32_t back = left < 4 ? 4 - left : 0; /* the last four, some again */
                w.in -= back;
                mh_sum_4(&w, sums);
                put4(sums, &q, to - back);
                w.in += 4;
                to += 4 - back;
            }
        }
    }
    mh_bound(out, (int32_t)(to - out), p->lo, p->hi);
    return MH_OK;
}

static int8_t mean_of(const mh_mean_fast_params *p, int32_t sum)
{
    const int32_t value = mh_requantize_quick(sum + p->offset, p->mult, p->shift) + p->out_zp;
    return (int8_t)mh_clamp(value, INT8_MIN, INT8_MAX);
}

static void mean_wide(const mh_mean_fast_params *p, const int8_t *in, int8_t *out)
{
    mh_pool_window w;
    w.in = in;
    w.step = p->inner;
    w.columns = p->count;
    w.row_skip = 0;
    w.rows = 1;
    for (int32_t left = p->inner; left > 0; left -= 4) {
        uint32_t sums[2];
        const int32_t back = left < 4 ? 4 - left : 0; /* the last four, some again */
        w.in -= back;
        out -= back;
        mh_sum_4(&w, sums);
        out[0] = mean_of(p, (int16_t)sums[0]);
        out[1] = mean_of(p, (int16_t)sums[1]);
        out[2] = mean_of(p, (int32_t)sums[0] >> 16);
        out[3] = mean_of(p, (int32_t)sums[1] >> 16);
        out += 4;
        w.in += 4;
    }
}

mh_status mh_mean_fast_s8(const mh_mean_fast_params *p, const int8_t *in, int8_t *out,
                          void *scratch)
{
    (void)scratch;
    for (int32_t o = 0; o < p->outer; o++, in += p->count * p->inner, out += p->inner) {
        if (p->inner >= 4) {
            mean_wide(p, in, out);
            continue;
        }
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t sum = 0;
            for (const int8_t *x = in + i; x < in + p->count * p->inner; x += p->inner) {
                sum += *x;
            }
            out[i] = mean_of(p, sum);
        }
    }
    return MH_OK;
}
