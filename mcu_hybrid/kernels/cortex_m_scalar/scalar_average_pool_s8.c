/* AVERAGE_POOL_2D, four channels at a time: the mean of the values inside the map, rounded half
 * away from zero. */
#include "mh_scalar.h"

static inline int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* The pixels of one window inside the map. */
typedef struct {
    const int8_t *first;
    int32_t rows, columns;
    int32_t pixel_step, row_step;
} area;

static inline int8_t mean(int32_t sum, int32_t count, const mh_scalar_pool_params *p)
{
    const int32_t half = sum > 0 ? count / 2 : -(count / 2);
    return (int8_t)mh_scalar_bounded((sum + half) / count, p->lo, p->hi);
}

static void mean4(const mh_scalar_pool_params *p, const area *window, int32_t c, int8_t *out)
{
    const int8_t *row = window->first + c;
    const int32_t step = window->pixel_step, count = window->rows * window->columns;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int32_t y = window->rows; y > 0; y--, row += window->row_step) {
        const int8_t *x = row;
        for (int32_t left = window->columns; left > 0; left--, x += step) {
            s0 += x[0];
            s1 += x[1];
            s2 += x[2];
            s3 += x[3];
        }
    }
    out[0] = mean(s0, count, p);
    out[1] = mean(s1, count, p);
    out[2] = mean(s2, count, p);
    out[3] = mean(s3, count, p);
}

static void mean1(const mh_scalar_pool_params *p, const area *window, int32_t c, int8_t *out)
{
    const int8_t *row = window->first + c;
    int32_t sum = 0;
    for (int32_t y = window->rows; y > 0; y--, row += window->row_step) {
        for (int32_t x = 0; x < window->columns; x++) {
            sum += row[x * window->pixel_step];
        }
    }
    *out = mean(sum, window->rows * window->columns, p);
}

mh_status mh_scalar_average_pool_s8(const mh_scalar_pool_params *p, const int8_t *in, int8_t *out,
                                    void *scratch)
{
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        const int32_t y0 = oy * p->stride_h - p->pad_top;
        const int32_t y = max_of(y0, 0), y_end = min_of(y0 + p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            const int32_t x = max_of(x0, 0), x_end = min_of(x0 + p->kernel_w, p->in_w);
            if (y_end <= y || x_end <= x) {
                return MH_ERR_ARG;
            }
            const area window = {in + (y * p->in_w + x) * p->channels, y_end - y, x_end - x,
                                 p->channels, p->in_w * p->channels};
            int32_t c = 0;
            for (; c + 4 <= p->channels; c += 4, out += 4) {
                mean4(p, &window, c, out);
            }
            for (; c < p->channels; c++) {
                mean1(p, &window, c, out++);
            }
        }
    }
    return MH_OK;
}
