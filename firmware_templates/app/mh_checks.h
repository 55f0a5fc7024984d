/* What looks into a run of the model: the layer profile and the self-test. */
#ifndef MH_CHECKS_H
#define MH_CHECKS_H

#include "mh_types.h"

/* Runs the model once on the input that has been written; sends a row per layer, puts the sums.
 * overran: the layer that wrote past the arena, or MH_NO_LAYER. */
mh_status mh_profile(uint16_t *overran);
/* Runs the known-answer vectors; puts the result. */
mh_status mh_self_test(void);
/* Writes the words on either side of the arena. */
void mh_guard_set(void);
/* 1 where they are as they were written. */
uint8_t mh_guard_holds(void);
/* Answers with the crc32 of a part of the image. */
void mh_image_crc(const uint8_t *payload, uint16_t n);

#endif
