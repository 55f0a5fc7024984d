/* ADD and SUB as one exact linear form: four elements in 19 instructions. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_ew_job.h"
#include "mh_nn_fast_ew.h"

void mh_add_blocks(const mh_add_job *job, int32_t blocks);

static int32_t scaled(int8_t value, int32_t mul)
{
    return (int32_t)(((int64_t)(value * 256) * mul) >> 16); /* as SMLAW of a byte left in place */
}

static void add_run(const void *params, const int8_t *a, const int8_t *b, int8_t *out, int32_t size)
{
    const mh_add_fast_params *p = params;
    const int32_t blocks = size / 8;
    if (blocks > 0) {
        const mh_add_job job = {a, b, out, p->a_mul, p->b_mul, p->start};
        mh_add_blocks(&job, blocks);
    }
    for (int32_t i = 8 * blocks; i < size; i++) {
        const int32_t sum = scaled(a[i], p->a_mul) + scaled(b[i], p->b_mul) + p->start;
        out[i] = (int8_t)mh_clamp(sum >> 16, INT8_MIN, INT8_MAX);
    }
}

mh_status mh_add_fast_s8(const mh_add_fast_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                         void *scratch)
{
    (void)scratch;
    mh_bound(out, mh_each_run(p->loops, add_run, p, a, b, out), p->lo, p->hi);
    return MH_OK;
}
