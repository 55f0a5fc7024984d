/* What looks into a run of the model: the layer profile and the self-test. */
#ifndef MH_CHECKS_H
#define MH_CHECKS_H

#include "mh_types.h"

/* Runs the model once on the input that has been written; sends a row per layer, puts the sums. */
mh_status mh_profile(void);
/* Runs the known-answer vectors; puts the result. */
mh_status mh_self_test(void);

#endif
