/* Takes a request and writes its answer (mh_payloads.h). For the harness's own files. */
#ifndef MH_REPLY_H
#define MH_REPLY_H

#include <stdint.h>

#include "mh_messages.h"

/* Takes one byte off the wire. Where it completes a good frame: its type, and payload and n are
 * set; the payload lies in the buffer that the first mh_put overwrites. 0 where there is none. A
 * bad frame is answered with an error frame here and counted. */
uint8_t mh_receive(uint8_t byte, const uint8_t **payload, uint16_t *n);
uint32_t mh_frame_errors(uint8_t clear);

/* A struct of mh_payloads.h, or a part of a tensor. */
void mh_put_bytes(const void *src, uint32_t n);
void mh_put_text(const char *text);
/* Payload bytes that still fit. */
uint32_t mh_room(void);

/* Tells the host that its request is being worked on, in this layer; nothing that was put is lost.
 * From an interrupt too: says nothing where that came in the middle of a frame. */
void mh_acknowledge(uint16_t layer);
/* Sends what was put, with this type and the request's seq. */
void mh_send(uint8_t type);
/* The same with the type that answers this request. */
void mh_ok(uint8_t request_type);
/* Drops what was put and sends an error frame. */
void mh_fail(uint8_t code, uint32_t detail);

#endif
