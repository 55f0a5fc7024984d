/* TRANSPOSE and STRIDED_SLICE int8. */
#include "mh_nn_elementwise.h"

mh_status mh_strided_copy_s8(const mh_strided_copy_params *p, const int8_t *in, int8_t *out,
                             void *scratch)
{
    const int32_t *n = p->loops;
    const int32_t *s = n + MH_COPY_LOOPS;
    (void)scratch;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                for (int32_t l = 0; l < n[3]; ++l) {
                    int32_t from = p->offset + i * s[0] + j * s[1] + k * s[2] + l * s[3];
                    for (int32_t m = 0; m < n[4]; ++m) {
                        *out++ = in[from];
                        from += s[4];
                    }
                }
            }
        }
    }
    return MH_OK;
}
