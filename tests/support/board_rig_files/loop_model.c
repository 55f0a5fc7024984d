/* A toy engine for clocks and faults: its input is four u32, layer i turns a loop of two
 * instructions as often as input i says. 0xFFFFFFFF faults instead: in layer 0 a bad address, else
 * a bad instruction. */
#include "mh_messages.h"
#include "mh_model.h"

#define LAYERS 4u

mh_model_info mh_model = {
    .digest = {0},
    .arena_bytes = 16,
    .layers = LAYERS,
    .inputs = 1,
    .outputs = 1,
    .logits = MH_NO_OUTPUT,
    .route = MH_NO_OUTPUT,
    .scores = MH_NO_OUTPUT,
};
volatile uint16_t mh_layer_now = 0xFFFFu;
const mh_kat_vector mh_kat[] = {{0u, 0u}};
const uint16_t mh_kat_count = 0;

static uint32_t turns[LAYERS];
static uint32_t done[1];

mh_status mh_model_init(void)
{
    return MH_OK;
}

mh_buffer mh_model_input(uint8_t index)
{
    (void)index;
    return (mh_buffer){turns, sizeof turns};
}

mh_buffer mh_model_output(uint8_t index)
{
    (void)index;
    return (mh_buffer){done, sizeof done};
}

static void loop(uint32_t n)
{
#if defined(__arm__)
    __asm volatile("1: subs %0, #1\n\tbne 1b" : "+r"(n) : : "cc");
#else
    for (volatile uint32_t i = 0; i < n; i++) {
    }
#endif
}

static void layer(uint16_t index)
{
    mh_layer_now = index;
    if (turns[index] == 0xFFFFFFFFu) {
        if (index == 0) {
            *(volatile uint32_t *)(uintptr_t)0xF0000000u = 1u;
        } else {
            __builtin_trap();
        }
    }
    loop(turns[index]);
}

mh_status mh_model_run(mh_layer_hook hook, void *ctx)
{
    for (uint16_t i = 0; i < LAYERS; i++) {
        layer(i);
        done[0] = i;
        if (hook != NULL) {
            hook(ctx, i, done, sizeof done);
        }
    }
    mh_layer_now = 0xFFFFu;
    return MH_OK;
}
