/* RESIZE_NEAREST_NEIGHBOR int8: the indices come ready made, so no float runs on the device. */
#include <string.h>

#include "mh_nn_elementwise.h"

mh_status mh_resize_nearest_s8(const mh_resize_nearest_params *p, const int8_t *in, int8_t *out,
                               void *scratch)
{
    (void)scratch;
    for (int32_t b = 0; b < p->batch; ++b) {
        const int8_t *image = in + b * p->in_h * p->in_w * p->channels;
        for (int32_t y = 0; y < p->out_h; ++y) {
            const int8_t *row = image + p->rows[y] * p->in_w * p->channels;
            for (int32_t x = 0; x < p->out_w; ++x) {
                memcpy(out, row + p->columns[x] * p->channels, (size_t)p->channels);
                out += p->channels;
            }
        }
    }
    return MH_OK;
}
