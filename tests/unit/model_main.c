/* Checks a generated model.c on the host: known answers twice (the second run starts from a dirty
 * arena), then the outputs of inputs from stdin, and what the hook was told. */
#include <stdio.h>
#include <string.h>

#include "mh_messages.h"
#include "mh_model.h"

static uint16_t calls;

static uint32_t crc32_of(uint32_t crc, const uint8_t *data, uint32_t n)
{
    crc = ~crc;
    for (uint32_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}

static void hook(void *ctx, uint16_t layer, const void *out, uint32_t out_bytes)
{
    if (ctx != &calls || layer != calls || layer != mh_layer_now || out == NULL || out_bytes == 0) {
        calls = UINT16_MAX / 2;
    }
    calls++;
}

static int known_answer(const mh_kat_vector *answer)
{
    uint32_t x = answer->seed;
    for (uint8_t i = 0; i < mh_model.inputs; i++) {
        const mh_buffer buffer = mh_model_input(i);
        for (uint32_t n = 0; n < buffer.bytes; n++) {
            x = x * 1664525u + 1013904223u;
            ((uint8_t *)buffer.data)[n] = (uint8_t)(x >> 24);
        }
    }
    calls = 0;
    if (mh_model_run(hook, &calls) != MH_OK || calls != mh_model.layers) {
        return 1;
    }
    uint32_t crc = 0;
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        crc = crc32_of(crc, mh_model_output(i).data, mh_model_output(i).bytes);
    }
    return crc == answer->crc ? 0 : 2;
}

int main(void)
{
    if (mh_model_init() != MH_OK || mh_layer_now != MH_NO_LAYER) {
        return 10;
    }
    if (mh_model_input(mh_model.inputs).data != NULL ||
        mh_model_output(mh_model.outputs).data != NULL) {
        return 11;
    }
    for (int round = 0; round < 2; round++) {
        for (uint16_t i = 0; i < mh_kat_count; i++) {
            const int wrong = known_answer(&mh_kat[i]);
            if (wrong != 0) {
                return 20 + wrong;
            }
        }
    }
    for (uint8_t i = 0; i < mh_model.inputs; i++) {
        const mh_buffer buffer = mh_model_input(i);
        if (fread(buffer.data, 1, buffer.bytes, stdin) != buffer.bytes) {
            return 30;
        }
    }
    if (mh_model_run(NULL, NULL) != MH_OK || mh_layer_now != MH_NO_LAYER) {
        return 31;
    }
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        (void)fwrite(mh_model_output(i).data, 1, mh_model_output(i).bytes, stdout);
    }
    return 0;
}
