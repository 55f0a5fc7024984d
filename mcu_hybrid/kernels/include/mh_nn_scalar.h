/* Kernels for cores without the DSP extension (M3, M0+), and for any other: plain C99, with the
 * inner loops in assembly where the core is known.
 *
 * Their constants are repacked and their requantisation is fitted by compiler/select/scalar.
 * ``constants`` hold, for each output channel, a start of the sum (bias and zero points) and
 *
 *   MH_SCALAR_LINE   mul, low + shift    out = sat8(((sum * mul + low) >> 32) >> shift)
 *   MH_SCALAR_EXACT  mul, addend, right  v = 2 * sum
 *                   out = sat8((((v * mul + 2^31) >> 32) + addend + (v >> 31)) >> right)
 *
 * 0 <= mul, low < 2^31, low is a multiple of 2^16, shift < 32, |sum| < 2^30. Kernels may add the
 * shift with low: the line is fitted so that it does not matter. lo and hi are bounds tighter than
 * those of int8, else -128 and 127.
 */
#ifndef MH_NN_SCALAR_H
#define MH_NN_SCALAR_H

#include "mh_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MH_SCALAR_LINE 0
#define MH_SCALAR_EXACT 1

/* Channels in groups of 4 (zeros fill the last), the length K of a sum rounded up to 4:
 * weights [groups][K / 4][4 channels][4 inputs], constants [groups][4 starts, 4 x the others]. */
typedef struct {
    const int8_t *weights;
    const int32_t *constants;
    int32_t steps, out_c; /* K / 4 */
    int32_t form;
    int32_t lo, hi;
} mh_scalar_layer;

#define MH_SCALAR_LAYER_FIELDS                                                                     \
    const int8_t *weights;                                                                         \
    const int32_t *constants;                                                                      \
    int32_t steps, out_c;                                                                          \
    int32_t form;                                                                                  \
    int32_t lo, hi

/* 1x1 convolution with stride 1 and fully connected, inputs a multiple of 4. No scratch. */
typedef struct {
    MH_SCALAR_LAYER_FIELDS;
    int32_t pixels; /* or vectors */
} mh_scalar_gemm_params;

mh_status mh_scalar_gemm_s8(const mh_scalar_gemm_params *p, const int8_t *in, int8_t *out,
                            void *scratch);

/* Any window. scratch: 8 * steps bytes. */
typedef struct {
    MH_SCALAR_LAYER_FIELDS;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t in_zp;
} mh_scalar_conv_params;

mh_status mh_scalar_conv_s8(const mh_scalar_conv_params *p, const int8_t *in, int8_t *out,
                            void *scratch);

/* The output is computed by bands of rows, a channel at a time, from a copy of the input rows that
 * a band sees, minus the zero point and with columns of padding. */
typedef struct {
    const int8_t *weights;    /* [out channels][kernel_h][kernel_w] */
    const int32_t *constants; /* [out channels][start and the others] */
    int32_t form;
    int32_t lo, hi;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t in_zp;
    int32_t band_rows; /* output rows of a band */
    int32_t row_width; /* values of a row of the copy */
    int32_t copy_rows; /* rows of the copy; scratch: 2 * row_width * copy_rows bytes */
} mh_scalar_depthwise_params;

mh_status mh_scalar_depthwise_s8(const mh_scalar_depthwise_params *p, const int8_t *in, int8_t *out,
                                 void *scratch);

/* out = clamp((a * mul_a + b * mul_b + addend) >> shift); in place on a or b. */
typedef struct {
    int32_t size;
    int32_t mul_a, mul_b, addend, shift;
    int32_t lo, hi;
} mh_scalar_add_params;

mh_status mh_scalar_add_s8(const mh_scalar_add_params *p, const int8_t *a, const int8_t *b,
                           int8_t *out, void *scratch);

/* As mh_average_pool2d_s8, four channels at a time. No scratch. */
typedef struct {
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t lo, hi;
} mh_scalar_pool_params;

mh_status mh_scalar_average_pool_s8(const mh_scalar_pool_params *p, const int8_t *in, int8_t *out,
                                    void *scratch);

#ifdef __cplusplus
}
#endif
#endif
