/* Shared by the fast matrix kernels; not part of the API. */
#ifndef MH_GEMM_H
#define MH_GEMM_H

#include "mh_nn_fast.h"

/* Code addresses in the assembly of gemm_s8.c; only taken, never called. */
typedef void (*mh_code)(void);

/* What ends a pair of channels: requantise, store, go to the next pair. */
typedef struct {
    mh_code three;    /* after three pixels */
    mh_code one;      /* after one */
    int8_t is_plain;  /* weights that cannot be packed with a carry */
} mh_gemm_form;

/* Read by the assembly: the order of the fields is fixed. */
typedef struct {
    const void *column; /* int16 inputs; three pixels are interleaved word by word */
    int32_t pairs;
    int32_t stride;     /* three pixels: bytes from pixel to pixel; one pixel: shift of the line */
    mh_code entry;      /* where to go after the first step */
    mh_code tail;
    mh_code entry_even; /* one pixel: where to go when an even number of steps is left */
    const uint32_t *stream;
    const void *end; /* of the column */
} mh_gemm_job;

/* One layer's jobs: the pairs that lie wholly in the output, and a last one that does not. */
typedef struct {
    mh_gemm_job three, one;
    const uint32_t *last_stream;
    int32_t pairs, stride, shift;
    int32_t is_odd, is_plain;
    int32_t half_words; /* of a column: K / 2 */
} mh_gemm_layer;

#define MH_FORM_DECLARE(form) extern const mh_gemm_form mh_form_##form;
MH_FAST_FORMS(MH_FORM_DECLARE)
#undef MH_FORM_DECLARE

/* column: K / 2 words for one pixel, three times as many for three. */
void mh_gemm_begin(mh_gemm_layer *layer, const mh_gemm_form *form, const uint32_t *stream,
                   int32_t steps, int32_t out_c, int32_t pair_words, int32_t shift,
                   const void *column);
/* Multiply the column; writes out_c bytes for one pixel, three times as many for three. */
void mh_gemm_pixels3(mh_gemm_layer *layer, int8_t *out);
void mh_gemm_pixel(mh_gemm_layer *layer, int8_t *out);

/* Sign-extend words of 4 bytes each from three places (or one) into a column; returns its end. */
uint32_t *mh_widen3(const int8_t *a, const int8_t *b, const int8_t *c, uint32_t *column,
                    int32_t words);
uint32_t *mh_widen1(const int8_t *a, uint32_t *column, int32_t words);

/* Bounds tighter than int8, in place. */
void mh_clamp_s8(int8_t *out, int32_t bytes, int32_t lo, int32_t hi);

#endif
