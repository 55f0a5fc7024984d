/* An engine of three "layers" with two inputs and three outputs, small enough to check by hand:
 * logits[i] = image[i] + bias[0] (as int8), score = image[0]; the simple scores are 1000, 2000 and
 * 3000 times image[1].
 * The second input's value 99 makes layer 1 fault. */
#include <string.h>

#include "mh_messages.h"
#include "mh_model.h"
#include "mh_port.h"

#define IMAGE 1300
#define LOGITS 700

mh_model_info mh_model = {
    .digest = {0xAB, 0xCD},
    .arena_bytes = IMAGE + LOGITS,
    .layers = 3,
    .inputs = 2,
    .outputs = 3,
    .logits = 0,
    .route = 1,
    .scores = 2,
    .router = MH_ROUTER_LEARNED,
    .threshold = 5,
};
volatile uint16_t mh_layer_now = 0xFFFFu;
const mh_kat_vector mh_kat[] = {{1u, KAT_CRC}, {2u, 0u}};
const uint16_t mh_kat_count = 2;

static int8_t image[IMAGE];
static int8_t bias[1];
static int8_t logits[LOGITS];
static int8_t score[1];
static int32_t scores[3];

mh_status mh_model_init(void)
{
    return MH_OK;
}

mh_buffer mh_model_input(uint8_t index)
{
    return index == 0 ? (mh_buffer){image, IMAGE} : (mh_buffer){bias, 1};
}

mh_buffer mh_model_output(uint8_t index)
{
    if (index == 0) {
        return (mh_buffer){logits, LOGITS};
    }
    return index == 1 ? (mh_buffer){score, 1} : (mh_buffer){scores, sizeof scores};
}

static void leave(mh_layer_hook hook, void *ctx, mh_buffer out)
{
    if (hook != NULL) {
        hook(ctx, mh_layer_now, out.data, out.bytes);
    }
    mh_layer_now++;
}

mh_status mh_model_run(mh_layer_hook hook, void *ctx)
{
    mh_layer_now = 0;
    for (int i = 0; i < LOGITS; i++) {
        logits[i] = (int8_t)(uint8_t)((uint32_t)image[i] + (uint32_t)bias[0]);
    }
    leave(hook, ctx, mh_model_output(0));
    if (bias[0] == 99) {
        mh_fault(1, 0x08001234u, 0x20000000u);
    }
    score[0] = image[0];
    leave(hook, ctx, mh_model_output(1));
    for (int i = 0; i < 3; i++) {
        scores[i] = 1000 * (i + 1) * image[1];
    }
    leave(hook, ctx, mh_model_output(2));
    memset(image, 0x55, sizeof image); /* an arena keeps nothing */
    mh_layer_now = 0xFFFFu;
    return bias[0] == 98 ? MH_ERR_SUPPORT : MH_OK;
}
