/* MUL int8, plain and readable: see mcu_hybrid/ops/mul.py for the arithmetic. */
#include "mh_nn_elementwise.h"

static int8_t mul(const mh_mul_params *p, int8_t a, int8_t b)
{
    const int32_t product = (p->a_offset + a) * (p->b_offset + b);
    const int32_t scaled = mh_requantize(product, p->mult, p->shift) + p->out_offset;
    return (int8_t)mh_clamp(scaled, p->lo, p->hi);
}

mh_status mh_mul_s8(const mh_mul_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                    void *scratch)
{
    const int32_t *n = p->loops;
    const int32_t *sa = n + MH_BROADCAST_LOOPS;
    const int32_t *sb = sa + MH_BROADCAST_LOOPS;
    (void)scratch;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                const int8_t *row_a = a + i * sa[0] + j * sa[1] + k * sa[2];
                const int8_t *row_b = b + i * sb[0] + j * sb[1] + k * sb[2];
                for (int32_t x = 0; x < n[3]; ++x) {
                    *out++ = mul(p, row_a[x * sa[3]], row_b[x * sb[3]]);
                }
            }
        }
    }
    return MH_OK;
}
