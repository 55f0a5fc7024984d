/* Shared by the scalar kernels; not part of the API. */
#ifndef MH_SCALAR_H
#define MH_SCALAR_H

#include "mh_nn_scalar.h"

#if defined(__thumb2__)
#include "mh_scalar_job.h"
#endif

/* No 32 x 32 -> 64 product: Armv6-M, or where a test asks for its arithmetic. */
#if defined(__ARM_ARCH_6M__) && !defined(MH_SCALAR_NARROW)
#define MH_SCALAR_NARROW 1
#endif

static inline int32_t mh_scalar_sat8(int32_t x)
{
#if defined(__thumb2__)
    int32_t out;
    __asm__("ssat %0, #8, %1" : "=r"(out) : "r"(x));
    return out;
#else
    return mh_clamp(x, INT8_MIN, INT8_MAX);
#endif
}

#if defined(MH_SCALAR_NARROW)

/* (a * b + add) >> 32 from four 16-bit products; 0 <= b < 2^31. The lower half of add is left out,
 * which the fit of the line allows for. */
static inline int32_t mh_scalar_high(int32_t a, int32_t b, uint32_t add)
{
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
    const int32_t middle = a_high * (int32_t)b_low + (int32_t)(a_low * b_low >> 16);
    const uint32_t rest = ((uint32_t)middle & 0xffffu) + a_low * (uint32_t)b_high + (add >> 16);
    return a_high * b_high + (middle >> 16) + (int32_t)(rest >> 16);
}

#else

static inline int32_t mh_scalar_high(int32_t a, int32_t b, uint32_t add)
{
    return (int32_t)(((int64_t)a * b + add) >> 32);
}

#endif

/* Words of a channel behind its start. */
static inline int32_t mh_scalar_words(int32_t form)
{
    return form == MH_SCALAR_LINE ? 2 : 3;
}

/* k: mul, low + shift; the shift, below 32, has the 5 lowest bits. */
static inline int32_t mh_scalar_line_s8(int32_t sum, const int32_t *k)
{
    return mh_scalar_sat8(mh_scalar_high(sum, k[0], (uint32_t)k[1]) >> (k[1] & 31));
}

/* k: mul, addend, right. */
static inline int32_t mh_scalar_exact_s8(int32_t sum, const int32_t *k)
{
    const int32_t v = 2 * sum; /* 2^31 is half of the high word's unit: it rounds */
    return mh_scalar_sat8((mh_scalar_high(v, k[0], 0x80000000u) + k[1] + (v >> 31)) >> k[2]);
}

/* Sums of one group of 4 channels: sums[c] = start[c] + the products of x0, sums[4 + c] those of
 * x1. weights to end: [steps][4 channels][4 inputs]. */
void mh_scalar_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
                    const int32_t *start, int32_t *sums);
void mh_scalar_dot1(const int8_t *x, const int8_t *weights, const int8_t *end, const int32_t *start,
                    int32_t *sums);

#if defined(__thumb2__)
#define MH_SCALAR_GROUPS 1

void mh_scalar_groups2(const mh_scalar_job *job);
#endif

/* All channels of two pixels (x1 and its output directly behind) or of one. */
void mh_scalar_pixels2(const mh_scalar_layer *layer, const int8_t *x0, const int8_t *x1,
                       int8_t *out);
void mh_scalar_pixel(const mh_scalar_layer *layer, const int8_t *x, int8_t *out);

/* Without a jump, unlike mh_clamp: the count of instructions does not depend on the value. */
static inline int32_t mh_scalar_bounded(int32_t x, int32_t lo, int32_t hi)
{
    const int32_t least = x < lo ? lo : x;
    return least > hi ? hi : least;
}

/* Bounds tighter than int8, in place; nothing where they are not. */
void mh_scalar_clamp(int8_t *out, int32_t bytes, int32_t lo, int32_t hi);

#endif
