/* What an engine offers to the harness. Implemented by the generated model.c (engine aot) and by the
 * TFLM application (engine tflm); the harness knows nothing else about the model. */
#ifndef MH_MODEL_H
#define MH_MODEL_H

#include "mh_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MH_NO_OUTPUT 0xFFu

typedef struct {
    void *data;
    uint32_t bytes;
} mh_buffer;

typedef struct {
    uint8_t digest[32];   /* sha256 of the .tflite file */
    uint32_t arena_bytes; /* planned arena (aot) or arena_used_bytes (tflm, valid after init) */
    uint16_t layers;      /* number of executed operators, as mh_model_run reports them */
    uint8_t inputs;       /* inputs that the host must write */
    uint8_t outputs;
    uint8_t logits;  /* output that holds the int8 class logits, or MH_NO_OUTPUT */
    uint8_t route;   /* output that holds the int8 route score, or MH_NO_OUTPUT */
    uint8_t entropy; /* output that holds the int32 entropy (nats, Q16), or MH_NO_OUTPUT */
} mh_model_info;

/* Called after each operator with its (first) output; NULL for none. */
typedef void (*mh_layer_hook)(void *ctx, uint16_t layer, const void *out, uint32_t out_bytes);

extern mh_model_info mh_model;
/* The operator that runs now (0xFFFF: none); read by the fault handler. */
extern volatile uint16_t mh_layer_now;

mh_status mh_model_init(void);
mh_buffer mh_model_input(uint8_t index);
mh_buffer mh_model_output(uint8_t index);
mh_status mh_model_run(mh_layer_hook hook, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
