/* Convolution with any window: the rows that an output row sees are copied into a band in which
 * every window is one run of bytes.
 *
 * The band holds columns of kernel_h pixels, in_c bytes each; padding is the input's zero point.
 */
#include <arm_mve.h>

#include "mh_mve.h"

#define VECTOR 16

/* Where the bytes of the pixels of one vector go: for pixels of less than 16 bytes. */
static uint8x16_t places(int32_t in_c, int32_t step)
{
    uint8_t at[VECTOR];
    for (int32_t i = 0; i < VECTOR; i++) {
        at[i] = (uint8_t)(i / in_c * step + i % in_c);
    }
    return vldrbq_u8(at);
}

/* Pixels of ``bytes`` that lie together to places ``step`` apart, several pixels a vector. */
static void spread_small(const int8_t *from, int8_t *to, int32_t pixels, int32_t bytes,
                         int32_t step, uint8x16_t at, int32_t together)
{
    const int32_t whole = pixels / together;
    const mve_pred16_t all = vctp8q((uint32_t)(together * bytes));
    for (int32_t i = 0; i < whole; i++) {
        vstrbq_scatter_offset_p_s8(to, at, vldrbq_z_s8(from, all), all);
        from += together * bytes;
        to += together * step;
    }
    const mve_pred16_t some = vctp8q((uint32_t)((pixels - whole * together) * bytes));
    vstrbq_scatter_offset_p_s8(to, at, vldrbq_z_s8(from, some), some);
}

/* Pixels of more than a vector: their first vectors, then their second ones, and so on. */
static void spread_large(const int8_t *from, int8_t *to, int32_t pixels, int32_t bytes,
                         int32_t step)
{
    int32_t done = 0;
    for (; done + VECTOR <= bytes; done += VECTOR) {
        const int8_t *source = from + done;
        int8_t *target = to + done;
        for (int32_t i = pixels; i > 0; i--) {
            vstrbq_s8(target, vldrbq_s8(source));
            source += bytes;
            target += step;
        }
    }
    if (done < bytes) {
        const mve_pred16_t some = vctp8q((uint32_t)(bytes - done));
        const int8_t *source = from + done;
        int8_t *target = to + done;
        for (int32_t i = pixels; i > 0; i--) {
            vstrbq_p_s8(target, vldrbq_z_s8(source, some), some);
            source += bytes;
            target += step;
        }
    }
}

static void outside(int8_t *to, const mh_mve_matrix_params *p, int32_t step)
{
    for (int32_t x = 0; x < p->in_w; x++) {
        mh_mve_fill(to, p->in_c, p->in_zp);
        to += step;
    }
}

mh_status mh_mve_conv_s8(const mh_mve_matrix_params *p, const int8_t *in, int8_t *out,
                         void *scratch)
{
    int8_t *const band = scratch;
    const int32_t step = p->kernel_h * p->in_c, row_bytes = p->out_w * p->out_c;
    const int32_t fitting = p->in_c < VECTOR ? VECTOR / p->in_c : 0;
    /* Offsets are bytes. */
    const int32_t together = (fitting - 1) * step + p->in_c <= 256 ? fitting : 1;
    const uint8x16_t at = places(p->in_c, step);
    int8_t *const inside = band + p->pad_left * step;
    mh_mve_fill(band, p->columns * step + VECTOR, p->in_zp);
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t ky = 0; ky < p->kernel_h; ky++) {
            const int32_t row = y * p->stride_h - p->pad_top + ky * p->dilation_h;
            const int8_t *from = in + row * p->in_w * p->in_c;
            int8_t *const to = inside + ky * p->in_c;
            if (row < 0 || row >= p->in_h) {
                outside(to, p, step);
            } else if (fitting > 0) {
                spread_small(from, to, p->in_w, p->in_c, step, at, together);
            } else {
                spread_large(from, to, p->in_w, p->in_c, step);
            }
        }
        mh_mve_multiply(p, band, p->stride_w * step, out + y * row_bytes, p->out_w);
    }
    mh_mve_clamp(out, p->out_h * row_bytes, p->lo, p->hi);
    return MH_OK;
}
