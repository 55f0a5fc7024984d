#include "mh_harness.h"

#include <string.h>

#include "board_config.h"
#include "build_info.h"
#include "mh_checks.h"
#include "mh_frames.h"
#include "mh_infer.h"
#include "mh_model.h"
#include "mh_payloads.h"
#include "mh_port.h"
#include "mh_reply.h"
#include "mh_tensors.h"

#ifndef MH_ENGINE
#define MH_ENGINE MH_ENGINE_AOT
#endif
#ifdef MH_CFG_RX_WINDOW
#define RX_WINDOW MH_CFG_RX_WINDOW
#else
#define RX_WINDOW MH_PORT_RX_BYTES
#endif

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
    mh_wire_hello_head head = {.protocol = MH_PROTOCOL_VERSION, .max_payload = MH_MAX_PAYLOAD};
    for (uint32_t i = 0; i < sizeof head.build_id; i++) {
        const char *digits = build_id + 2u * i;
        head.build_id[i] = (uint8_t)(hex_digit(digits[0]) << 4 | hex_digit(digits[1]));
    }
    memcpy(head.model_sha256, mh_model.digest, sizeof head.model_sha256);
    mh_put_bytes(&head, sizeof head);
    mh_put_text(MH_BOARD_NAME);
    mh_put_text(MH_CHIP_NAME);
    mh_put_text(MH_CORE_NAME);
    const uint32_t clock_hz = mh_port_clock_hz();
    const mh_wire_hello_tail tail = {.clock_hz = clock_hz,
                                     .tick_hz = MH_TICK_HZ == MH_CLOCK_HZ ? clock_hz : MH_TICK_HZ,
                                     .tick_instructions = MH_TICK_INSTRUCTIONS,
                                     .arena_bytes = mh_model.arena_bytes,
                                     .static_ram_bytes = mh_port_static_ram(),
                                     .inputs = mh_model.inputs,
                                     .outputs = mh_model.outputs,
                                     .layers = mh_model.layers,
                                     .logits = mh_model.logits,
                                     .route = mh_model.route,
                                     .scores = mh_model.scores,
                                     .engine = MH_ENGINE,
                                     .init_status = (uint8_t)mh_model_status(),
                                     .rx_window = RX_WINDOW,
                                     .session = mh_session()};
    mh_put_bytes(&tail, sizeof tail);
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

#define EXACTLY(payload) sizeof(payload), sizeof(payload)

static const request requests[] = {
    {MH_MSG_HELLO, 0, 0, 0, hello},
    {MH_MSG_TENSOR_INFO, 1, EXACTLY(mh_wire_tensor_info), mh_tensor_info},
    {MH_MSG_WRITE_INPUT, 1, sizeof(mh_wire_write_input) + 1u, MH_MAX_PAYLOAD, mh_write_input},
    {MH_MSG_INFER, 1, EXACTLY(mh_wire_infer), mh_infer},
    {MH_MSG_READ_OUTPUT, 1, EXACTLY(mh_wire_read_output), mh_read_output},
    {MH_MSG_PROFILE, 1, EXACTLY(mh_wire_layer_limit), mh_run_profile},
    {MH_MSG_GET_ROUTE, 0, 0, 0, mh_route},
    {MH_MSG_SET_ROUTE, 0, EXACTLY(mh_wire_route), mh_route},
    {MH_MSG_STATS, 0, 0, 0, mh_send_stats},
    {MH_MSG_STATS_RESET, 0, 0, 0, mh_reset_stats},
    {MH_MSG_SELF_TEST, 1, EXACTLY(mh_wire_layer_limit), mh_run_self_test},
    {MH_MSG_RESET, 0, 0, 0, reset},
    {MH_MSG_SET_SESSION, 0, EXACTLY(mh_wire_session), mh_set_session},
    {MH_MSG_IMAGE_CRC, 0, EXACTLY(mh_wire_image_part), mh_image_crc},
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
    const mh_wire_fault_frame fault = {
        .code = (uint8_t)code, .layer = mh_layer_now, .pc = pc, .address = address};
    uint8_t frame[MH_HEAD_BYTES + sizeof fault + MH_CRC_BYTES] = {MH_MSG_FAULT};
    memcpy(frame + MH_HEAD_BYTES, &fault, sizeof fault);
    mh_frame_send(frame, sizeof fault, mh_port_write);
    flush();
    mh_port_reset();
}
