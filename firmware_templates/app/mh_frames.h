/* Frames on the wire: 0x00, COBS(type, seq, payload, crc32), 0x00. Knows no message and no port. */
#ifndef MH_FRAMES_H
#define MH_FRAMES_H

#include <stdint.h>

#include "mh_messages.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    MH_FRAME_MORE = 0, /* no frame has ended */
    MH_FRAME_READY,    /* a good frame is in data */
    MH_FRAME_BAD       /* a frame has ended that is not good: see error, detail */
} mh_frame_event;

/* Set it to zero to begin. After MH_FRAME_READY data holds type, seq and payload_bytes of payload
 * until the next push, and the whole of data may be used as a buffer until then. */
typedef struct {
    uint8_t data[MH_MAX_FRAME];
    uint32_t crc;
    uint32_t detail;
    uint16_t length; /* decoded bytes of the frame that is arriving */
    uint16_t payload_bytes;
    uint8_t left;    /* bytes up to the next COBS code */
    uint8_t started; /* a byte of the frame has arrived */
    uint8_t zero;    /* a zero follows the block if another block does */
    uint8_t too_long;
    uint8_t error; /* MH_E_BAD_CRC, MH_E_TOO_LONG or MH_E_TRUNCATED */
} mh_decoder;

typedef void (*mh_write_fn)(const uint8_t *src, uint32_t n);

/* crc32 of zlib; begin with 0, pass the last result to go on. */
uint32_t mh_crc32(uint32_t crc, const uint8_t *src, uint32_t n);

/* One byte off the wire. Every error ends at the next delimiter: the decoder is in step again. */
mh_frame_event mh_decoder_push(mh_decoder *decoder, uint8_t byte);

/* Sends frame = type, seq, payload; it must have room for the crc32 behind the payload. */
void mh_frame_send(uint8_t *frame, uint16_t payload_bytes, mh_write_fn write);

#ifdef __cplusplus
}
#endif
#endif
