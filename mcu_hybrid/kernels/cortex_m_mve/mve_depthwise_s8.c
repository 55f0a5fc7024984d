/* Depthwise convolution: fills the band of planes, then lets the products run over its channels. */
#include <arm_mve.h>

#include "mh_mve.h"
#include "mh_mve_planes.h"

#define LANES 8 /* of 16 bits: the offsets of a scattering store */

typedef struct {
    const int8_t *from;
    int8_t *to;
    int32_t pixels;
    int32_t from_step;
    int32_t to_step;
    int32_t plane_bytes;
} spread;

/* 8, 16 or 32 channels of a row of pixels to as many planes. */
static inline void spread_groups(const spread *s, int32_t groups)
{
    const uint16x8_t first = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)s->plane_bytes);
    const uint16_t apart = (uint16_t)(LANES * s->plane_bytes);
    const uint16x8_t second = vaddq_n_u16(first, apart);
    const uint16x8_t third = vaddq_n_u16(second, apart);
    const uint16x8_t fourth = vaddq_n_u16(third, apart);
    const uint8_t *from = (const uint8_t *)s->from;
    uint8_t *to = (uint8_t *)s->to;
    for (int32_t x = s->pixels; x > 0; x--) {
        vstrbq_scatter_offset_u16(to, first, vldrbq_u16(from));
        if (groups > 1) {
            vstrbq_scatter_offset_u16(to, second, vldrbq_u16(from + LANES));
        }
        if (groups > 2) {
            vstrbq_scatter_offset_u16(to, third, vldrbq_u16(from + 2 * LANES));
            vstrbq_scatter_offset_u16(to, fourth, vldrbq_u16(from + 3 * LANES));
        }
        from += s->from_step;
        to += s->to_step;
    }
}

/* Up to 8 channels. */
static void spread_some(const spread *s, int32_t channels)
{
    const uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)s->plane_bytes);
    const mve_pred16_t some = vctp16q((uint32_t)channels);
    const uint8_t *from = (const uint8_t *)s->from;
    uint8_t *to = (uint8_t *)s->to;
    for (int32_t x = s->pixels; x > 0; x--) {
        vstrbq_scatter_offset_p_u16(to, at, vldrbq_z_u16(from, some), some);
        from += s->from_step;
        to += s->to_step;
    }
}

static void spread_row(const mh_mve_depthwise_params *p, const int8_t *from, int8_t *to,
                       int32_t channels)
{
    spread s = {from, to, p->in_w, p->in_c, p->band_rows, p->plane_bytes};
    int32_t left = channels;
    while (left > 0) {
        int32_t groups = left >= 4 * LANES ? 4 : left >= 2 * LANES ? 2 : 1;
        if ((groups * LANES - 1) * p->plane_bytes > UINT16_MAX) {
            groups = 1; /* offsets have 16 bits */
        }
        if (left < LANES) {
            spread_some(&s, left);
        } else if (groups == 4) {
            spread_groups(&s, 4);
        } else if (groups == 2) {
            spread_groups(&s, 2);
        } else {
            spread_groups(&s, 1);
        }
        left -= groups * LANES;
        s.from += groups * LANES;
        s.to += groups * LANES * p->plane_bytes;
    }
}

/* A row below the map, where rows of it were before. */
static void pad_row(const mh_mve_depthwise_params *p, int8_t *to, int32_t channels)
{
    const uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)p->plane_bytes);
    const uint16x8_t values = vdupq_n_u16((uint16_t)(uint8_t)p->in_zp);
    const int32_t step = p->band_rows, apart = LANES * p->plane_bytes;
    for (int32_t c = 0; c < channels; c += LANES) {
        const mve_pred16_t some = vctp16q((uint32_t)(channels - c));
        uint8_t *pixel = (uint8_t *)to;
        for (int32_t x = p->in_w; x > 0; x--) {
            vstrbq_scatter_offset_p_u16(pixel, at, values, some);
            pixel += step;
        }
        to += apart;
    }
}

