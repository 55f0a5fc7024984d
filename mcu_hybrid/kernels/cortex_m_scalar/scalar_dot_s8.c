/* Sums of products of 4 channels by 2 pixels (or 1) where no loop is assembly (scalar_dot_s8.S):
 * all of it, or what Armv6-M leaves to C. */
#include "mh_scalar.h"

#if defined(__ARM_ARCH_6M__)

/* Two channels of a group of 4. */
void mh_scalar_half2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
                     const int32_t *start, int32_t *sums);

void mh_scalar_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
                    const int32_t *start, int32_t *sums)
{
    mh_scalar_half2(x0, x1, weights, end, start, sums);
    mh_scalar_half2(x0, x1, weights + 8, end + 8, start + 2, sums + 2);
}

#elif !defined(__thumb2__)

void mh_scalar_dot1(const int8_t *x, const int8_t *weights, const int8_t *end, const int32_t *start,
                    int32_t *sums)
{
    for (int32_t c = 0; c < 4; c++) {
        sums[c] = start[c];
    }
    for (; weights != end; weights += 16, x += 4) {
        for (int32_t i = 0; i < 16; i++) {
            sums[i >> 2] += x[i & 3] * weights[i];
        }
    }
}

void mh_scalar_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
                    const int32_t *start, int32_t *sums)
{
    mh_scalar_dot1(x0, weights, end, start, sums);
    mh_scalar_dot1(x1, weights, end, start, sums + 4);
}

#endif
