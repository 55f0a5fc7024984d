/* Convolutions, fully connected, pools, mean, softmax and pad on int8 maps
 * [height][width][channels].
 *
 * Values are quantised as real = scale * (q - zp). Weights are symmetric (zero point 0), with one
 * mult and shift per output channel (mh_requantize; see mh_types.h). lo and hi are the bounds of
 * the fused activation. Kernels read every weight and input where it lies and need no scratch; a
 * faster kernel of the same name may ask for some. Outputs must not overlap inputs, except where
 * said.
 */
#ifndef MH_NN_CONV_H
#define MH_NN_CONV_H

#include "mh_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const int8_t *weights; /* [out_c][kernel_h][kernel_w][in_c / groups] */
    const int32_t *bias;   /* [out_c], or NULL */
    const int32_t *mult;   /* [out_c] */
    const int8_t *shift;   /* [out_c] */
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t groups;
    int32_t in_zp, out_zp;
    int32_t lo, hi;
} mh_conv2d_params;

mh_status mh_conv2d_s8(const mh_conv2d_params *p, const int8_t *in, int8_t *out, void *scratch);

typedef struct {
    const int8_t *weights; /* [kernel_h][kernel_w][in_c * multiplier] */
    const int32_t *bias;   /* [in_c * multiplier], or NULL */
    const int32_t *mult;   /* [in_c * multiplier] */
    const int8_t *shift;   /* [in_c * multiplier] */
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier; /* output channel c reads input channel c / multiplier */
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t in_zp, out_zp;
    int32_t lo, hi;
} mh_depthwise_conv2d_params;

mh_status mh_depthwise_conv2d_s8(const mh_depthwise_conv2d_params *p, const int8_t *in, int8_t *out,
                                 void *scratch);

typedef struct {
    const int8_t *weights; /* [out_c][in_c] */
    const int32_t *bias;   /* [out_c], or NULL */
    const int32_t *mult;   /* [out_c] */
    const int8_t *shift;   /* [out_c] */
    int32_t rows;          /* input vectors, one after the other */
    int32_t in_c, out_c;
    int32_t in_zp, out_zp;
    int32_t lo, hi;
} mh_fully_connected_params;

mh_status mh_fully_connected_s8(const mh_fully_connected_params *p, const int8_t *in, int8_t *out,
                                void *scratch);

/* Input and output have the same scale and zero point; padding does not count. */
typedef struct {
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t lo, hi;
} mh_pool2d_params;

mh_status mh_average_pool2d_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out,
                               void *scratch);
mh_status mh_max_pool2d_s8(const mh_pool2d_params *p, const int8_t *in, int8_t *out, void *scratch);

#define MH_MEAN_DIMS 4

/* The output is walked with the kept dimensions, each output's sum with the reduced ones; unused
 * dimensions have extent 1. Strides are in elements of the input. */
typedef struct {
    const int32_t *kept_extent;    /* [MH_MEAN_DIMS] */
    const int32_t *kept_stride;    /* [MH_MEAN_DIMS] */
    const int32_t *reduced_extent; /* [MH_MEAN_DIMS] */
    const int32_t *reduced_stride; /* [MH_MEAN_DIMS] */
    int32_t in_zp, out_zp;
    int32_t mult, shift; /* scale_in / scale_out / count */
} mh_mean_params;

mh_status mh_mean_s8(const mh_mean_params *p, const int8_t *in, int8_t *out, void *scratch);

/* The output has scale 1/256 and zero point -128; it may lie on the input. */
typedef struct {
    const int32_t *exp_table; /* [256]: exp(-i * scale) in Q31, i = maximum of the row - value */
    int32_t rows, depth;      /* depth < 4096 */
} mh_softmax_params;

mh_status mh_softmax_s8(const mh_softmax_params *p, const int8_t *in, int8_t *out, void *scratch);

#define MH_PAD_DIMS 4

typedef struct {
    const int32_t *in_extent; /* [MH_PAD_DIMS], outermost first */
    const int32_t *before;    /* [MH_PAD_DIMS] */
    const int32_t *after;     /* [MH_PAD_DIMS] */
    int32_t value;            /* int8 */
} mh_pad_params;

mh_status mh_pad_s8(const mh_pad_params *p, const int8_t *in, int8_t *out, void *scratch);

#ifdef __cplusplus
}
#endif
#endif
