#include "mh_checks.h"

#include "mh_frames.h"
#include "mh_model.h"
#include "mh_payloads.h"
#include "mh_port.h"
#include "mh_reply.h"
#include "mh_time.h"
#include "mh_watch.h"

#define GUARD 0xA55A96C3u /* no value that tensors are full of: no byte is 0, 0x80 or 0xFF */

typedef struct {
    mh_stamp from;
    mh_elapsed hook; /* what calling the hook takes */
    mh_elapsed sum;
    uint32_t watched; /* what the watch had taken when the interval began */
    uint16_t layers;
    uint16_t overran;
} profile;

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0u;
}

/* Checksum and row are outside the timed interval: it ends on entry and begins again on leaving. */
static void on_layer(void *ctx, uint16_t layer, const void *out, uint32_t out_bytes)
{
    profile *p = ctx;
    const mh_stamp now = mh_time_now();
    const mh_elapsed raw =
        mh_time_without(mh_time_between(p->from, now), mh_watch_taken() - p->watched);
    if (layer == MH_NO_LAYER) {
        p->hook = raw;
        return;
    }
    const uint64_t ticks = less(raw.ticks, p->hook.ticks);
    const uint64_t instructions = less(raw.instructions, p->hook.instructions);
    p->sum.ticks += ticks;
    p->sum.instructions += instructions;
    p->layers++;
    if (p->overran == MH_NO_LAYER && !mh_guard_holds()) {
        p->overran = layer;
    }
    const mh_wire_profile_row row = {.layer = layer,
                                     .ticks = ticks,
                                     .instructions = instructions,
                                     .out_bytes = out_bytes,
                                     .crc32 = mh_crc32(0, out, out_bytes)};
    mh_put_bytes(&row, sizeof row);
    mh_send(MH_MSG_PROFILE_ROW);
    p->watched = mh_watch_taken();
    p->from = mh_time_now();
}

mh_status mh_profile(uint16_t *overran)
{
    profile p = {.watched = mh_watch_taken(), .overran = MH_NO_LAYER};
    volatile mh_layer_hook hook = on_layer; /* called through the pointer, as the model does */
    p.from = mh_time_now();
    hook(&p, MH_NO_LAYER, NULL, 0);
    p.from = mh_time_now();
    const mh_status status = mh_model_run(hook, &p);
    const mh_wire_profile_end end = {
        .layers = p.layers, .ticks = p.sum.ticks, .instructions = p.sum.instructions};
    mh_put_bytes(&end, sizeof end);
    *overran = p.overran;
    return status;
}

static void fill_inputs(uint32_t seed)
{
    uint32_t x = seed;
    for (uint8_t i = 0; i < mh_model.inputs; i++) {
        const mh_buffer input = mh_model_input(i);
        uint8_t *bytes = input.data;
        for (uint32_t j = 0; j < input.bytes; j++) {
            x = x * 1664525u + 1013904223u; /* as mh_model.h says; the host does the same */
            bytes[j] = (uint8_t)(x >> 24);
        }
    }
}

static uint32_t crc_of_outputs(void)
{
    uint32_t crc = 0;
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        const mh_buffer output = mh_model_output(i);
        crc = mh_crc32(crc, output.data, output.bytes);
    }
    return crc;
}

mh_status mh_self_test(void)
{
    mh_wire_self_test told = {.total = mh_kat_count, .first_failing = -1};
    for (uint16_t i = 0; i < mh_kat_count; i++) {
        fill_inputs(mh_kat[i].seed);
        const mh_status status = mh_model_run(NULL, NULL);
        if (status != MH_OK) {
            return status;
        }
        if (crc_of_outputs() == mh_kat[i].crc) {
            told.passed++;
        } else if (told.first_failing < 0) {
            told.first_failing = (int16_t)i;
        }
    }
    mh_put_bytes(&told, sizeof told);
    return MH_OK;
}

void mh_guard_set(void)
{
    for (uint32_t i = 0; i < MH_GUARD_WORDS; i++) {
        mh_arena_below[i] = GUARD;
        mh_arena_above[i] = GUARD;
    }
}

uint8_t mh_guard_holds(void)
{
    uint32_t differing = 0;
    for (uint32_t i = 0; i < MH_GUARD_WORDS; i++) {
        differing |= (mh_arena_below[i] ^ GUARD) | (mh_arena_above[i] ^ GUARD);
    }
    return differing == 0;
}

void mh_image_crc(const uint8_t *payload, uint16_t n)
{
    const mh_wire_image_part *request = (const void *)payload;
    const uint32_t bytes = request->size_bytes;
    const uint8_t *part;
    (void)n;
    if (!mh_port_image(request->address, bytes, &part)) {
        mh_fail(MH_E_BAD_OFFSET, bytes);
        return;
    }
    mh_watch_start(0);
    const mh_wire_image_crc told = {.crc32 = mh_crc32(0, part, bytes)};
    mh_watch_stop();
    mh_put_bytes(&told, sizeof told);
    mh_ok(MH_MSG_IMAGE_CRC);
}
