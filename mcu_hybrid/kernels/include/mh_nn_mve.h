/* Fast kernels of the M-profile vector extension (MVE; M55, M85).
 *
 * Weights are repacked by compiler/select/mve, which also picks the ``form``. All kernels
 * compute TFLite's two roundings as they are: vqrdmulh is the first one, vrshl the second but for
 * ties of negative numbers. A form's name says what is done about these:
 *
 *   up    nothing: the layer's lower bound is its zero point, all negative numbers become that
 *   away  one is taken from negative numbers first; every factor's shift goes right
 *   any   the same, where a factor shifts right; those that shift left are shifted first
 *
 * All kernels need an aligned scratch. Inputs are read up to 3 bytes beyond their end: tensors lie
 * in an arena of 16-byte units.
 */
#ifndef MH_NN_MVE_H
#define MH_NN_MVE_H

#include "mh_nn_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* K is the sum's length, rounded up to a multiple of 4.
 *
 * stream holds, for each four output channels (zero channels fill the last four):
 *   K % 16 weights of each channel, where that is not 0; then 16 of each, K / 16 times;
 *   4 biases (input zero point included), any: 4 left shifts, 4 multipliers, 4 negated right shifts
 */
typedef struct mh_mve_form mh_mve_form;

typedef struct {
    const uint32_t *stream;
    const mh_mve_form *form;
    int32_t blocks;      /* K / 16, less one where K % 16 == 0 */
    int32_t group_words; /* words of stream for four channels */
    int32_t out_c;
    int32_t out_zp;
    int32_t lo, hi;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t kernel_h;
    int32_t stride_h, stride_w;
    int32_t dilation_h;
    int32_t pad_top, pad_left;
    int32_t in_zp;
    int32_t columns; /* of the band: all that the windows of an output row see */
} mh_mve_matrix_params;

/* 1x1 convolution without padding, with any strides; fully connected: out_w vectors. No scratch. */
mh_status mh_mve_gemm_s8(const mh_mve_matrix_params *p, const int8_t *in, int8_t *out,
                         void *scratch);
/* Any window that is not dilated sideways; weights in the order (x, y, in).
 * scratch: columns * kernel_h * in_c + 16 */
mh_status mh_mve_conv_s8(const mh_mve_matrix_params *p, const int8_t *in, int8_t *out,
                         void *scratch);

/* A form for each K % 16. */
#define MH_MVE_TAILS(X, form)                                                                      \
    X(form, 0)                                                                                     \
    X(form, 4)                                                                                     \
    X(form, 8)                                                                                     \
    X(form, 12)
#define MH_MVE_FORMS(X) MH_MVE_TAILS(X, up) MH_MVE_TAILS(X, away) MH_MVE_TAILS(X, any)

#define MH_MVE_DECLARE(form, tail) extern const mh_mve_form mh_form_mve_##form##tail;
MH_MVE_FORMS(MH_MVE_DECLARE)
#undef MH_MVE_DECLARE

/* Depthwise: a band of rows of the input is copied into planes of one channel each, column by
 * column, so that the window of an output is one run of bytes: a vector or up to four of them.
 *
 * stream holds, for each output channel: kernel_h * kernel_w weights, zeros (one at least) up to a
 * whole word; bias (input zero point included), multiplier, negated right shift.
 */
typedef struct mh_mve_planes_form mh_mve_planes_form;

typedef struct {
    const uint32_t *stream;
    const mh_mve_planes_form *form;
    const uint8_t *lanes; /* which byte of a record each lane of the vectors of weights takes */
    int32_t weight_bytes; /* of a record, zeros included */
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t in_zp, out_zp;
    int32_t lo, hi;
    int32_t band_rows;   /* rows of input that ``rows`` rows of output see */
    int32_t plane_bytes; /* columns * band_rows */
    int32_t block;       /* channels of a band, a multiple of 8 or all */
} mh_mve_depthwise_params;

/* scratch: block * plane_bytes + 16 * vectors + 8 / rows * stride_w * band_rows */
mh_status mh_mve_depthwise_s8(const mh_mve_depthwise_params *p, const int8_t *in, int8_t *out,
                              void *scratch);

/* A form for each number of rows of output that are computed together, stride_h (1 where that is
 * not used), vectors of a window. Where two rows share their vectors, there are twice as many
 * vectors of weights. */
#define MH_MVE_SHAPES(X, form)                                                                     \
    X(form, 1, 1, 1)                                                                               \
    X(form, 1, 1, 2)                                                                               \
    X(form, 1, 1, 3)                                                                               \
    X(form, 1, 1, 4)                                                                               \
    X(form, 2, 1, 1)                                                                               \
    X(form, 2, 1, 2)                                                                               \
    X(form, 2, 1, 3)                                                                               \
    X(form, 2, 1, 4)                                                                               \
    X(form, 2, 2, 1)                                                                               \
    X(form, 2, 2, 2)                                                                               \
    X(form, 2, 2, 3)                                                                               \
    X(form, 2, 2, 4)                                                                               \
    X(form, 4, 1, 1)
#define MH_MVE_DEPTHWISE(X) MH_MVE_SHAPES(X, up) MH_MVE_SHAPES(X, away)

#define MH_MVE_DECLARE(form, rows, stride, vectors)                                                \
    extern const mh_mve_planes_form mh_form_planes_##form##_##rows##_##stride##_##vectors;
MH_MVE_DEPTHWISE(MH_MVE_DECLARE)
#undef MH_MVE_DECLARE

/* ADD and SUB of equal shapes: out = sat8((a * a_mul + b * b_mul + start) >> (16 + right)), which
 * equals TFLite's three roundings where codegen has proved it. In place on either operand. */
typedef struct {
    int32_t size;
    int32_t a_mul, b_mul, start;
    int32_t right;
    int32_t lo, hi;
} mh_mve_add_params;

mh_status mh_mve_add_s8(const mh_mve_add_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                        void *scratch);

/* Windows of up to 256 pixels (sums take 16 bits). No scratch. */
mh_status mh_mve_average_pool_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out,
                                 void *scratch);
mh_status mh_mve_max_pool_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out,
                             void *scratch);

/* MEAN over neighbouring axes: [outer][count][inner] to [outer][inner], count up to 256. */
typedef struct {
    int32_t outer, count, inner;
    int32_t offset; /* minus count * input zero point */
    int32_t mult, shift;
    int32_t out_zp;
} mh_mve_mean_params;

mh_status mh_mve_mean_s8(const mh_mve_mean_params *p, const int8_t *in, int8_t *out, void *scratch);

#ifdef __cplusplus
}
#endif
#endif
