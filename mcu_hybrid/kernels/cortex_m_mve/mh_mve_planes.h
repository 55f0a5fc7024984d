/* Shared by the depthwise kernels; not part of the API. */
#ifndef MH_MVE_PLANES_H
#define MH_MVE_PLANES_H

#include "mh_mve_planes_job.h"
#include "mh_nn_mve.h"

typedef void (*mh_mve_planes_start)(const mh_mve_planes_job *job);

/* The products, and rows of output that they compute together. */
struct mh_mve_planes_form {
    mh_mve_planes_start start;
    int32_t rows;
};

#endif
