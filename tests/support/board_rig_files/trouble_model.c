/* A toy engine that misbehaves as its input says, two u32: what, and in which of four layers.
 * 1: never ends. 2: writes four bytes behind the arena. 3: writes four bytes ahead of it. */
#include "mh_messages.h"
#include "mh_model.h"

#define LAYERS 4u
#define WORDS 16u

mh_model_info mh_model = {
    .digest = {0},
    .arena_bytes = 4u * WORDS,
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

__attribute__((section(".bss.mh_arena"), aligned(16))) static uint32_t arena[WORDS];
__attribute__((section(".rodata.mh_weights"), used)) static const uint8_t weights[64] = {1, 2, 3};

mh_status mh_model_init(void)
{
    START_UP
    return MH_OK;
}

mh_buffer mh_model_input(uint8_t index)
{
    (void)index;
    return (mh_buffer){arena, 8};
}

mh_buffer mh_model_output(uint8_t index)
{
    (void)index;
    return (mh_buffer){arena + 8, 4};
}

static void misbehave(uint32_t what)
{
    volatile uint32_t *at = arena;
    volatile int32_t behind = WORDS;
    volatile int32_t ahead = -1;
    while (what == 1u) {
        arena[9]++;
        __asm volatile("" ::: "memory");
    }
    if (what == 2u) {
        at[behind] = 0u;
    }
    if (what == 3u) {
        at[ahead] = 0u;
    }
}

mh_status mh_model_run(mh_layer_hook hook, void *ctx)
{
    for (uint16_t i = 0; i < LAYERS; i++) {
        mh_layer_now = i;
        if (i == arena[1]) {
            misbehave(arena[0]);
        }
        arena[8] = i;
        arena[9] = weights[arena[10] % 64u]; /* so that they are linked */
        if (hook != NULL) {
            hook(ctx, i, arena + 8, 4);
        }
    }
    mh_layer_now = 0xFFFFu;
    return MH_OK;
}
