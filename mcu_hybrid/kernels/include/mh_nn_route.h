/* Route features: what routers read, from the int8 class logits (see ops/route_features.py).
 *
 *   e_i = exp_table[max(q) - q_i]          Q20, exp_table[0] = 2^20
 *   x_0 = entropy of softmax               nats in Q16
 *   x_1..x_top = largest probabilities     Q15, descending
 *   out0[i] = clamp(requantize(x_i - offset[i], mult[i], shift[i]) + out_zero_point)
 *   out1 = x_0, 1 - x_1, 1 - (x_1 - x_2)   int32: the scores entropy, max-prob, margin
 *
 * Other scores of the logits are C functions of their own (mcu_hybrid/mechanisms/base.py); the
 * kernel ..._scored_s8 asks each behind these three.
 *
 * Integer arithmetic only; equal to the numpy reference on every input.
 */
#ifndef MH_NN_ROUTE_H
#define MH_NN_ROUTE_H

#include "mh_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MH_ROUTE_MAX_TOP 10       /* as the paper's routers (hybrid 4, docs/papers.md) */
#define MH_ROUTE_MAX_CLASSES 1024 /* sums of Q20 stay at 2^30 or below */
#define MH_ROUTE_PROBABILITY_ONE (1 << 15)
#define MH_ROUTE_SCORES 3 /* entropy, max-prob, margin */

typedef struct {
    int32_t classes;           /* K, 2..MH_ROUTE_MAX_CLASSES */
    int32_t top;               /* min(MH_ROUTE_MAX_TOP, K), so 2 at least */
    int32_t scale_q24;         /* scale of the logits in Q24, 1..2^30 */
    int32_t out_zero_point;    /* of the int8 features */
    const uint32_t *exp_table; /* 256 entries, Q20, falling */
    const int32_t *offset;     /* 1 + top: entropy in Q16, probabilities in Q15 */
    const int32_t *mult;       /* 1 + top */
    const int32_t *shift;      /* 1 + top, -31..7 */
} mh_route_features_params;

/* in: classes int8 logits. out0: 1 + top int8. out1: MH_ROUTE_SCORES int32, aligned. scratch: not
 * used. */
mh_status mh_route_features_s8(const mh_route_features_params *p, const int8_t *in, int8_t *out0,
                               void *out1, void *scratch);

/* A score of int8 logits: higher = more in need of the cloud. scale_q24: as above. */
typedef int32_t (*mh_route_score)(const int8_t *logits, int32_t classes, int32_t scale_q24);

/* The scores behind the first MH_ROUTE_SCORES, in the order of the routers' numbers; made from the
 * registered mechanisms. */
extern const mh_route_score mh_route_others[];
extern const int32_t mh_route_other_count;

/* The same, and out1 goes on with the scores of mh_route_others. */
mh_status mh_route_scored_s8(const mh_route_features_params *p, const int8_t *in, int8_t *out0,
                             void *out1, void *scratch);

#ifdef __cplusplus
}
#endif
#endif
