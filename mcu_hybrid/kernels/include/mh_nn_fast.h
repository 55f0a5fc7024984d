/* Fast kernels of the Cortex-M DSP extension (M4, M7, M33): convolutions and fully connected.
 *
 * Their weights are repacked and their requantisation is fitted by compiler/select/dsp/matrix,
 * which also picks the ``form``: what requantises, and the loops that it belongs to. ``stream``
 * holds, for each pair of output channels (a zero channel fills the last pair), its weights and
 * constants in the order in which they are read; K is the sum's length, rounded up to a multiple of
 * 4:
 *
 *   line   w[0], add1, w[1 .. K/2-1], add0, mul0, mul1
 *   fine   w[0], add1, w[1 .. K/2-1], add0, mul0, addend0, mul1, addend1
 *   exact  w[0], offset1 << 8 | right1 - 1, w[1 .. K/2-1], offset0 << 6 | right0 - 1, mul0, mul1
 *   plain  w[0 .. K/2-1], 2 * offset, mul, addend, right - 1 of channel 0, the same of channel 1
 *
 * A word w holds 2 channels x 2 inputs; see its pack.py for the bytes and compiler/exact/requant.py
 * for the constants. All kernels need an aligned scratch.
 */
#ifndef MH_NN_FAST_H
#define MH_NN_FAST_H

#include "mh_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mh_gemm_form mh_gemm_form;

typedef struct {
    const uint32_t *stream;
    const mh_gemm_form *form;
    int32_t pixels;     /* 1x1: pixels; fully connected: input vectors */
    int16_t steps;      /* K / 4 */
    int16_t out_c;      /* of the layer */
    int16_t pair_words; /* words of stream for each pair */
    int16_t shift;      /* line, fine: the layer's; exact: 2 * output zero point + 1 */
    int8_t lo, hi;      /* bounds tighter than int8, else -128 and 127 */
} mh_gemm_params;

typedef struct {
    const uint32_t *stream; /* as above */
    const mh_gemm_form *form;
    int32_t
        band_bytes; /* conv_band: kernel_h rows with all their padding, and up to 3 bytes more */
    int16_t steps, out_c, pair_words, shift;
    int16_t in_h, in_w, in_c;
    int16_t out_h, out_w;
    int16_t kernel_h, kernel_w;
    int16_t stride_h, stride_w;
    int16_t dilation_h, dilation_w;
    int16_t pad_top, pad_left;
    int8_t in_zp;
    int8_t lo, hi;
} mh_conv_fast_params;

/* 1x1 convolution with stride 1, fully connected; inputs a multiple of 4.
 * scratch: 24 * steps bytes (8 * steps where pixels < 3 and the form is not small) */
mh_status mh_gemm_s8(const mh_gemm_params *p, const int8_t *in, int8_t *out, void *scratch);
/* Any window, in_c a multiple of 4. scratch: 24 * steps + in_c bytes */
mh_status mh_conv_s8(const mh_conv_fast_params *p, const int8_t *in, int8_t *out, void *scratch);
/* Any window, any in_c. scratch: 36 * steps + band_bytes */
mh_status mh_conv_band_s8(const mh_conv_fast_params *p, const int8_t *in, int8_t *out,
                          void *scratch);

/* A form for each shift of the line forms, so that shifts are immediates. Those that end with
 * _small take less code and some more instructions. */
#define MH_FAST_SHIFTS(X)                                                                          \
    X(0)                                                                                           \
    X(4)                                                                                           \
    X(8)                                                                                           \
    X(12)                                                                                          \
    X(16)                                                                                          \
    X(20)

#define MH_FORM_DECLARE(shift)                                                                     \
    extern const mh_gemm_form mh_form_line##shift, mh_form_fine##shift;                            \
    extern const mh_gemm_form mh_form_line##shift##_small, mh_form_fine##shift##_small;
MH_FAST_SHIFTS(MH_FORM_DECLARE)
#undef MH_FORM_DECLARE
extern const mh_gemm_form mh_form_exact, mh_form_exact_small, mh_form_plain;

#ifdef __cplusplus
}
#endif
#endif
