#include "mh_harness.h"

#include "board_config.h"
#include "build_info.h"
#include "mh_checks.h"
#include "mh_frames.h"
#include "mh_infer.h"
#include "mh_model.h"
#include "mh_port.h"
#include "mh_reply.h"

#ifndef MH_ENGINE
#define MH_ENGINE MH_ENGINE_AOT
#endif
#ifdef MH_CFG_RX_WINDOW
#define RX_WINDOW MH_CFG_RX_WINDOW
#else
#define RX_WINDOW MH_PORT_RX_BYTES
#endif
#define BUILD_ID_BYTES 16u

typedef struct {
    uint8_t type;
    uint8_t needs_model;
    uint16_t least; /* payload bytes */
    uint16_t most;
    void (*answer)(const uint8_t *payload, uint16_t n);
} request;

static uint32_t hex_digit(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void hello(const uint8_t *payload, uint16_t n)
{
    static const char build_id[] = MH_BUILD_ID;
    (void)payload;
    (void)n;
    mh_put(MH_PROTOCOL_VERSION, 1);
    mh_put(MH_MAX_PAYLOAD, 2);
    for (uint32_t i = 0; i < 2u * BUILD_ID_BYTES; i += 2u) {
        mh_put(hex_digit(build_id[i]) << 4 | hex_digit(build_id[i + 1u]), 1);
    }
    mh_put_bytes(mh_model.digest, sizeof mh_model.digest);
    mh_put_text(MH_BOARD_NAME);
    mh_put_text(MH_CHIP_NAME);
    mh_put_text(MH_CORE_NAME);
    mh_put(mh_port_clock_hz(), 4);
    mh_put(MH_TICK_HZ == MH_CLOCK_HZ ? mh_port_clock_hz() : MH_TICK_HZ, 4);
    mh_put(MH_TICK_INSTRUCTIONS, 2);
    mh_put(mh_model.arena_bytes, 4);
    mh_put(mh_port_static_ram(), 4);
    mh_put(mh_model.inputs, 1);
    mh_put(mh_model.outputs, 1);
    mh_put(mh_model.layers, 2);
    mh_put(mh_model.logits, 1);
    mh_put(mh_model.route, 1);
    mh_put(mh_model.scores, 1);
    mh_put(MH_ENGINE, 1);
    mh_put(mh_model_status(), 1);
    mh_put(RX_WINDOW, 2);
    mh_put(mh_session(), 4);
    mh_ok(MH_MSG_HELLO);
}

/* Idle delimiters, so that a UART still sends the last byte of the frame before it is reset. */
static void flush(void)
{
    static const uint8_t idle[4] = {0};
    mh_port_write(idle, sizeof idle);
}

static void reset(const uint8_t *payload, uint16_t n)
{
    (void)payload;
    (void)n;
    mh_ok(MH_MSG_RESET);
    flush();
    mh_port_reset();
}

static const request requests[] = {
    {MH_MSG_HELLO, 0, 0, 0, hello},
    {MH_MSG_TENSOR_INFO, 1, 2, 2, mh_tensor_info},
    {MH_MSG_WRITE_INPUT, 1, MH_WRITE_HEAD_BYTES + 1u, MH_MAX_PAYLOAD, mh_write_input},
    {MH_MSG_INFER, 1, 10, 10, mh_infer},
    {MH_MSG_READ_OUTPUT, 1, 7, 7, mh_read_output},
    {MH_MSG_PROFILE, 1, 4, 4, mh_run_profile},
    {MH_MSG_GET_ROUTE, 0, 0, 0, mh_route},
    {MH_MSG_SET_ROUTE, 0, 5, 5, mh_route},
    {MH_MSG_STATS, 0, 0, 0, mh_send_stats},
    {MH_MSG_STATS_RESET, 0, 0, 0, mh_reset_stats},
    {MH_MSG_SELF_TEST, 1, 4, 4, mh_run_self_test},
    {MH_MSG_RESET, 0, 0, 0, reset},
    {MH_MSG_SET_SESSION, 0, 4, 4, mh_set_session},
    {MH_MSG_IMAGE_CRC, 0, 8, 8, mh_image_crc},
};

static void answer(uint8_t type, const uint8_t *payload, uint16_t n)
{
    for (uint32_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const request *r = &requests[i];
        if (r->type != type) {
            continue;
        }
        if (n < r->least || n > r->most) {
            mh_fail(MH_E_BAD_LENGTH, n);
        } else if (!r->needs_model || mh_model_ok(mh_model_status())) {
            r->answer(payload, n);
        }
        return;
    }
    mh_fail(MH_E_UNKNOWN_TYPE, type);
}

void mh_harness_feed(const uint8_t *bytes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *payload;
        uint16_t payload_bytes;
        const uint8_t type = mh_receive(bytes[i], &payload, &payload_bytes);
        if (type != 0) {
            answer(type, payload, payload_bytes);
        }
    }
}

void mh_harness_init(void)
{
    mh_infer_init();
}

void mh_fault(uint32_t code, uint32_t pc, uint32_t address)
{
    const uint16_t layer = mh_layer_now;
    uint8_t frame[MH_HEAD_BYTES + 11u + MH_CRC_BYTES] = {MH_MSG_FAULT, 0, (uint8_t)code};
    frame[3] = (uint8_t)layer;
    frame[4] = (uint8_t)(layer >> 8);
    for (uint32_t i = 0; i < 4u; i++) {
        frame[5u + i] = (uint8_t)(pc >> (8u * i));
        frame[9u + i] = (uint8_t)(address >> (8u * i));
    }
    mh_frame_send(frame, 11, mh_port_write);
    flush();
    mh_port_reset();
}
