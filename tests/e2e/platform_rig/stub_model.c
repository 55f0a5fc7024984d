/* The smallest engine: enough for the whole firmware of any board to link. */
#include "mh_messages.h"
#include "mh_model.h"

mh_model_info mh_model = {
    .arena_bytes = 64,
    .layers = 1,
    .inputs = 1,
    .outputs = 1,
    .logits = MH_NO_OUTPUT,
    .route = MH_NO_OUTPUT,
    .scores = MH_NO_OUTPUT,
    .router = MH_ROUTER_NONE,
};
const mh_kat_vector mh_kat[] = {{0u, 0u}};
const uint16_t mh_kat_count = 0;
volatile uint16_t mh_layer_now = 0xFFFFu;

__attribute__((section(".rodata.mh_weights"), used)) static const volatile int8_t weights[48] = {
    1, 2, 3};
__attribute__((section(".bss.mh_arena"), aligned(16))) static int8_t arena[64];

mh_status mh_model_init(void)
{
    return MH_OK;
}

mh_buffer mh_model_input(uint8_t index)
{
    (void)index;
    return (mh_buffer){arena, 32};
}

mh_buffer mh_model_output(uint8_t index)
{
    (void)index;
    return (mh_buffer){arena + 32, 32};
}

mh_status mh_model_run(mh_layer_hook hook, void *ctx)
{
    mh_layer_now = 0;
    for (uint32_t i = 0; i < 32; i++) {
        arena[32 + i] = (int8_t)(arena[i] + weights[i]);
    }
    if (hook != NULL) {
        hook(ctx, 0, arena + 32, 32);
    }
    mh_layer_now = 0xFFFFu;
    return MH_OK;
}
