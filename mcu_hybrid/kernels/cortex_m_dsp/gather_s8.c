/* Four channels of a row of pixels to four planes of int16, in words of two neighbours. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"

/* clang-format off */

/* Pixels r4, r5 -> one word to each plane. */
#define PAIR(p)                                                                                    \
    "sxtab16 r8, r3, r4, ror #8\n sxtab16 r9, r3, r5, ror #8\n"                                    \
    "sxtab16 r4, r3, r4\n sxtab16 r5, r3, r5\n"                                                    \
    "pkhbt r6, r4, r5, lsl #16\n pkhtb r5, r5, r4, asr #16\n"                                      \
    "pkhbt r7, r8, r9, lsl #16\n pkhtb r9, r9, r8, asr #16\n"                                      \
    "str r5, [r2, #(2 * " p ")]\n str r7, [r2, #" p "]\n"                                          \
    "str r9, [r2, #(3 * " p ")]\n str r6, [r2], #4\n"

#define QUAD(p)                                                                                    \
    "ldr r4, [r0]\n ldr r5, [r0, r1]\n add r0, r0, r1, lsl #1\n"                                   \
    "ldr r6, [r0]\n ldr r7, [r0, r1]\n add r0, r0, r1, lsl #1\n"                                   \
    "sxtab16 r8, r3, r4, ror #8\n sxtab16 r9, r3, r5, ror #8\n"                                    \
    "sxtab16 r10, r3, r6, ror #8\n sxtab16 r11, r3, r7, ror #8\n"                                  \
    "sxtab16 r4, r3, r4\n sxtab16 r5, r3, r5\n sxtab16 r6, r3, r6\n sxtab16 r7, r3, r7\n"          \
    "pkhbt r12, r4, r5, lsl #16\n pkhtb r4, r5, r4, asr #16\n"                                     \
    "pkhbt r5, r6, r7, lsl #16\n pkhtb r6, r7, r6, asr #16\n"                                      \
    "strd r12, r5, [r2], #8\n strd r4, r6, [r2, #(2 * " p " - 8)]\n"                               \
    "pkhbt r4, r8, r9, lsl #16\n pkhtb r8, r9, r8, asr #16\n"                                      \
    "pkhbt r5, r10, r11, lsl #16\n pkhtb r10, r11, r10, asr #16\n"                                 \
    "strd r4, r5, [r2, #(" p " - 8)]\n strd r8, r10, [r2, #(3 * " p " - 8)]\n"

#define GATHER(name, p)                                                                            \
    __asm__(FUNCTION(name)                                                                         \
        "push {r4-r11, lr}\n sub sp, #28\n"                                                        \
        "ldm r0, {r0-r10}\n stm sp, {r4-r10}\n"                                                    \
        "1:\n ldm sp, {r4, r5, r6}\n add lr, r2, r6\n cbz r4, 2f\n"                                \
        "mov r4, r5\n ldr r5, [r0]\n add r0, r0, r1\n add lr, lr, #4\n" PAIR(p)                    \
        "2:\n cmp r2, lr\n beq 4f\n"                                                               \
        "3:\n" QUAD(p) "cmp r2, lr\n bne 3b\n"                                                     \
        "4:\n ldr r6, [sp, #12]\n cmp r6, #1\n blo 6f\n beq 5f\n"                                  \
        "ldr r4, [r0]\n ldr r5, [r0, r1]\n add r0, r0, r1, lsl #1\n" PAIR(p)                       \
        "ldr r6, [sp, #12]\n cmp r6, #3\n bne 6f\n"                                                \
        "5:\n ldr r4, [r0]\n ldr r5, [sp, #4]\n" PAIR(p)                                           \
        "6:\n add r4, sp, #16\n ldm r4, {r4, r5, r6}\n add r0, r0, r4\n add r2, r2, r5\n"          \
        "subs r6, r6, #1\n str r6, [sp, #24]\n bne 1b\n"                                           \
        "add sp, #28\n pop {r4-r11, pc}\n" END)

GATHER("mh_gather_w64", "64");
GATHER("mh_gather_w128", "128");

__asm__(FUNCTION("mh_fill_words")
        "push {r4-r7}\n mov r3, r1\n mov r4, r1\n mov r5, r1\n"
        "subs r2, r2, #32\n blt 2f\n"
        "1:\n stmia r0!, {r1, r3, r4, r5}\n stmia r0!, {r1, r3, r4, r5}\n"
        "subs r2, r2, #32\n bge 1b\n"
        "2:\n adds r2, r2, #32\n beq 4f\n"
        "3:\n str r1, [r0], #4\n subs r2, r2, #4\n bne 3b\n"
        "4:\n pop {r4-r7}\n bx lr\n" END);

__asm__(FUNCTION("mh_copy_words")
        "push {r4-r7}\n"
        "subs r2, r2, #16\n blt 2f\n"
        "1:\n ldmia r1!, {r4-r7}\n stmia r0!, {r4-r7}\n subs r2, r2, #16\n bge 1b\n"
        "2:\n adds r2, r2, #16\n beq 4f\n"
        "3:\n ldr r3, [r1], #4\n str r3, [r0], #4\n subs r2, r2, #4\n bne 3b\n"
        "4:\n pop {r4-r7}\n bx lr\n" END);

/* clang-format on */

mh_span mh_columns(const mh_dw_params *p, int32_t x, int32_t width, int32_t stride)
{
    const int32_t begin = x * stride - p->pad_left;
    const int32_t end = begin + (width - 1) * stride + p->kernel_w;
    mh_span span;
    span.first = begin < 0 ? 0 : begin;
    span.count = (end < p->in_w ? end : p->in_w) - span.first;
    span.pad = span.first - begin;
    return span;
}

void mh_gather_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                     int32_t row_bytes)
{
    const int32_t lead = span->pad & 1;
    const int32_t rest = span->count - lead;
    const int32_t stepped = lead + (rest & ~1);
    job->pixel_bytes = p->in_pixel;
    job->offset = (uint32_t)(-p->in_zp & 0xffff) * 0x10001u;
    job->lead = lead;
    job->padding = (uint32_t)(p->in_zp & 0xff) * 0x01010101u;
    job->quad_bytes = 8 * (rest / 4);
    job->tail = rest & 3;
    job->src_step = p->in_row - stepped * p->in_pixel;
    job->dst_step = row_bytes - 4 * (lead + (rest + 1) / 2);
    job->dst_skip = span->pad / 2 * 4;
}
