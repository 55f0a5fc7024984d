/* The tiles of all matrix kernels, whose loops are assembly (mve_tile_s8.S). */
#include "mh_mve.h"

#define TILE(form, tail)                                                                           \
    void mh_mve_pairs_##form##tail(const mh_mve_job *job);                                         \
    void mh_mve_singles_##form##tail(const mh_mve_job *job);                                       \
    const mh_mve_form mh_form_mve_##form##tail = {mh_mve_pairs_##form##tail,                       \
                                                  mh_mve_singles_##form##tail};
MH_MVE_FORMS(TILE)
