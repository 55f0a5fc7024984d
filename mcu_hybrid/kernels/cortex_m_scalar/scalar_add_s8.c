/* ADD and SUB of operands of the same shape, as one line in both. The sum fits 32 bits, but not
 * every part of it: unsigned arithmetic wraps round to the same. */
#include "mh_scalar.h"

mh_status mh_scalar_add_s8(const mh_scalar_add_params *p, const int8_t *a, const int8_t *b,
                           int8_t *out, void *scratch)
{
    const uint32_t mul_a = (uint32_t)p->mul_a, mul_b = (uint32_t)p->mul_b;
    const uint32_t addend = (uint32_t)p->addend;
    const int32_t shift = p->shift;
    (void)scratch;
#pragma GCC unroll 4
    for (int32_t left = p->size; left > 0; left--) {
        const uint32_t sum = (uint32_t)*a++ * mul_a + (uint32_t)*b++ * mul_b + addend;
        *out++ = (int8_t)mh_scalar_sat8((int32_t)sum >> shift);
    }
    mh_scalar_clamp(out - p->size, p->size, p->lo, p->hi);
    return MH_OK;
}
