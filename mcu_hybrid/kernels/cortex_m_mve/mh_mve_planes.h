/* Shared by the depthwise kernels; not part of the API. */
#ifndef MH_MVE_PLANES_H
#define MH_MVE_PLANES_H

#include "mh_nn_mve.h"

/* Read by the assembly: the order of the fields is fixed. */
typedef struct {
    const uint32_t *stream;
    const int8_t *plane;
    int8_t *out;
    int32_t weight_bytes;
    int32_t plane_bytes; /* from channel to channel; 0: all see the same plane */
    int32_t chunks;      /* of 8 outputs, but for the last */
    uint32_t first_mask, last_mask;
    int32_t channels;
    int32_t step;     /* from column to column of outputs, in the plane */
    int32_t out_step; /* from chunk to chunk */
    int32_t zp;
    const uint8_t *lanes;
    const uint16_t *places; /* where the outputs of a chunk go */
} mh_mve_planes_job;

typedef void (*mh_mve_planes_start)(const mh_mve_planes_job *job);

#define MH_MVE_PLANES_DECLARE(form, rows, stride, vectors)                                         \
    void mh_mve_planes_##form##_##rows##_##stride##_##vectors(const mh_mve_planes_job *job);
MH_MVE_DEPTHWISE(MH_MVE_PLANES_DECLARE)
#undef MH_MVE_PLANES_DECLARE

#endif
