/* Shared by the fast depthwise kernels; not part of the API. */
#ifndef MH_DW_H
#define MH_DW_H

#include "mh_bound.h"
#include "mh_dw_job.h"
#include "mh_nn_fast_dw.h"

/* A form: in a section of its own, so that the linker drops what no layer uses. */
#define MH_DW_FORM_DEFINE(type, name, ...)                                                         \
    const type mh_form_##name __attribute__((section(".rodata.mh_form_" #name))) = {__VA_ARGS__};

/* Input columns that a tile of output columns reads. */
typedef struct {
    int32_t first, count;
    int32_t pad; /* columns of padding in front */
} mh_span;

/* In mh_gather_kronecker2 the units are quads: lead and tail are masks of the pixels that the first
 * and the last quad have (0: no such quad), quad_bytes covers the first and the full ones. */

void mh_gather_w64(const mh_gather_job *job);
void mh_gather_w128(const mh_gather_job *job);

/* ``bytes`` are multiples of 4: newlib-nano's memset and memcpy go byte by byte. */
void mh_fill_words(void *dst, uint32_t value, int32_t bytes);
void mh_copy_words(void *dst, const void *src, int32_t bytes);

mh_span mh_columns(const mh_dw_params *p, int32_t x, int32_t width, int32_t stride);
/* int16 pairs of (value - zero point); ``row_bytes``: of four planes. */
void mh_gather_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                     int32_t row_bytes);

/* Words x0 + x1 * 2^21 of (value + 128); stride 2: of the even columns, then of the odd ones. */
void mh_gather_kronecker1(const mh_gather_job *job);
void mh_gather_kronecker2(const mh_gather_job *job);
void mh_gather_kronecker1_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                                int32_t segment_bytes);
void mh_gather_kronecker2_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                                int32_t segment_bytes);

/* mh_requantize in a few instructions: both roundings as sums before shifts. */
static inline int32_t mh_requantize_quick(int32_t x, int32_t mult, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0, right = left - shift;
    const int64_t product = (int64_t)(int32_t)((uint32_t)x << left) * mult;
    const int32_t high = (int32_t)((product + (1 << 30)) >> 31);
    const int64_t half = right > 0 ? (1 << (right - 1)) + (high >> 31) : 0;
    return (int32_t)((high + half) >> right);
}

/* A run of elements that lie together in both operands. */
typedef void (*mh_run)(const void *params, const int8_t *a, const int8_t *b, int8_t *out,
                       int32_t size);
/* All runs, in order; returns the bytes that were written. */
int32_t mh_each_run(const int32_t *loops, mh_run run, const void *params, const int8_t *a,
                    const int8_t *b, int8_t *out);

#endif
