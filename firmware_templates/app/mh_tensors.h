/* The model's inputs and outputs: written and read in pieces, used up by a run. */
#ifndef MH_TENSORS_H
#define MH_TENSORS_H

#include <stdint.h>

#define MH_MAX_INPUTS 8u /* a counter each; a model with more fails at the start (mh_infer.c) */

/* Each answers one request; the table in mh_harness.c has checked the payload's length. */
void mh_tensor_info(const uint8_t *payload, uint16_t n);
void mh_write_input(const uint8_t *payload, uint16_t n);
void mh_read_output(const uint8_t *payload, uint16_t n);

/* 1 where all inputs are written; otherwise answers with an error frame. */
uint8_t mh_inputs_complete(void);
/* A run leaves nothing of its inputs in the arena; has_result: and has left outputs. */
void mh_tensors_used(uint8_t has_result);
/* 1 as long as the outputs of the last run are there: an input may lie over them. */
uint8_t mh_outputs_valid(void);
/* Bytes of all outputs. */
uint32_t mh_output_bytes(void);

#endif
