#include "mh_infer.h"

#include <string.h>

#include "mh_checks.h"
#include "mh_messages.h"
#include "mh_model.h"
#include "mh_port.h"
#include "mh_reply.h"
#include "mh_time.h"

#define MAX_INPUTS 8u

static uint32_t written[MAX_INPUTS]; /* bytes of the next inference's input, without a gap */
static uint8_t outputs_valid;
static mh_status model_status;
static uint8_t router;
static int32_t threshold;
static struct {
    uint32_t inferences;
    uint32_t kept;
    uint32_t queried;
} stats;

mh_status mh_model_status(void)
{
    return model_status;
}

uint8_t mh_model_ok(mh_status status)
{
    if (status != MH_OK) {
        mh_fail(MH_E_MODEL_ERROR, (uint32_t)status);
    }
    return status == MH_OK;
}

void mh_tensor_info(const uint8_t *payload, uint16_t n)
{
    const uint8_t kind = payload[0];
    const uint8_t index = payload[1];
    (void)n;
    if (kind > MH_KIND_OUTPUT) {
        mh_fail(MH_E_BAD_INDEX, kind);
        return;
    }
    if (index >= (kind == MH_KIND_INPUT ? mh_model.inputs : mh_model.outputs)) {
        mh_fail(MH_E_BAD_INDEX, index);
        return;
    }
    const mh_buffer tensor = kind == MH_KIND_INPUT ? mh_model_input(index) : mh_model_output(index);
    mh_put(tensor.bytes, 4);
    mh_ok(MH_MSG_TENSOR_INFO);
}

void mh_write_input(const uint8_t *payload, uint16_t n)
{
    const uint8_t index = payload[0];
    const uint32_t offset = mh_get(payload + 1, 4);
    const uint32_t bytes = (uint32_t)n - MH_WRITE_HEAD_BYTES;
    if (index >= mh_model.inputs) {
        mh_fail(MH_E_BAD_INDEX, index);
        return;
    }
    const mh_buffer input = mh_model_input(index);
    /* Going back (a lost answer, a new input) is fine, a gap is not. */
    if (offset > written[index]) {
        mh_fail(MH_E_BAD_OFFSET, written[index]);
        return;
    }
    if (bytes > input.bytes - offset) {
        mh_fail(MH_E_BAD_OFFSET, input.bytes);
        return;
    }
    memcpy((uint8_t *)input.data + offset, payload + MH_WRITE_HEAD_BYTES, bytes);
    written[index] = offset + bytes;
    outputs_valid = 0; /* they may share memory with the input */
    mh_put(written[index], 4);
    mh_ok(MH_MSG_WRITE_INPUT);
}

static uint8_t inputs_complete(void)
{
    for (uint8_t i = 0; i < mh_model.inputs; i++) {
        if (written[i] != mh_model_input(i).bytes) {
            mh_fail(MH_E_NO_INPUT, i);
            return 0;
        }
    }
    return 1;
}

/* A run leaves nothing of its input in the arena. */
static uint8_t after_run(mh_status status)
{
    memset(written, 0, sizeof written);
    outputs_valid = status == MH_OK;
    return mh_model_ok(status);
}

/* Of the active router, which has one: see has_score. */
static int32_t active_score(void)
{
    if (router == MH_ROUTER_NONE) {
        return MH_NO_SCORE;
    }
    if (router == MH_ROUTER_LEARNED) {
        return *(const int8_t *)mh_model_output(mh_model.route).data;
    }
    int32_t score;
    const uint32_t at = (router - MH_ROUTER_ENTROPY) * (uint32_t)sizeof score;
    memcpy(&score, (const uint8_t *)mh_model_output(mh_model.scores).data + at, sizeof score);
    return score;
}

static uint8_t decide(int32_t score)
{
    stats.inferences++;
    if (router == MH_ROUTER_NONE) {
        return MH_DECISION_NONE;
    }
    if (score > threshold) {
        stats.queried++;
        return MH_DECISION_QUERY;
    }
    stats.kept++;
    return MH_DECISION_KEEP;
}

