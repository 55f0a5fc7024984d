/* Depthwise convolution with any window and any factors, straight from the map: four channels at a
 * time, no scratch. For what the other kernels leave: dilation, large strides, odd factors. */
#include "mh_dw.h"

/* Sums of channels 0, 2, 1, 3. */
void mh_dw_window(const mh_dw_window_job *w, int32_t sums[4]);

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Kernel positions first .. end that lie inside the map. */
typedef struct {
    int32_t first, end;
} inside;

static inside clip(int32_t start, int32_t dilation, int32_t kernel, int32_t size)
{
    inside range;
    range.first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    range.end = start >= size ? 0 : (size - 1 - start) / dilation + 1;
    range.end = range.end > kernel ? kernel : range.end;
    return range;
}

static void put(const mh_depthwise_conv2d_params *p, const int32_t sums[4], int32_t channel,
                int8_t *out)
{
    static const uint8_t order[4] = {0, 2, 1, 3}; /* SXTB16 takes bytes 0 and 2, then 1 and 3 */
    for (int32_t i = 0; i < 4; i++) {
        const int32_t c = channel + i;
        const int32_t sum = sums[order[i]] + (p->bias != NULL ? p->bias[c] : 0);
        const int32_t value = mh_requantize_quick(sum, p->mult[c], p->shift[c]) + p->out_zp;
        out[c] = (int8_t)mh_clamp(value, p->lo, p->hi);
    }
}

mh_status mh_dw_any_s8(const mh_depthwise_conv2d_params *p, const int8_t *in, int8_t *out,
                       void *scratch)
{
    mh_dw_window_job w;
    (void)scratch;
    w.in_step = p->dilation_w * p->in_c;
    w.weights_step = p->in_c;
    w.offset = (uint32_t)(-p->in_zp & 0xffff) * 0x10001u; /* int16 twice */
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        const int32_t y0 = oy * p->stride_h - p->pad_top;
        const inside y = clip(y0, p->dilation_h, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++, out += p->in_c) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            const inside x = clip(x0, p->dilation_w, p->kernel_w, p->in_w);
            const int32_t top = y0 + y.first * p->dilation_h;
            const int32_t left = x0 + x.first * p->dilation_w;
            w.columns = x.end - x.first;
            w.rows = y.end - y.first;
            w.in_skip = (p->dilation_h * p->in_w - w.columns * p->dilation_w) * p->in_c;
            w.weights_skip = (p->kernel_w - w.columns) * p->in_c;
            for (int32_t c = 0; c < p->in_c; c += 4) {
                const int32_t channel = max_of(c + 4 > p->in_c ? p->in_c - 4 : c, 0);
                int32_t sums[4] = {0, 0, 0, 0};
                w.in = in + (top * p->in_w + left) * p->in_c + channel;
                w.weights = p->weights + (y.first * p->kernel_w + x.first) * p->in_c + channel;
                if (w.columns > 0 && w.rows > 0) {
                    mh_dw_window(&w, sums);
                }
                put(p, sums, channel, out);
            }
        }
    }
    return MH_OK;
}
