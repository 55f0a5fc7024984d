/* The last of an odd number of channels, for the tiles of gemm_s8.c. */
#include "mh_small.h" /* before all others */
#include "mh_gemm.h"

void mh_gemm_last_channel(const mh_gemm_layer *layer, int8_t *out, int32_t pixels)
{
    int8_t both[6];
    mh_gemm_job job = pixels == 3 ? layer->three : layer->one;
    job.stream = layer->last_stream;
    job.pairs = 1;
    if (pixels == 3) {
        job.stride = 2;
        layer->tile->start3(&job, both);
    } else {
        layer->tile->start1(&job, both);
    }
    for (int32_t i = 0; i < pixels; i++) {
        out[(i + 1) * layer->out_c - 1] = both[2 * i];
    }
}
