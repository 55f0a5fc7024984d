/* The tile of gemm_small_s8.S, for little code: few unrolled steps, and a single pixel is three
 * times the same. */
#include "mh_small.h" /* before all others */
#include "mh_gemm.h"

void mh_gemm3_small(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_small_loop(void);
void mh_tail3_exact_small(void);

static uint32_t *widen1(const int8_t *a, uint32_t *column, int32_t groups)
{
    return mh_widen3(a, a, a, column, groups);
}

static const mh_gemm_tile tile = {
    mh_gemm3_small, mh_gemm3_small, widen1, mh_gemm3_small_loop, MH_STEPS3_SMALL, NULL, NULL, 1, 0};

#define FORMS(s)                                                                                   \
    void mh_tail3_line##s##_small(void);                                                           \
    void mh_tail3_fine##s##_small(void);                                                           \
    MH_FORM_DEFINE(line##s##_small, &tile, mh_tail3_line##s##_small, NULL)                         \
    MH_FORM_DEFINE(fine##s##_small, &tile, mh_tail3_fine##s##_small, NULL)
MH_FAST_SHIFTS(FORMS)
MH_FORM_DEFINE(exact_small, &tile, mh_tail3_exact_small, NULL)
