/* Fast kernels of the M-profile vector extension (MVE; M55, M85).
 *
 * Weights are repacked by codegen/fast/mve_*.py, which also pick the function. All kernels compute
 * TFLite's two roundings as they are: vqrdmulh is the first one, vrshl the second but for ties of
 * negative numbers. The middle of a function's name says what is done about these:
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

#include "mh_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* K is the sum's length, rounded up to a multiple of 4.
 *
 * stream holds, for each four output channels (zero channels fill the last four):
 *   K % 16 weights of each channel, where that is not 0; then 16 of each, K / 16 times;
 *   4 biases (input zero point included), any: 4 left shifts, 4 multipliers, 4 negated right shifts
 */
typedef struct {
    const uint32_t *stream;
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

/* Per form and K % 16:
 *
 *   mh_mve_gemm_*_s8   1x1 convolution without padding, with any strides; fully connected: out_w
 *                      vectors. No scratch.
 *   mh_mve_conv_*_s8   any window that is not dilated sideways; weights in the order (x, y, in).
 *                      scratch: columns * kernel_h * in_c + 16
 */
#define MH_MVE_TAILS(X, form)                                                                      \
    X(form, 0)                                                                                     \
    X(form, 4)                                                                                     \
    X(form, 8)                                                                                     \
    X(form, 12)
#define MH_MVE_FORMS(X) MH_MVE_TAILS(X, up) MH_MVE_TAILS(X, away) MH_MVE_TAILS(X, any)

#define MH_MVE_DECLARE(form, tail)                                                                 \
    mh_status mh_mve_gemm_##form##tail##_s8(const mh_mve_matrix_params *p, const int8_t *in,       \
                                            int8_t *out, void *scratch);                           \
    mh_status mh_mve_conv_##form##tail##_s8(const mh_mve_matrix_params *p, const int8_t *in,       \
                                            int8_t *out, void *scratch);
MH_MVE_FORMS(MH_MVE_DECLARE)
#undef MH_MVE_DECLARE

#ifdef __cplusplus
}
#endif
#endif
