/* ADD and SUB as one exact linear form: four elements in 19 instructions. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"
#include "mh_nn_fast_ew.h"

typedef struct {
    const int8_t *a, *b;
    int8_t *out;
    int32_t a_mul, b_mul, start;
} add_job;

void mh_add_blocks(const add_job *job, int32_t blocks);

/* clang-format off */
/* r0 a, r1 b, r2 out, r3 r4 multipliers, r5 start, r6 0xff00ff00, r7-r12 values; elements 1 and 3 of
 * a word in place, 0 and 2 shifted up. SEL takes bytes 1 and 3 from its first operand. */
#define FOUR(a, b, to)                                                                             \
    "and r11, r6, " a "\n and " a ", r6, " a ", lsl #8\n"                                          \
    "and r12, r6, " b "\n and " b ", r6, " b ", lsl #8\n"                                          \
    "smlawb lr, r3, r11, r5\n smlawt r11, r3, r11, r5\n"                                           \
    "smlawb lr, r4, r12, lr\n smlawt r11, r4, r12, r11\n"                                          \
    "smlawb r12, r3, " a ", r5\n smlawt " a ", r3, " a ", r5\n"                                    \
    "smlawb r12, r4, " b ", r12\n smlawt " a ", r4, " b ", " a "\n"                                \
    "pkhtb r11, r11, lr, asr #16\n pkhtb " a ", " a ", r12, asr #16\n"                             \
    "ssat16 r11, #8, r11\n ssat16 " a ", #8, " a "\n"                                              \
    "lsl r11, r11, #8\n sel " to ", r11, " a "\n"
#define EIGHT                                                                                      \
    "ldr r8, [r0, #4]\n ldr r10, [r1, #4]\n ldr r7, [r0], #8\n ldr r9, [r1], #8\n"                 \
    FOUR("r7", "r9", "r7") FOUR("r8", "r10", "r8")                                                 \
    "str r8, [r2, #4]\n str r7, [r2], #8\n"

__asm__(FUNCTION("mh_add_blocks")
        "push {r4-r11, lr}\n push {r1}\n"
        "ldm r0, {r0-r5}\n mov r6, #0xff00ff00\n"
        "uadd8 r7, r6, r6\n" /* for SEL: carries of bytes 1 and 3 */
        "1:\n" EIGHT "ldr r12, [sp]\n subs r12, r12, #1\n str r12, [sp]\n bne 1b\n"
        "pop {r1}\n pop {r4-r11, pc}\n" END);
/* clang-format on */

static int32_t scaled(int8_t value, int32_t mul)
{
    return (int32_t)(((int64_t)(value * 256) * mul) >> 16);
}

static void add_run(const void *params, const int8_t *a, const int8_t *b, int8_t *out, int32_t size)
{
    const mh_add_fast_params *p = params;
    const int32_t blocks = size / 8;
    if (blocks > 0) {
        const add_job job = {a, b, out, p->a_mul, p->b_mul, p->start};
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
