/* Rows that stay go to the front of their window: a move to lower addresses, front to back. */
#include <string.h>

#include "mh_kernels.h"

void mh_rows_s8(int8_t *to, const int8_t *from, int32_t bytes)
{
    /* A block is loaded whole before it is stored, and ends below what the next one loads, wherever
     * the gap is as large as the block. Aligned ones take a load and a store of four registers. */
    const int32_t gap = (int32_t)(from - to);
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u && gap >= 16) {
        for (; bytes >= 16; bytes -= 16, to += 16, from += 16) {
            memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 16);
        }
    }
    if (gap >= 4) {
        for (; bytes >= 4; bytes -= 4, to += 4, from += 4) {
            memcpy(to, from, 4);
        }
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
}