/* Rows above the map hold padding from the beginning. */
static void fill_band(const mh_mve_depthwise_params *p, const int8_t *in, int8_t *band, int32_t y,
                      int32_t channels)
{
    int8_t *const inside = band + p->pad_left * p->band_rows;
    for (int32_t i = 0; i < p->band_rows; i++) {
        const int32_t row = y * p->stride_h - p->pad_top + i;
        if (row >= p->in_h) {
            if (y > 0) {
                pad_row(p, inside + i, channels);
            }
        } else if (row >= 0) {
            spread_row(p, in + row * p->in_w * p->in_c, inside + i, channels);
        }
    }
}

/* Lane l holds output l / 2, and 4 more where l is odd; the outputs go column by column. */
static int32_t output_of(int32_t lane)
{
    return lane % 2 * (LANES / 2) + lane / 2;
}

static uint32_t mask_of(int32_t rows, int32_t valid_rows, int32_t columns)
{
    uint32_t mask = 0;
    for (int32_t lane = 0; lane < LANES; lane++) {
        const int32_t i = output_of(lane);
        if (i % rows < valid_rows && i / rows < columns) {
            mask |= 3u << (2 * lane); /* P0 has a bit a byte */
        }
    }
    return mask;
}

static void run_band(const mh_mve_depthwise_params *p, mh_mve_planes_start start,
                     mh_mve_planes_job *job, int32_t channels)
{
    const int32_t words = p->weight_bytes / 4 + 3; /* bias, multiplier, right shift */
    if (p->multiplier == 1) {
        job->plane_bytes = p->plane_bytes;
        job->channels = channels;
        start(job);
        return;
    }
    job->plane_bytes = 0;
    job->channels = p->multiplier;
    for (int32_t c = 0; c < channels; c++) {
        start(job);
        job->stream += p->multiplier * words;
        job->plane += p->plane_bytes;
        job->out += p->multiplier;
    }
}

mh_status mh_mve_depthwise_s8(const mh_mve_depthwise_params *p, const int8_t *in, int8_t *out,
                              void *scratch)
{
    const mh_mve_planes_start start = p->form->start;
    const int32_t rows = p->form->rows;
    int8_t *const band = scratch;
    const int32_t out_c = p->in_c * p->multiplier, words = p->weight_bytes / 4 + 3;
    const int32_t columns = LANES / rows, chunks = (p->out_w + columns - 1) / columns;
    const int32_t last_columns = p->out_w - (chunks - 1) * columns;
    uint16_t places[LANES];
    mh_mve_planes_job job;
    for (int32_t lane = 0; lane < LANES; lane++) {
        const int32_t i = output_of(lane);
        places[lane] = (uint16_t)((i % rows * p->out_w + i / rows) * out_c);
    }
    job.weight_bytes = p->weight_bytes;
    job.chunks = chunks - 1;
    job.step = p->stride_w * p->band_rows;
    job.out_step = columns * out_c;
    job.zp = p->out_zp;
    job.lanes = p->lanes;
    job.places = places;
    for (int32_t first = 0; first < p->in_c; first += p->block) {
        const int32_t channels = p->in_c - first < p->block ? p->in_c - first : p->block;
        mh_mve_fill(band, channels * p->plane_bytes, p->in_zp);
        for (int32_t y = 0; y < p->out_h; y += rows) {
            fill_band(p, in + first, band, y, channels);
            if (y == 0 || p->out_h - y < rows) {
                job.last_mask = mask_of(rows, p->out_h - y, last_columns);
                job.first_mask = chunks > 1 ? mask_of(rows, p->out_h - y, columns) : job.last_mask;
            }
            job.stream = p->stream + first * p->multiplier * words;
            job.plane = band;
            job.out = out + y * p->out_w * out_c + first * p->multiplier;
            run_band(p, start, &job, channels);
        }
    }
    mh_mve_clamp(out, p->out_h * p->out_w * out_c, p->lo, p->hi);
    return MH_OK;
}

#define FORM(form, rows, stride, vectors)                                                          \
    void mh_mve_planes_##form##_##rows##_##stride##_##vectors(const mh_mve_planes_job *job);       \
    const mh_mve_planes_form mh_form_planes_##form##_##rows##_##stride##_##vectors = {             \
        mh_mve_planes_##form##_##rows##_##stride##_##vectors, rows};
MH_MVE_DEPTHWISE(FORM)
