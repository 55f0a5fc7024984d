/* Fast elementwise kernels, pools and moving of bytes of the Cortex-M DSP extension (M4, M7, M33).
 * Buffers need no alignment unless said; see compiler/select/dsp/{elementwise,pool,move} for who
 * calls them.
 */
#ifndef MH_NN_FAST_EW_H
#define MH_NN_FAST_EW_H

#include "mh_nn_elementwise.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Loops of broadcasting as in mh_nn_elementwise.h; the innermost runs along both operands. In place
 * on an operand that has the output's shape. Bounds tighter than int8, else -128 and 127. */

/* out = sat8((((a << 8) * a_mul >> 16) + ((b << 8) * b_mul >> 16) + start) >> 16), then the bounds.
 */
typedef struct {
    const int32_t *loops;
    int32_t a_mul, b_mul, start;
    int8_t lo, hi;
} mh_add_fast_params;

/* ADD and SUB. */
mh_status mh_add_fast_s8(const mh_add_fast_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                         void *scratch);

/* v = 2 * (a + a_offset) * (b + b_offset), out = sat8((hi32_rounded(v * mult) + addend + (v >> 31))
 * >> right), then the bounds: the exact form of compiler/exact/requant.py. */
typedef struct {
    const int32_t *loops;
    int32_t a_offset, b_offset;
    int32_t mult, addend, right;
    int8_t lo, hi;
} mh_mul_fast_params;

mh_status mh_mul_fast_s8(const mh_mul_fast_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                         void *scratch);

typedef struct {
    int16_t in_h, in_w, channels;
    int16_t out_h, out_w;
    int16_t kernel_h, kernel_w;
    int16_t stride_h, stride_w;
    int16_t pad_top, pad_left;
    int8_t lo, hi;
} mh_pool_fast_params;

/* At least 4 channels. */
mh_status mh_max_pool_fast_s8(const mh_pool_fast_params *p, const int8_t *in, int8_t *out,
                              void *scratch);
/* At least 4 channels, windows of at most 256 pixels: their sums fit 16 bits (256 * -128). */
mh_status mh_average_pool_fast_s8(const mh_pool_fast_params *p, const int8_t *in, int8_t *out,
                                  void *scratch);

/* MEAN over neighbouring dimensions: [outer][count][inner] to [outer][inner], each output
 * requantize(sum + offset, mult, shift) + out_zp. inner >= 4 needs count <= 256. */
typedef struct {
    int32_t outer, count, inner;
    int32_t offset, mult, shift, out_zp;
} mh_mean_fast_params;

mh_status mh_mean_fast_s8(const mh_mean_fast_params *p, const int8_t *in, int8_t *out,
                          void *scratch);

/* A border of one value around ``rows`` runs of ``run`` bytes, which lie in planes of rows:
 * before and after the whole, around each plane, and around each run. */
typedef struct {
    int32_t planes, rows, run;
    int32_t before, after;             /* bytes around the whole */
    int32_t plane_before, plane_after; /* bytes around each plane */
    int32_t run_before, run_after;     /* bytes around each run */
    int32_t value;
} mh_pad_fast_params;

mh_status mh_pad_fast_s8(const mh_pad_fast_params *p, const int8_t *in, int8_t *out, void *scratch);

/* Reads with strides from in + offset, writes in order: loops as in mh_strided_copy_params. */
#define MH_COPY_FAST_LOOPS 5 /* as MH_COPY_LOOPS */

typedef struct {
    int32_t offset;
    const int32_t *loops; /* extents, outermost first, then strides */
} mh_copy_fast_params;

mh_status mh_copy_fast_s8(const mh_copy_fast_params *p, const int8_t *in, int8_t *out,
                          void *scratch);

#ifdef __cplusplus
}
#endif
#endif
