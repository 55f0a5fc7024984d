/* The requests that work on the model: inference, decision, counters. Its tensors: mh_tensors.h. */
#ifndef MH_INFER_H
#define MH_INFER_H

#include <stdint.h>

#include "mh_types.h"

/* Sets up the model, the route of the build and the clock's calibration. */
void mh_infer_init(void);
mh_status mh_model_status(void);
/* What the host set last; 0 where none did since the start. */
uint32_t mh_session(void);
/* 1 where status is MH_OK; otherwise answers with an error frame. */
uint8_t mh_model_ok(mh_status status);

/* Each answers one request; the table in mh_harness.c has checked the payload's length. */
void mh_infer(const uint8_t *payload, uint16_t n);
void mh_run_profile(const uint8_t *payload, uint16_t n);
void mh_run_self_test(const uint8_t *payload, uint16_t n);
void mh_set_session(const uint8_t *payload, uint16_t n);
void mh_route(const uint8_t *payload, uint16_t n);
void mh_send_stats(const uint8_t *payload, uint16_t n);
void mh_reset_stats(const uint8_t *payload, uint16_t n);

#endif
