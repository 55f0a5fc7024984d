/* The tile of three pixels for little code: few unrolled steps (gemm_small_s8.c). */
#include "mh_tile_asm.h"

GEMM3 mh_gemm3_small, MH_STEPS3_SMALL
EXACT3 mh_tail3_exact_small, mh_gemm3_small
LINES3 mh_gemm3_small, _small
