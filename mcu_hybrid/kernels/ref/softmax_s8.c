/* SOFTMAX int8 over the last dimension: exponentials from a table, one reciprocal a row. */
#include "mh_nn_conv.h"

/* 1 / (1 + x) for x in [0, 1), both in Q31: gemmlowp's three Newton-Raphson steps in Q29. */
static int32_t one_over_one_plus(int32_t x)
{
    const int32_t one_q29 = (int32_t)1 << 29;
    const int32_t half_denominator = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t estimate =
        1515870810 + mh_high_mul(half_denominator, -1010580540); /* 48/17 - 32/17 d, in Q29 */
    for (int step = 0; step < 3; ++step) {
        const int32_t error = one_q29 - mh_high_mul(half_denominator, estimate);
        estimate += mh_high_mul(estimate, error) * 4;
    }
    return estimate > INT32_MAX / 2 ? INT32_MAX : estimate * 2;
}

static void softmax_row(const mh_softmax_params *p, const int8_t *in, int8_t *out)
{
    int32_t largest = INT8_MIN;
    for (int32_t c = 0; c < p->depth; ++c) {
        largest = in[c] > largest ? in[c] : largest;
    }
    int32_t total = 0; /* Q19: the maximum alone adds 2^19 */
    for (int32_t c = 0; c < p->depth; ++c) {
        total += mh_round_shift(p->exp_table[largest - in[c]], 12);
    }
    int32_t headroom = 0; /* leading zeros of total */
    while (((uint32_t)total << (uint32_t)headroom & 0x80000000u) == 0u) {
        ++headroom;
    }
    const uint32_t fraction = ((uint32_t)total << (uint32_t)headroom) - 0x80000000u;
    const int32_t reciprocal = one_over_one_plus((int32_t)fraction);
    const int32_t exponent = 12 - headroom + 23; /* the sum's integer bits, and Q31 to Q8 */
    for (int32_t c = 0; c < p->depth; ++c) {
        const int32_t product = mh_high_mul(reciprocal, p->exp_table[largest - in[c]]);
        const int32_t value = mh_round_shift(product, exponent) + INT8_MIN;
        out[c] = (int8_t)mh_clamp(value, INT8_MIN, INT8_MAX);
    }
}

mh_status mh_softmax_s8(const mh_softmax_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    (void)scratch;
    if (p->depth < 1 || p->depth > 4095) {
        return MH_ERR_ARG; /* more would overflow the sum: 12 integer bits of Q19 */
    }
    for (int32_t row = 0; row < p->rows; ++row) {
        softmax_row(p, in + row * p->depth, out + row * p->depth);
    }
    return MH_OK;
}