static uint32_t total_output_bytes(void)
{
    uint32_t total = 0;
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        total += mh_model_output(i).bytes;
    }
    return total;
}

void mh_infer(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    if (!inputs_complete()) {
        return;
    }
    const mh_stamp from = mh_time_now();
    const mh_status status = mh_model_run(NULL, NULL);
    const mh_elapsed elapsed = mh_time_between(from, mh_time_now());
    if (!after_run(status)) {
        return;
    }
    const int32_t score = active_score();
    mh_put(elapsed.ticks, 8);
    mh_put(elapsed.instructions, 8);
    mh_put(decide(score), 1);
    mh_put(router, 1);
    mh_put((uint32_t)threshold, 4);
    mh_put((uint32_t)score, 4);
    mh_put(total_output_bytes(), 4);
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        const mh_buffer output = mh_model_output(i);
        mh_put_bytes(output.data, output.bytes < mh_room() ? output.bytes : mh_room());
    }
    mh_ok(MH_MSG_INFER);
}

void mh_read_output(const uint8_t *payload, uint16_t n)
{
    const uint8_t index = payload[0];
    const uint32_t offset = mh_get(payload + 1, 4);
    const uint32_t count = mh_get(payload + 5, 2);
    (void)n;
    if (index >= mh_model.outputs) {
        mh_fail(MH_E_BAD_INDEX, index);
        return;
    }
    if (!outputs_valid) {
        mh_fail(MH_E_NO_OUTPUT, index);
        return;
    }
    const mh_buffer output = mh_model_output(index);
    if (offset > output.bytes || count > output.bytes - offset || count > MH_MAX_PAYLOAD) {
        mh_fail(MH_E_BAD_OFFSET, output.bytes);
        return;
    }
    mh_put_bytes((const uint8_t *)output.data + offset, count);
    mh_ok(MH_MSG_READ_OUTPUT);
}

void mh_run_profile(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    if (inputs_complete() && after_run(mh_profile())) {
        mh_ok(MH_MSG_PROFILE);
    }
}

void mh_run_self_test(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    if (after_run(mh_self_test())) {
        mh_ok(MH_MSG_SELF_TEST);
    }
}

static uint8_t has_score(uint8_t id)
{
    if (id == MH_ROUTER_NONE || id > MH_ROUTER_MARGIN) {
        return id == MH_ROUTER_NONE;
    }
    return (id == MH_ROUTER_LEARNED ? mh_model.route : mh_model.scores) != MH_NO_OUTPUT;
}

void mh_route(const uint8_t *payload, uint16_t n)
{
    if (n != 0) {
        if (!has_score(payload[0])) {
            mh_fail(MH_E_BAD_INDEX, payload[0]);
            return;
        }
        router = payload[0];
        threshold = (int32_t)mh_get(payload + 1, 4);
    }
    mh_put(router, 1);
    mh_put((uint32_t)threshold, 4);
    mh_ok(n != 0 ? MH_MSG_SET_ROUTE : MH_MSG_GET_ROUTE);
}

void mh_send_stats(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    mh_put(stats.inferences, 4);
    mh_put(stats.kept, 4);
    mh_put(stats.queried, 4);
    mh_put(mh_frame_errors(0), 4);
    mh_put(mh_port_stack_used(), 4);
    mh_ok(MH_MSG_STATS);
}

void mh_reset_stats(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    memset(&stats, 0, sizeof stats);
    (void)mh_frame_errors(1);
    mh_ok(MH_MSG_STATS_RESET);
}

void mh_infer_init(void)
{
    model_status = mh_model_init();
    if (mh_model.inputs > MAX_INPUTS) {
        model_status = MH_ERR_SUPPORT;
    }
    router = has_score(mh_model.router) ? mh_model.router : (uint8_t)MH_ROUTER_NONE;
    threshold = mh_model.threshold;
    mh_time_init();
}
