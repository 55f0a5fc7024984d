/* The tile of gemm_s8.c for little code: few unrolled steps, and a single pixel is three times the
 * same. */
#include "mh_small.h" /* before all others */
#include "mh_tile.h"

#define STEPS3 2 /* unrolled steps of three pixels */

void mh_gemm3_small(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_small_loop(void);
void mh_tail3_exact_small(void);

static uint32_t *widen1(const int8_t *a, uint32_t *column, int32_t groups)
{
    return mh_widen3(a, a, a, column, groups);
}

/* clang-format off */
GEMM3("mh_gemm3_small", STEPS3);
EXACT3("mh_tail3_exact_small", "mh_gemm3_small");

static const mh_gemm_tile tile = {mh_gemm3_small, mh_gemm3_small, widen1, mh_gemm3_small_loop,
                                  STEPS3, NULL, NULL, 1, 0};

#define FORMS(s)                                                                                   \
    LINE3("mh_tail3_line" #s "_small", "mh_gemm3_small", s);                                       \
    FINE3("mh_tail3_fine" #s "_small", "mh_gemm3_small", s);                                       \
    void mh_tail3_line##s##_small(void);                                                           \
    void mh_tail3_fine##s##_small(void);                                                           \
    FORM(line##s##_small, &tile, mh_tail3_line##s##_small, NULL)                                   \
    FORM(fine##s##_small, &tile, mh_tail3_fine##s##_small, NULL)
MH_FAST_SHIFTS(FORMS)
FORM(exact_small, &tile, mh_tail3_exact_small, NULL)
/* clang-format on */
