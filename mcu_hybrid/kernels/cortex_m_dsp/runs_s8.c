/* The loops of broadcasting around kernels of two operands. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_nn_fast_ew.h"

int32_t mh_each_run(const int32_t *loops, mh_run run, const void *params, const int8_t *a,
                    const int8_t *b, int8_t *out)
{
    const int32_t *n = loops;
    const int32_t *sa = n + MH_BROADCAST_LOOPS;
    const int32_t *sb = sa + MH_BROADCAST_LOOPS;
    int8_t *to = out;
    for (int32_t i = 0; i < n[0]; i++) {
        for (int32_t j = 0; j < n[1]; j++) {
            for (int32_t k = 0; k < n[2]; k++) {
                run(params, a + i * sa[0] + j * sa[1] + k * sa[2],
                    b + i * sb[0] + j * sb[1] + k * sb[2], to, n[3]);
                to += n[3];
            }
        }
    }
    return (int32_t)(to - out);
}
