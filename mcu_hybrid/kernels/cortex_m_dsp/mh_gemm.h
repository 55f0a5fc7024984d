/* Shared by the fast matrix kernels; not part of the API. */
#ifndef MH_GEMM_H
#define MH_GEMM_H

#include "mh_bound.h"
#include "mh_gemm_job.h"
#include "mh_nn_fast.h"

typedef void (*mh_gemm_start)(const mh_gemm_job *job, int8_t *out);

/* Loops for three pixels at once and for one; the latter may be the former (tail1 NULL). */
typedef struct {
    mh_gemm_start start3, start1;
    uint32_t *(*widen1)(const int8_t *a, uint32_t *column, int32_t groups);
    mh_code loop3;
    int32_t unrolled3;
    mh_code loop1, odd1;
    int32_t unrolled1, bytes1; /* code bytes of a step */
} mh_gemm_tile;

/* A requantisation and the tile that it belongs to. */
struct mh_gemm_form {
    const mh_gemm_tile *tile;
    mh_code tail3, tail1;
};

/* What all params of the fast kernels begin with. */
typedef struct {
    const uint32_t *stream;
    int32_t steps, out_c, pair_words, shift;
} mh_gemm_head;

/* A section of its own each, so that the linker drops what no layer uses. */
#define MH_FORM_DEFINE(name, ...)                                                                  \
    const mh_gemm_form mh_form_##name                                                              \
        __attribute__((section(".rodata.mh_form_" #name))) = {__VA_ARGS__};

/* One layer at work. */
typedef struct {
    mh_gemm_job three, one;
    uint32_t *column;
    const mh_gemm_tile *tile;
    const uint32_t *last_stream; /* of the pair that an odd number of channels leaves half empty */
    int32_t out_c;
} mh_gemm_layer;

/* column: 2 * steps words for one pixel, three times as many for three. */
void mh_gemm_begin(mh_gemm_layer *layer, const mh_gemm_form *form, const mh_gemm_head *head,
                   uint32_t *column);
/* The last channel of an odd number: its pair would write one byte too many. Weak: linked only
 * where a layer has such a number (codegen adds gemm_odd_s8 to that layer's call). */
__attribute__((weak)) void mh_gemm_last_channel(const mh_gemm_layer *layer, int8_t *out,
                                                int32_t pixels);

/* Multiply what the column holds; write 3 * out_c bytes. */
static inline void mh_gemm_pixels3(const mh_gemm_layer *layer, int8_t *out)
{
    if (layer->three.pairs > 0) {
        layer->tile->start3(&layer->three, out);
    }
    if (layer->out_c & 1) {
        mh_gemm_last_channel(layer, out, 3);
    }
}

/* Multiply a column of one pixel; write out_c bytes. */
static inline void mh_gemm_pixel(const mh_gemm_layer *layer, int8_t *out)
{
    if (layer->one.pairs > 0) {
        layer->tile->start1(&layer->one, out);
    }
    if (layer->out_c & 1) {
        mh_gemm_last_channel(layer, out, 1);
    }
}

/* Sign-extend groups of 4 bytes from three places (or one) into a column; returns its end. */
uint32_t *mh_widen3(const int8_t *a, const int8_t *b, const int8_t *c, uint32_t *column,
                    int32_t groups);
/* Rows of groups >= 1 each; returns the end of the column. */
uint32_t *mh_widen3_rows(const mh_rows *rows, uint32_t *column, int32_t groups, int32_t count);

uint32_t *mh_widen1(const int8_t *a, uint32_t *column, int32_t groups);

#endif
