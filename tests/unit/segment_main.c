/* Runs a model of several segments on the inputs from stdin, one segment after the other, and
 * writes the outputs that each says can be read then. Before that: orders that are refused. */
#include <stdio.h>

#include "mh_messages.h"
#include "mh_model.h"

static uint16_t calls;

static void hook(void *ctx, uint16_t layer, const void *out, uint32_t out_bytes)
{
    if (ctx != &calls || layer != calls || layer != mh_layer_now || out == NULL || out_bytes == 0) {
        calls = UINT16_MAX / 2;
    }
    calls++;
}

static int wrong_orders(void)
{
    const uint8_t last = (uint8_t)(mh_segment_count - 1u);
    return mh_model_run_segment(mh_segment_count, NULL, NULL) == MH_ERR_ARG &&
           mh_model_run_segment(last, NULL, NULL) == MH_ERR_ARG &&
           mh_model_run_segment(0, NULL, NULL) == MH_OK &&
           (last < 2u || mh_model_run_segment(2, NULL, NULL) == MH_ERR_ARG) &&
           mh_model_run_segment(1, NULL, NULL) == MH_OK &&
           mh_model_run_segment(1, NULL, NULL) == MH_ERR_ARG;
}

int main(void)
{
    uint32_t early = 0;

    if (mh_model_init() != MH_OK || !wrong_orders()) {
        return 10;
    }
    for (uint8_t i = 0; i < mh_model.inputs; i++) {
        const mh_buffer buffer = mh_model_input(i);
        if (fread(buffer.data, 1, buffer.bytes, stdin) != buffer.bytes) {
            return 20;
        }
    }
    for (uint8_t i = 0; i < mh_segment_count; i++) {
        const mh_segment *segment = &mh_segments[i];
        if (calls != segment->first || mh_model_run_segment(i, hook, &calls) != MH_OK ||
            calls != segment->first + segment->layers || mh_layer_now != MH_NO_LAYER ||
            (segment->cut.data == NULL) != (i + 1 == mh_segment_count)) {
            return 30;
        }
        for (uint8_t output = 0; output < mh_model.outputs; output++) {
            if ((segment->exits >> output & 1u) != 0) {
                const mh_buffer found = mh_model_output(output);
                (void)fwrite(found.data, 1, found.bytes, stdout);
            }
        }
        early |= i + 1 < mh_segment_count ? segment->exits : 0;
    }
    /* The arena is dirty now, and inputs may be gone: only what it says counts. */
    return mh_model_run(NULL, NULL) == (early ? MH_ERR_SUPPORT : MH_OK) ? 0 : 40;
}
