/* Shared by the depthwise kernels; not part of the API. */
#ifndef MH_MVE_PLANES_H
#define MH_MVE_PLANES_H

#include "mh_mve_planes_job.h"
#include "mh_nn_mve.h"

typedef void (*mh_mve_planes_start)(const mh_mve_planes_job *job);

#define MH_MVE_PLANES_DECLARE(form, rows, stride, vectors)                                         \
    void mh_mve_planes_##form##_##rows##_##stride##_##vectors(const mh_mve_planes_job *job);
MH_MVE_DEPTHWISE(MH_MVE_PLANES_DECLARE)
#undef MH_MVE_PLANES_DECLARE

#endif
