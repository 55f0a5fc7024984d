#include "mh_infer.h"

#include <string.h>

#include "mh_checks.h"
#include "mh_messages.h"
#include "mh_model.h"
#include "mh_payloads.h"
#include "mh_port.h"
#include "mh_reply.h"
#include "mh_tensors.h"
#include "mh_time.h"
#include "mh_watch.h"

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

/* A run leaves nothing of its input in the arena; overran: the layer, where it is known. */
static uint8_t after_run(mh_status status, uint16_t overran)
{
    mh_watch_stop();
    mh_tensors_used(0);
    last.run = 0;
    if (!mh_guard_holds()) {
        mh_guard_set();
        mh_fail(MH_E_ARENA_OVERRUN, overran);
        return 0;
    }
    mh_tensors_used(status == MH_OK);
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
    const uint32_t at = (router - MH_FIRST_SCORED_ROUTER) * (uint32_t)sizeof score;
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

static uint8_t run_model(uint32_t run, uint32_t limit_ms)
{
    if (!mh_inputs_complete()) {
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
    const mh_wire_infer *request = (const void *)payload;
    const uint32_t run = request->run;
    uint32_t left = request->head_bytes;
    (void)n;
    if ((!mh_outputs_valid() || run == 0 || run != last.run) &&
        !run_model(run, request->layer_limit_ms)) {
        return;
    }
    const mh_wire_infer_result told = {.session = session,
                                       .ticks = last.elapsed.ticks,
                                       .instructions = last.elapsed.instructions,
                                       .decision = last.decision,
                                       .router = router,
                                       .threshold = threshold,
                                       .score = last.score,
                                       .output_bytes = mh_output_bytes()};
    mh_put_bytes(&told, sizeof told);
    left = left < mh_room() ? left : mh_room();
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        const mh_buffer output = mh_model_output(i);
        const uint32_t bytes = output.bytes < left ? output.bytes : left;
        mh_put_bytes(output.data, bytes);
        left -= bytes;
    }
    mh_ok(MH_MSG_INFER);
}

void mh_run_profile(const uint8_t *payload, uint16_t n)
{
    const mh_wire_layer_limit *request = (const void *)payload;
    uint16_t overran = MH_NO_LAYER;
    (void)n;
    if (!mh_inputs_complete()) {
        return;
    }
    mh_watch_start(request->layer_limit_ms);
    const mh_status status = mh_profile(&overran);
    if (after_run(status, overran)) {
        mh_ok(MH_MSG_PROFILE);
    }
}

void mh_run_self_test(const uint8_t *payload, uint16_t n)
{
    const mh_wire_layer_limit *request = (const void *)payload;
    (void)n;
    mh_watch_start(request->layer_limit_ms);
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
    const mh_wire_session told = *(const mh_wire_session *)(const void *)payload;
    (void)n;
    session = told.session;
    last.run = 0; /* another host's numbers are not this one's */
    counted = 0;
    mh_put_bytes(&told, sizeof told);
    mh_ok(MH_MSG_SET_SESSION);
}

static uint8_t has_score(uint8_t id)
{
    if (id == MH_ROUTER_NONE || id > MH_LAST_ROUTER) {
        return id == MH_ROUTER_NONE;
    }
    return (id == MH_ROUTER_LEARNED ? mh_model.route : mh_model.scores) != MH_NO_OUTPUT;
}

void mh_route(const uint8_t *payload, uint16_t n)
{
    if (n != 0) {
        const mh_wire_route *wanted = (const void *)payload;
        if (!has_score(wanted->router)) {
            mh_fail(MH_E_BAD_INDEX, wanted->router);
            return;
        }
        router = wanted->router;
        threshold = wanted->threshold;
        last.run = 0; /* decided by the route before */
    }
    const mh_wire_route now = {.router = router, .threshold = threshold};
    mh_put_bytes(&now, sizeof now);
    mh_ok(n != 0 ? MH_MSG_SET_ROUTE : MH_MSG_GET_ROUTE);
}

void mh_send_stats(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    const mh_wire_stats told = {.inferences = stats.inferences,
                                .kept = stats.kept,
                                .queried = stats.queried,
                                .frame_errors = mh_frame_errors(0),
                                .stack_used_bytes = mh_port_stack_used(),
                                .repeats = stats.repeats,
                                .session = session};
    mh_put_bytes(&told, sizeof told);
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
    if (mh_model.inputs > MH_MAX_INPUTS) {
        model_status = MH_ERR_SUPPORT;
    }
    router = has_score(mh_model.router) ? mh_model.router : (uint8_t)MH_ROUTER_NONE;
    threshold = mh_model.threshold;
    mh_time_init();
}
