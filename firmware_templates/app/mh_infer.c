#include "mh_infer.h"

#include <string.h>

#include "mh_checks.h"
#include "mh_messages.h"
#include "mh_model.h"
#include "mh_port.h"
#include "mh_reply.h"
#include "mh_time.h"
#include "mh_watch.h"

#define MAX_INPUTS 8u

static uint32_t written[MAX_INPUTS]; /* bytes of the next inference's input, without a gap */
static uint8_t outputs_valid;
static mh_status model_status;
static uint8_t router;
static int32_t threshold;
static uint32_t session; /* what the host set; 0 since the start */
static struct {
    uint32_t inferences;
    uint32_t kept;
    uint32_t queried;
    uint32_t repeats;
} stats;
static uint32_t counted; /* the host's number of the last inference that was counted */
/* The last inference: asked for again, it is answered again while its outputs are there. */
static struct {
    uint32_t run; /* the host's number; 0: none */
    mh_elapsed elapsed;
    int32_t score;
    uint8_t decision;
} last;

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

/* A run leaves nothing of its input in the arena; overran: the layer, where it is known. */
static uint8_t after_run(mh_status status, uint16_t overran)
{
    mh_watch_stop();
    memset(written, 0, sizeof written);
    last.run = 0;
    outputs_valid = 0;
    if (!mh_guard_holds()) {
        mh_guard_set();
        mh_fail(MH_E_ARENA_OVERRUN, overran);
        return 0;
    }
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
    if (router == MH_ROUTER_NONE) {
        return MH_DECISION_NONE;
    }
    return score > threshold ? MH_DECISION_QUERY : MH_DECISION_KEEP;
}

/* An inference that the host had to ask for twice is one answer to one query. */
static void count(uint8_t decision, uint8_t is_repeat)
{
    if (is_repeat) {
        stats.repeats++;
        return;
    }
    stats.inferences++;
    stats.queried += decision == MH_DECISION_QUERY;
    stats.kept += decision == MH_DECISION_KEEP;
}

static uint32_t total_output_bytes(void)
{
    uint32_t total = 0;
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        total += mh_model_output(i).bytes;
    }
    return total;
}

static uint8_t run_model(uint32_t run, uint32_t limit_ms)
{
    if (!inputs_complete()) {
        return 0;
    }
    mh_watch_start(limit_ms);
    const uint32_t watched = mh_watch_taken();
    const mh_stamp from = mh_time_now();
    const mh_status status = mh_model_run(NULL, NULL);
    const mh_elapsed elapsed = mh_time_between(from, mh_time_now());
    if (!after_run(status, MH_NO_LAYER)) {
        return 0;
    }
    last.run = run;
    last.elapsed = mh_time_without(elapsed, mh_watch_taken() - watched);
    last.score = active_score();
    last.decision = decide(last.score);
    count(last.decision, run != 0 && run == counted);
    counted = run;
    return 1;
}

void mh_infer(const uint8_t *payload, uint16_t n)
{
    const uint32_t run = mh_get(payload, 4);
    const uint32_t limit_ms = mh_get(payload + 4, 4);
    uint32_t left = mh_get(payload + 8, 2);
    (void)n;
    if ((!outputs_valid || run == 0 || run != last.run) && !run_model(run, limit_ms)) {
        return;
    }
    mh_put(session, 4);
    mh_put(last.elapsed.ticks, 8);
    mh_put(last.elapsed.instructions, 8);
    mh_put(last.decision, 1);
    mh_put(router, 1);
    mh_put((uint32_t)threshold, 4);
    mh_put((uint32_t)last.score, 4);
    mh_put(total_output_bytes(), 4);
    left = left < mh_room() ? left : mh_room();
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        const mh_buffer output = mh_model_output(i);
        const uint32_t bytes = output.bytes < left ? output.bytes : left;
        mh_put_bytes(output.data, bytes);
        left -= bytes;
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
    const uint32_t limit_ms = mh_get(payload, 4);
    uint16_t overran = MH_NO_LAYER;
    (void)n;
    if (!inputs_complete()) {
        return;
    }
    mh_watch_start(limit_ms);
    const mh_status status = mh_profile(&overran);
    if (after_run(status, overran)) {
        mh_ok(MH_MSG_PROFILE);
    }
}

void mh_run_self_test(const uint8_t *payload, uint16_t n)
{
    (void)n;
    mh_watch_start(mh_get(payload, 4));
    if (after_run(mh_self_test(), MH_NO_LAYER)) {
        mh_ok(MH_MSG_SELF_TEST);
    }
}

uint32_t mh_session(void)
{
    return session;
}

void mh_set_session(const uint8_t *payload, uint16_t n)
{
    (void)n;
    session = mh_get(payload, 4);
    last.run = 0; /* another host's numbers are not this one's */
    counted = 0;
    mh_put(session, 4);
    mh_ok(MH_MSG_SET_SESSION);
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
        last.run = 0; /* decided by the route before */
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
    mh_put(stats.repeats, 4);
    mh_put(session, 4);
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
    mh_guard_set();
    model_status = mh_model_init();
    if (mh_model.inputs > MAX_INPUTS) {
        model_status = MH_ERR_SUPPORT;
    }
    router = has_score(mh_model.router) ? mh_model.router : (uint8_t)MH_ROUTER_NONE;
    threshold = mh_model.threshold;
    mh_time_init();
}
