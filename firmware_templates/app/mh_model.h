/* What an engine offers to the harness. Implemented by the generated model.c (engine aot) and by
 * the TFLM application (engine tflm); the harness knows nothing else about the model. */
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
    uint8_t logits;    /* output that holds the int8 class logits, or MH_NO_OUTPUT */
    uint8_t route;     /* output that holds the int8 route score, or MH_NO_OUTPUT */
    uint8_t scores;    /* output that holds the int32 scores of the routers from
                        * MH_FIRST_SCORED_ROUTER on (mh_messages.h), or MH_NO_OUTPUT */
    uint8_t router;    /* router at reset: one of MH_ROUTER_... */
    int32_t threshold; /* at reset; an input is for the cloud where its score > threshold */
} mh_model_info;

/* A known answer: the inputs, in order, are the bytes x >> 24 of x = x * 1664525 + 1013904223
 * (x starts at seed); crc is the crc32 (zlib) over all outputs, in order. */
typedef struct {
    uint32_t seed;
    uint32_t crc;
} mh_kat_vector;

/* A part of the network behind which one can stop. */
typedef struct {
    uint16_t first; /* number of its first layer, as mh_model_run reports them */
    uint16_t layers;
    uint8_t core;   /* number of the core that it is meant for */
    uint32_t exits; /* bit i: output i can be read from its end until the next segment runs */
    mh_buffer cut;  /* what the next segment goes on from; NULL behind the last */
} mh_segment;

/* Called after each operator with its (first) output; NULL for none. */
typedef void (*mh_layer_hook)(void *ctx, uint16_t layer, const void *out, uint32_t out_bytes);

extern mh_model_info mh_model;
extern const mh_kat_vector mh_kat[];
extern const uint16_t mh_kat_count;
/* The operator that runs now (0xFFFF: none); read by the fault handler. */
extern volatile uint16_t mh_layer_now;

mh_status mh_model_init(void);
mh_buffer mh_model_input(uint8_t index);
mh_buffer mh_model_output(uint8_t index);
mh_status mh_model_run(mh_layer_hook hook, void *ctx);

/* Only of a model that was compiled into several segments; one after the other, from 0 on (any time
 * from 0 again): MH_ERR_ARG for another order. mh_model_run runs all of them, and refuses with
 * MH_ERR_SUPPORT where outputs would be gone when it returned. */
extern const mh_segment mh_segments[];
extern const uint8_t mh_segment_count;
mh_status mh_model_run_segment(uint8_t index, mh_layer_hook hook, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
