/* Types shared by all kernels: status, and TFLite's exact requantisation. */
#ifndef MH_TYPES_H
#define MH_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    MH_OK = 0,
    MH_ERR_ARG = 1,     /* a parameter outside its range */
    MH_ERR_SUPPORT = 2, /* an engine that lacks an operator (tflm) */
    MH_ERR_MEMORY = 3   /* arena too small (tflm) */
} mh_status;

/* Rounding doubling high multiply, then rounding right shift: MultiplyByQuantizedMultiplier with
 * double rounding, as TFLM's reference kernels and CMSIS-NN compute it. shift > 0 shifts left. */
static inline int32_t mh_high_mul(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    const int64_t product = (int64_t)a * (int64_t)b;
    const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

static inline int32_t mh_round_shift(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << (uint32_t)exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

static inline int32_t mh_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int32_t scaled = (int32_t)((uint32_t)x << (uint32_t)left);
    return mh_round_shift(mh_high_mul(scaled, multiplier), right);
}

static inline int32_t mh_clamp(int32_t x, int32_t lo, int32_t hi)
{
    return x < lo ? lo : (x > hi ? hi : x);
}

#endif
