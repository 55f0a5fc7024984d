#include "mh_frames.h"

/* Written in small pieces, so that ports with a cost per call (sockets, DMA) see few calls: nine of
 * the longest frame, for 64 bytes of stack. */
#define STAGE_BYTES 64u

typedef struct {
    uint8_t bytes[STAGE_BYTES];
    uint32_t n;
    mh_write_fn write;
} stage;

/* The residual of crc32 for 4 bits: 64 bytes of table instead of 1 KiB. */
static const uint32_t crc_table[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

static uint32_t crc_byte(uint32_t crc, uint8_t byte)
{
    crc = crc_table[(crc ^ byte) & 15u] ^ (crc >> 4);
    return crc_table[(crc ^ ((uint32_t)byte >> 4)) & 15u] ^ (crc >> 4);
}

uint32_t mh_crc32(uint32_t crc, const uint8_t *src, uint32_t n)
{
    crc = ~crc;
    for (uint32_t i = 0; i < n; i++) {
        crc = crc_byte(crc, src[i]);
    }
    return ~crc;
}

static void append(mh_decoder *d, uint8_t byte)
{
    if (d->length == MH_MAX_FRAME) {
        d->too_long = 1;
        return;
    }
    d->data[d->length] = byte;
    d->length = (uint16_t)(d->length + 1u);
    /* As the bytes arrive: a polled UART has no time for a whole frame at its end. */
    d->crc = crc_byte(d->crc, byte);
}

static void restart(mh_decoder *d)
{
    d->length = 0;
    d->crc = 0xFFFFFFFFu;
    d->left = 0;
    d->started = 0;
    d->zero = 0;
    d->too_long = 0;
}

static mh_frame_event bad(mh_decoder *d, uint8_t error, uint32_t detail)
{
    d->error = error;
    d->detail = detail;
    return MH_FRAME_BAD;
}

static mh_frame_event judge(mh_decoder *d)
{
    if (d->too_long) {
        return bad(d, MH_E_TOO_LONG, MH_MAX_FRAME);
    }
    if (d->left != 0 || d->length < MH_HEAD_BYTES + MH_CRC_BYTES) {
        return bad(d, MH_E_TRUNCATED, d->length);
    }
    if (~d->crc != MH_CRC_RESIDUE) {
        return bad(d, MH_E_BAD_CRC, ~d->crc);
    }
    d->payload_bytes = (uint16_t)(d->length - MH_HEAD_BYTES - MH_CRC_BYTES);
    return MH_FRAME_READY;
}

mh_frame_event mh_decoder_push(mh_decoder *d, uint8_t byte)
{
    if (byte == 0) {
        const mh_frame_event event = d->started ? judge(d) : MH_FRAME_MORE;
        restart(d);
        return event;
    }
    if (!d->started) {
        restart(d);
        d->started = 1;
    }
    if (d->left != 0) {
        d->left--;
        append(d, byte);
        return MH_FRAME_MORE;
    }
    if (d->zero) {
        append(d, 0);
    }
    d->left = (uint8_t)(byte - 1u);
    d->zero = byte != 0xFFu; /* COBS: a code of 255 means 254 bytes and no zero behind them */
    return MH_FRAME_MORE;
}

static void put(stage *s, uint8_t byte)
{
    if (s->n == STAGE_BYTES) {
        s->write(s->bytes, s->n);
        s->n = 0;
    }
    s->bytes[s->n++] = byte;
}

void mh_frame_send(uint8_t *frame, uint16_t payload_bytes, mh_write_fn write)
{
    stage s = {.n = 0, .write = write};
    uint32_t n = MH_HEAD_BYTES + (uint32_t)payload_bytes;
    const uint32_t crc = mh_crc32(0, frame, n);
    for (uint32_t i = 0; i < MH_CRC_BYTES; i++) {
        frame[n++] = (uint8_t)(crc >> (8u * i));
    }
    put(&s, 0);
    for (uint32_t at = 0; at <= n;) {
        uint32_t run = 0;
        while (run < 254u && at + run < n && frame[at + run] != 0) {
            run++;
        }
        put(&s, (uint8_t)(run + 1u));
        for (uint32_t i = 0; i < run; i++) {
            put(&s, frame[at + i]);
        }
        at += run;
        if (run < 254u) {
            at++; /* the zero, or one past the end */
        } else if (at == n) {
            break; /* a full block at the end takes no empty block behind it */
        }
    }
    put(&s, 0);
    write(s.bytes, s.n);
}
