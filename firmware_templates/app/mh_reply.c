#include "mh_reply.h"

#include <string.h>

#include "mh_frames.h"
#include "mh_payloads.h"
#include "mh_port.h"

#define MAX_TEXT 64u /* of a name in an answer: several fit one frame; longer ones are cut */

/* One buffer serves both ways: a request is read before its answer is written. */
static mh_decoder rx;
static uint16_t put_count;
static uint8_t seq;
static uint32_t frame_errors;
static volatile uint8_t sending;

uint8_t mh_receive(uint8_t byte, const uint8_t **payload, uint16_t *n)
{
    const mh_frame_event event = mh_decoder_push(&rx, byte);
    if (event == MH_FRAME_MORE) {
        return 0;
    }
    if (event == MH_FRAME_BAD) {
        frame_errors++;
        seq = 0; /* what the frame says of itself cannot be trusted */
        mh_fail(rx.error, rx.detail);
        return 0;
    }
    seq = rx.data[1];
    *payload = rx.data + MH_HEAD_BYTES;
    *n = rx.payload_bytes;
    if (rx.data[0] == 0) {
        mh_fail(MH_E_UNKNOWN_TYPE, 0);
    }
    return rx.data[0];
}

uint32_t mh_frame_errors(uint8_t clear)
{
    const uint32_t count = frame_errors;
    if (clear) {
        frame_errors = 0;
    }
    return count;
}

uint32_t mh_room(void)
{
    return MH_MAX_PAYLOAD - (uint32_t)put_count;
}

void mh_put_bytes(const void *src, uint32_t n)
{
    memcpy(rx.data + MH_HEAD_BYTES + put_count, src, n);
    put_count = (uint16_t)(put_count + n);
}

void mh_put_text(const char *text)
{
    uint8_t n = 0;
    while (n < MAX_TEXT && text[n] != 0) { /* strlen takes 220 bytes of code */
        n++;
    }
    mh_put_bytes(&n, sizeof n);
    mh_put_bytes(text, n);
}

static void send(uint8_t *frame, uint8_t type, uint16_t payload_bytes)
{
    frame[0] = type;
    frame[1] = seq;
    sending = 1;
    mh_frame_send(frame, payload_bytes, mh_port_write);
    sending = 0;
}

void mh_send(uint8_t type)
{
    send(rx.data, type, put_count);
    put_count = 0;
}

void mh_acknowledge(uint16_t layer)
{
    const mh_wire_ack ack = {.layer = layer};
    uint8_t frame[MH_HEAD_BYTES + sizeof ack + MH_CRC_BYTES];
    if (!sending) {
        memcpy(frame + MH_HEAD_BYTES, &ack, sizeof ack);
        send(frame, MH_MSG_ACK, sizeof ack);
    }
}

void mh_ok(uint8_t request_type)
{
    mh_send((uint8_t)(request_type | MH_RESPONSE));
}

void mh_fail(uint8_t code, uint32_t detail)
{
    const mh_wire_error_frame error = {.code = code, .detail = detail};
    put_count = 0;
    mh_put_bytes(&error, sizeof error);
    mh_send(MH_MSG_ERROR);
}
