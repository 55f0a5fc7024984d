/* Bounds tighter than int8, which the saturating stores of the fast kernels do not know. */
#include "mh_small.h" /* before all others */
#include "mh_bound.h"

void mh_bound_words(int8_t *out, int32_t words, uint32_t lo, uint32_t hi);

void mh_bound_s8(int8_t *out, int32_t bytes, int32_t lo, int32_t hi)
{
    if (bytes >= 4) {
        mh_bound_words(out, bytes / 4, (uint32_t)(lo & 0xff) * 0x01010101u,
                       (uint32_t)(hi & 0xff) * 0x01010101u);
    }
    for (int32_t i = bytes & ~3; i < bytes; i++) {
        out[i] = (int8_t)mh_clamp(out[i], lo, hi);
    }
}
