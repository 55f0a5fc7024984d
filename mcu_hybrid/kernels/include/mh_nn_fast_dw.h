/* Fast depthwise convolutions of the Cortex-M DSP extension (M4, M7, M33).
 *
 * compiler/select/dsp/depthwise picks the form, repacks the weights and fits the requantisation.
 * ``stream`` holds per output channel its weights, then its constants:
 *
 *   slope  mul, start               out = sat8(hi32((sum * 2^prescale + start) * mul) >> shift)
 *   exact  mul, start, addend, right   the exact form of compiler/exact/requant.py, start = 2 *
 * offset
 *
 * A form whose name ends with x has a fix-up: it computes the output channels of ``fixup``,
 * which no slope fits, again with the exact form. Scratch is aligned to 4 bytes. Four channels at a
 * time (or what is left of them) are spread over planes with a border of padding, ``strip`` output
 * rows and ``tile`` output columns at a time. The output may lie on the input where the match says
 * so.
 */
#ifndef MH_NN_FAST_DW_H
#define MH_NN_FAST_DW_H

#include "mh_nn_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mh_dw3_form mh_dw3_form;
typedef struct mh_dwk_form mh_dwk_form;

typedef struct {
    union {
        const mh_dw3_form *three;
        const mh_dwk_form *kronecker;
    } form; /* of the function that is called */
    const uint32_t *stream;
    const uint32_t *fixup_stream;                 /* exact form, one row per entry of fixup */
    const uint16_t *fixup;                        /* rising, ended by 0xffff; or NULL */
    int32_t in_pixel, in_row, out_pixel, out_row; /* bytes from pixel to pixel, from row to row */
    int16_t in_h, in_w, in_c; /* as the kernel walks: maps may lie the other way round */
    int16_t out_h, out_w;
    int16_t multiplier; /* output channel c reads input channel c / multiplier */
    int16_t pad_top, pad_left;
    int16_t kernel_h, kernel_w;
    int16_t stride_h;
    int16_t strip, tile; /* output rows and columns at a time */
    int8_t in_zp;
    int8_t lo, hi; /* bounds tighter than int8, else -128 and 127 */
} mh_dw_params;

/* 3x3, in_c >= 4, prescale 8; mh_form_dw3s<stride>w<row bytes>_*: a plane's row takes 64 or 128
 * bytes, 2 per column of the window's reach. scratch: 4 * row bytes * ((strip - 1) * stride + 3) */
mh_status mh_dw3_s8(const mh_dw_params *p, const int8_t *in, int8_t *out, void *scratch);
/* Any kernel whose rows (every stride_w-th weight of them) take 2, 3 or 4 words of 2 weights;
 * prescale 11; mh_form_dwk<words><width>_s<stride_w>_*: output rows of any width, of 5 and of 3.
 * Rows take 64 bytes per plane and phase. scratch: 256 * stride_w * rows + 16 * strip + 4 * words
 * of weights, and 4 * in_w where in_c < 4 */
mh_status mh_dwk_s8(const mh_dw_params *p, const int8_t *in, int8_t *out, void *scratch);

#define MH_DW_FORMS(type, head)                                                                    \
    extern const type mh_form_##head##_slope8, mh_form_##head##_slope8x;                           \
    extern const type mh_form_##head##_slope12, mh_form_##head##_slope12x;                         \
    extern const type mh_form_##head##_slope16, mh_form_##head##_slope16x, mh_form_##head##_exact;
MH_DW_FORMS(mh_dw3_form, dw3s1w64)
MH_DW_FORMS(mh_dw3_form, dw3s1w128)
MH_DW_FORMS(mh_dw3_form, dw3s2w64)
MH_DW_FORMS(mh_dw3_form, dw3s2w128)
#define MH_DWK_FORMS(words)                                                                        \
    MH_DW_FORMS(mh_dwk_form, dwk##words##any_s1)                                                   \
    MH_DW_FORMS(mh_dwk_form, dwk##words##any_s2)                                                   \
    MH_DW_FORMS(mh_dwk_form, dwk##words##w5_s1)                                                    \
    MH_DW_FORMS(mh_dwk_form, dwk##words##w5_s2)                                                    \
    MH_DW_FORMS(mh_dwk_form, dwk##words##w3_s1)                                                    \
    MH_DW_FORMS(mh_dwk_form, dwk##words##w3_s2)
MH_DWK_FORMS(2)
MH_DWK_FORMS(3)
MH_DWK_FORMS(4)
#undef MH_DWK_FORMS
#undef MH_DW_FORMS

/* Any window and any factors, multiplier 1, at least 4 channels; no scratch. */
mh_status mh_dw_any_s8(const mh_depthwise_conv2d_params *p, const int8_t *in, int8_t *out,
                       void *scratch);

#ifdef __cplusplus
}
#endif
#endif
