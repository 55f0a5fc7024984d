/* Entropy, margins and top probabilities of int8 logits, in integers only. No TFLM int8 operator
 * has them, and the int8 softmax (steps of 1/256) is too coarse for an entropy. */
#include "mh_nn_route.h"

#define MH_ROUTE_EXP_BITS 20         /* of exp_table */
#define MH_ROUTE_LN2_Q32 2977044472u /* round(ln 2 * 2^32) */

/* ln(s / 2^20) in Q16 for 2^20 <= s <= 2^30: 20 bits of log2 by repeated squaring, times ln 2. */
static uint32_t mh_route_ln_q16(uint32_t s)
{
    uint32_t whole = 0;
    while ((s >> whole) > 1u) {
        whole++;
    }
    uint64_t m = (uint64_t)s << (30u - whole); /* Q30 in [1, 2) */
    uint32_t log2_q20 = (whole - MH_ROUTE_EXP_BITS) << 20;
    for (uint32_t bit = 1u << 19; bit != 0u; bit >>= 1) {
        m = (m * m) >> 30;
        if (m >= (uint64_t)1 << 31) {
            m >>= 1;
            log2_q20 |= bit;
        }
    }
    /* Q20 * Q32 to Q16, rounded. */
    return (uint32_t)(((uint64_t)log2_q20 * MH_ROUTE_LN2_Q32 + ((uint64_t)1 << 35)) >> 36);
}

/* Keeps the `top` smallest distances to the best logit in ascending order. */
static void mh_route_insert(uint8_t *best, int32_t top, uint8_t d)
{
    if (d >= best[top - 1]) {
        return;
    }
    int32_t at = top - 1;
    while (at > 0 && best[at - 1] > d) {
        best[at] = best[at - 1];
        at--;
    }
    best[at] = d;
}

static int8_t mh_route_quantize(const mh_route_features_params *p, int32_t i, int32_t x)
{
    const int32_t f = mh_requantize(x - p->offset[i], p->mult[i], p->shift[i]);
    return (int8_t)mh_clamp(f + p->out_zero_point, -128, 127);
}

mh_status mh_route_features_s8(const mh_route_features_params *p, const int8_t *in, int8_t *out0,
                               void *out1, void *scratch)
{
    (void)scratch;
    if (p->classes < 2 || p->classes > MH_ROUTE_MAX_CLASSES || p->top < 2 ||
        p->top > MH_ROUTE_MAX_TOP || p->top > p->classes) {
        return MH_ERR_ARG;
    }
    int32_t highest = in[0];
    for (int32_t i = 1; i < p->classes; i++) {
        highest = in[i] > highest ? in[i] : highest;
    }
    uint8_t best[MH_ROUTE_MAX_TOP];
    for (int32_t i = 0; i < p->top; i++) {
        best[i] = 255; /* the largest distance there is: a missing entry and a real one agree */
    }
    uint32_t sum = 0;    /* <= 1024 * 2^20 */
    uint64_t moment = 0; /* sum of e * scale * d in Q36, < 2^61 */
    for (int32_t i = 0; i < p->classes; i++) {
        const uint8_t d = (uint8_t)(highest - in[i]);
        const uint32_t e = p->exp_table[d];
        const uint64_t scaled = ((uint64_t)d * (uint32_t)p->scale_q24 + 128u) >> 8; /* Q16 */
        sum += e;
        moment += e * scaled;
        mh_route_insert(best, p->top, d);
    }
    const uint32_t mean = (uint32_t)((moment + sum / 2u) / sum);
    const int32_t entropy = (int32_t)(mh_route_ln_q16(sum) + mean);
    int32_t *scores = out1;
    scores[0] = entropy;
    out0[0] = mh_route_quantize(p, 0, entropy);
    int32_t lead = 0;
    for (int32_t i = 0; i < p->top; i++) {
        const uint64_t e = p->exp_table[best[i]];
        const int32_t probability = (int32_t)(((e << 15) + sum / 2u) / sum);
        out0[i + 1] = mh_route_quantize(p, i + 1, probability);
        if (i < 2) { /* lead: of the best alone, then over the second */
            lead = i == 0 ? probability : lead - probability;
            scores[i + 1] = MH_ROUTE_PROBABILITY_ONE - lead;
        }
    }
    return MH_OK;
}
