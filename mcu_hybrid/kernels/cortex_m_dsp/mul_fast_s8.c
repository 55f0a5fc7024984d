/* MUL with TFLite's own two roundings, rearranged: four elements in 36 instructions. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_ew_job.h"
#include "mh_nn_fast_ew.h"

void mh_mul_blocks(const mh_mul_job *job, int32_t blocks);

static void mul_run(const void *params, const int8_t *a, const int8_t *b, int8_t *out, int32_t size)
{
    const mh_mul_fast_params *p = params;
    const int32_t blocks = size / 4;
    if (blocks > 0) {
        const mh_mul_job job = {a,
                                b,
                                out,
                                (uint32_t)(p->a_offset & 0xffff) * 0x10001u,
                                (uint32_t)(p->b_offset & 0xffff) * 0x10001u,
                                p->mult,
                                p->addend,
                                p->right};
        mh_mul_blocks(&job, blocks);
    }
    for (int32_t i = 4 * blocks; i < size; i++) {
        const int32_t twice = 2 * (a[i] + p->a_offset) * (b[i] + p->b_offset);
        const int32_t high = (int32_t)(((int64_t)twice * p->mult + ((int64_t)1 << 31)) >> 32);
        const int32_t value = (high + p->addend + (twice >> 31)) >> p->right;
        out[i] = (int8_t)mh_clamp(value, INT8_MIN, INT8_MAX);
    }
}

mh_status mh_mul_fast_s8(const mh_mul_fast_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                         void *scratch)
{
    (void)scratch;
    mh_bound(out, mh_each_run(p->loops, mul_run, p, a, b, out), p->lo, p->hi);
    return MH_OK;
}
