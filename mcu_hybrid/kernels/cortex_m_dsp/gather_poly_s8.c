/* Four channels of a row of pixels to four planes of words x0 + x1 * 2^21 (depthwise_poly_s8.c). */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"

/* clang-format off */

/* r8 r9: channels 1, 3 and r4 r5: channels 0, 2 of pixels r4, r5, the second's shifted by 5. */
#define WIDEN(a, b, odd_a, odd_b)                                                                  \
    "sxtab16 " odd_a ", r3, " a ", ror #8\n sxtab16 " odd_b ", r3, " b ", ror #8\n"                \
    "sxtab16 " a ", r3, " a "\n sxtab16 " b ", r3, " b "\n"                                        \
    "lsl " odd_b ", " odd_b ", #5\n lsl " b ", " b ", #5\n"

#define PAIR                                                                                       \
    WIDEN("r4", "r5", "r8", "r9")                                                                  \
    "pkhbt r6, r4, r5, lsl #16\n pkhtb r5, r5, r4, asr #16\n"                                      \
    "pkhbt r7, r8, r9, lsl #16\n pkhtb r9, r9, r8, asr #16\n"                                      \
    "str r5, [r2, #128]\n str r7, [r2, #64]\n str r9, [r2, #192]\n str r6, [r2], #4\n"

#define LOAD4                                                                                      \
    "ldr r4, [r0]\n ldr r5, [r0, r1]\n add r0, r0, r1, lsl #1\n"                                   \
    "ldr r6, [r0]\n ldr r7, [r0, r1]\n add r0, r0, r1, lsl #1\n"
#define QUAD                                                                                       \
    LOAD4 WIDEN("r4", "r5", "r8", "r9") WIDEN("r6", "r7", "r10", "r11")                            \
    "pkhbt r12, r4, r5, lsl #16\n pkhtb r4, r5, r4, asr #16\n"                                     \
    "pkhbt r5, r6, r7, lsl #16\n pkhtb r6, r7, r6, asr #16\n"                                      \
    "strd r12, r5, [r2], #8\n strd r4, r6, [r2, #120]\n"                                           \
    "pkhbt r4, r8, r9, lsl #16\n pkhtb r8, r9, r8, asr #16\n"                                      \
    "pkhbt r5, r10, r11, lsl #16\n pkhtb r10, r11, r10, asr #16\n"                                 \
    "strd r4, r5, [r2, #56]\n strd r8, r10, [r2, #184]\n"

__asm__(FUNCTION("mh_gather_poly1")
        "push {r4-r11, lr}\n sub sp, #28\n"
        "ldm r0, {r0-r10}\n stm sp, {r4-r10}\n"
        "1:\n ldm sp, {r4, r5, r6}\n add lr, r2, r6\n cbz r4, 2f\n"
        "mov r4, r5\n ldr r5, [r0]\n add r0, r0, r1\n add lr, lr, #4\n" PAIR
        "2:\n cmp r2, lr\n beq 4f\n"
        "3:\n" QUAD "cmp r2, lr\n bne 3b\n"
        "4:\n ldr r6, [sp, #12]\n cmp r6, #1\n blo 6f\n beq 5f\n"
        "ldr r4, [r0]\n ldr r5, [r0, r1]\n add r0, r0, r1, lsl #1\n" PAIR
        "ldr r6, [sp, #12]\n cmp r6, #3\n bne 6f\n"
        "5:\n ldr r4, [r0]\n ldr r5, [sp, #4]\n" PAIR
        "6:\n add r4, sp, #16\n ldm r4, {r4, r5, r6}\n add r0, r0, r4\n add r2, r2, r5\n"
        "subs r6, r6, #1\n str r6, [sp, #24]\n bne 1b\n"
        "add sp, #28\n pop {r4-r11, pc}\n" END);

/* Some pixels of a quad, by the mask in r8. */
#define LOAD_SOME                                                                                  \
    "ldr r4, [sp, #4]\n mov r5, r4\n mov r6, r4\n mov r7, r4\n"                                    \
    "lsrs r8, r8, #1\n itt cs\n ldrcs r4, [r0]\n addcs r0, r0, r1\n"                               \
    "lsrs r8, r8, #1\n itt cs\n ldrcs r5, [r0]\n addcs r0, r0, r1\n"                               \
    "lsrs r8, r8, #1\n itt cs\n ldrcs r6, [r0]\n addcs r0, r0, r1\n"                               \
    "lsrs r8, r8, #1\n itt cs\n ldrcs r7, [r0]\n addcs r0, r0, r1\n"

__asm__(FUNCTION("mh_gather_poly2")
        "push {r4-r11, lr}\n sub sp, #28\n"
        "ldm r0, {r0-r10}\n stm sp, {r4-r10}\n"
        "1:\n ldr r8, [sp]\n ldr r6, [sp, #8]\n add lr, r2, r6\n cmp r8, #0\n beq 4f\n"
        LOAD_SOME "b 3f\n"
        "2:\n" LOAD4
        /* Columns 0 and 2 to the even words, 1 and 3 to the odd ones. */
        "3:\n" WIDEN("r4", "r6", "r8", "r10") WIDEN("r5", "r7", "r9", "r11")
        "pkhbt r12, r5, r7, lsl #16\n str r12, [r2, #256]\n"
        "pkhtb r12, r7, r5, asr #16\n str r12, [r2, #384]\n"
        "pkhbt r12, r9, r11, lsl #16\n str r12, [r2, #320]\n"
        "pkhtb r12, r11, r9, asr #16\n str r12, [r2, #448]\n"
        "pkhtb r12, r6, r4, asr #16\n str r12, [r2, #128]\n"
        "pkhbt r12, r8, r10, lsl #16\n str r12, [r2, #64]\n"
        "pkhtb r12, r10, r8, asr #16\n str r12, [r2, #192]\n"
        "pkhbt r12, r4, r6, lsl #16\n str r12, [r2], #4\n"
        "4:\n cmp r2, lr\n blo 2b\n bhi 5f\n"
        "ldr r8, [sp, #12]\n cmp r8, #0\n beq 5f\n" LOAD_SOME "b 3b\n"
        "5:\n add r4, sp, #16\n ldm r4, {r4, r5, r6}\n add r0, r0, r4\n add r2, r2, r5\n"
        "subs r6, r6, #1\n str r6, [sp, #24]\n bne 1b\n"
        "add sp, #28\n pop {r4-r11, pc}\n" END);
/* clang-format on */

void mh_gather_poly1_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                           int32_t segment_bytes)
{
    mh_gather_begin(job, p, span, segment_bytes);
    job->offset = 0x00800080u;
}

void mh_gather_poly2_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                           int32_t segment_bytes)
{
    const uint32_t lead = (uint32_t)span->pad & 3u;
    const int32_t first = lead == 0 ? 0 : (int32_t)(4u - lead); /* pixels of the first quad */
    const int32_t cut = span->count < first ? first - span->count : 0;
    const int32_t rest = span->count - (first - cut);
    const int32_t quads = rest / 4 + (lead != 0);
    job->pixel_bytes = p->in_pixel;
    job->offset = 0x00800080u;
    job->lead = lead == 0 ? 0 : (int32_t)((0xfu >> cut) & (0xfu << lead));
    job->padding = (uint32_t)(p->in_zp & 0xff) * 0x01010101u;
    job->quad_bytes = 4 * quads;
    job->tail = (1 << (rest & 3)) - 1;
    job->src_step = p->in_row - span->count * p->in_pixel;
    job->dst_step = 2 * segment_bytes - 4 * (quads + (job->tail != 0));
    job->dst_skip = span->pad / 4 * 4;
}
