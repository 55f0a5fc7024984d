/* All kernels: a params struct in, a status out, scratch from the caller; no malloc, no globals.
 *
 *   unary      mh_status f(p, const int8_t *in, int8_t *out, void *scratch)
 *   binary     mh_status f(p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch)
 *   nary_in    mh_status f(p, const int8_t *const *ins, int8_t *out, void *scratch)
 *   nary_out   mh_status f(p, const int8_t *in, int8_t *const *outs, void *scratch)
 *   unary_two  mh_status f(p, const int8_t *in, int8_t *out0, void *out1, void *scratch)
 *
 * where p is a pointer to the kernel's own params.
 */
#ifndef MH_KERNELS_H
#define MH_KERNELS_H

#include "mh_nn_conv.h"        /* convolutions, fully connected, pools, mean, softmax, pad */
#include "mh_nn_elementwise.h" /* add, mul, sub, activations, quantize, data movement */
#include "mh_nn_fast.h"        /* matrix kernels of the DSP extension */
#include "mh_nn_fast_dw.h"     /* depthwise kernels of the DSP extension */
#include "mh_nn_fast_ew.h"     /* elementwise kernels, pools, moving of bytes, likewise */
#include "mh_nn_scalar.h"      /* kernels of cores without the DSP extension */
#include "mh_nn_mve.h"         /* kernels of the vector extension (Helium) */
#include "mh_nn_route.h"       /* route features and entropy */

#endif
