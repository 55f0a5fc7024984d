/* MEAN int8 over any axes: exact sums, then one requantisation that holds 1 / count. */
#include "mh_nn_conv.h"

/* Sum of the reduced dimensions from one corner of the input. */
static int32_t sum_from(const mh_mean_params *p, const int8_t *in)
{
    const int32_t *n = p->reduced_extent, *step = p->reduced_stride;
    int32_t sum = 0;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                const int8_t *line = in + i * step[0] + j * step[1] + k * step[2];
                for (int32_t l = 0; l < n[3]; ++l) {
                    sum += line[l * step[3]] - p->in_zp;
                }
            }
        }
    }
    return sum;
}

mh_status mh_mean_s8(const mh_mean_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t *n = p->kept_extent, *step = p->kept_stride;
    (void)scratch;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                const int8_t *line = in + i * step[0] + j * step[1] + k * step[2];
                for (int32_t l = 0; l < n[3]; ++l) {
                    const int32_t sum = sum_from(p, line + l * step[3]);
                    const int32_t value = mh_requantize(sum, p->mult, p->shift) + p->out_zp;
                    *out++ = (int8_t)mh_clamp(value, INT8_MIN, INT8_MAX);
                }
            }
        }
    }
    return MH_OK;
}
