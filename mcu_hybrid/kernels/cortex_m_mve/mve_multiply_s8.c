/* Whole rows of pixels through the tiles, and what they leave: odd pixels and odd channels. */
#include <arm_mve.h>

#include "mh_mve.h"

#define UNROLLED 4 /* blocks of mve_tile_s8.S: its loop's end is 2 instructions to 56 */
#define GROUP 4    /* channels: a vector of 32-bit sums */
#define VECTOR 16

/* Channels beyond the last whole four: the tile writes four bytes, some of them must not be. */
static void last_channels(const mh_mve_form *form, const mh_mve_job *whole, int32_t count)
{
    int8_t four[GROUP];
    mh_mve_job job = *whole;
    job.out = four;
    job.end = four + GROUP;
    job.pixels = 1;
    job.group_bytes = GROUP;
    for (int32_t i = 0; i < whole->pixels; i++) {
        int8_t *const out = whole->out + (i + 1) * whole->out_c - count;
        form->singles(&job);
        for (int32_t c = 0; c < count; c++) {
            out[c] = four[c];
        }
        job.pixel += job.pixel_bytes;
    }
}

void mh_mve_multiply(const mh_mve_matrix_params *p, const int8_t *in, int32_t pixel_bytes,
                     int8_t *out, int32_t pixels)
{
    const mh_mve_form *const form = p->form;
    const int32_t rest = p->out_c % GROUP;
    mh_mve_job job;
    job.pixel = in;
    job.second = in + pixel_bytes;
    job.passes = (p->blocks + UNROLLED - 1) / UNROLLED;
    job.blocks = p->blocks;
    job.stream = p->stream;
    job.out_c = p->out_c;
    job.pixel_bytes = pixel_bytes;
    job.pixels = pixels / 2 * 2;
    job.out = out;
    job.group_bytes = p->out_c - rest;
    job.end = out + job.group_bytes;
    job.zp = p->out_zp;
    if (job.group_bytes > 0) {
        if (job.pixels > 0) {
            form->pairs(&job);
        }
        if (pixels % 2 != 0) {
            const int32_t last = pixels - 1;
            mh_mve_job single = job;
            single.pixel += last * pixel_bytes;
            single.out += last * p->out_c;
            single.end += last * p->out_c;
            single.pixels = 1;
            form->singles(&single);
        }
    }
    if (rest != 0) {
        job.pixels = pixels;
        job.stream += p->out_c / GROUP * p->group_words;
        last_channels(form, &job, rest);
    }
}

void mh_mve_clamp(int8_t *out, int32_t bytes, int32_t lo, int32_t hi)
{
    if (lo == INT8_MIN && hi == INT8_MAX) {
        return;
    }
    const int8x16_t low = vdupq_n_s8((int8_t)lo), high = vdupq_n_s8((int8_t)hi);
    for (int32_t i = bytes / VECTOR; i > 0; i--) {
        vstrbq_s8(out, vmaxq_s8(vminq_s8(vldrbq_s8(out), high), low));
        out += VECTOR;
    }
    const mve_pred16_t some = vctp8q((uint32_t)(bytes % VECTOR));
    vstrbq_p_s8(out, vmaxq_s8(vminq_s8(vldrbq_z_s8(out, some), high), low), some);
}

void mh_mve_fill(int8_t *to, int32_t bytes, int32_t value)
{
    const int8x16_t values = vdupq_n_s8((int8_t)value);
    for (int32_t i = bytes / VECTOR; i > 0; i--) {
        vstrbq_s8(to, values);
        to += VECTOR;
    }
    vstrbq_p_s8(to, values, vctp8q((uint32_t)(bytes % VECTOR)));
}
