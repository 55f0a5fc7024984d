/* Sums of products of 4 channels by 2 pixels (or 1): the inner loops of the matrix kernels. */
#include "mh_plain.h"

#if defined(__thumb2__)

/* One input of both pixels (r0, r1) with the weights (r2) of four channels. The last input of a
 * step is number 0, so that it can move the pointers. */
#define MLA2(c, k, pixel0, pixel1)                                                                 \
    "ldrsb lr, [r2, #4*" #c "+" #k "]\n mla " #pixel0 ", r3, lr, " #pixel0 "\n mla " #pixel1       \
    ", r12, lr, " #pixel1 "\n"
#define INPUT2(k)                                                                                  \
    "ldrsb r3, [r0, #" #k "]\n ldrsb r12, [r1, #" #k "]\n" MLA2(3, k, r7, r11) MLA2(2, k, r6, r10) \
        MLA2(1, k, r5, r9) MLA2(0, k, r4, r8)

/* Four steps' inputs; r2 moves on to the next step of weights. */
#define STEP2                                                                                      \
    INPUT2(3)                                                                                      \
    INPUT2(2)                                                                                      \
    INPUT2(1)                                                                                      \
    "ldrsb r3, [r0], #4\n ldrsb r12, [r1], #4\n" MLA2(3, 0, r7, r11) MLA2(2, 0, r6, r10)           \
        MLA2(1, 0, r5, r9) "ldrsb lr, [r2], #16\n mla r4, r3, lr, r4\n mla r8, r12, lr, r8\n"

__attribute__((naked)) void mh_plain_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights,
                                          const int8_t *end, const int32_t *start, int32_t *sums)
{
    (void)x0, (void)x1, (void)weights, (void)end, (void)start, (void)sums;
    __asm__ volatile("push {r3-r11, lr}\n"
                     "ldr r4, [sp, #40]\n"
                     "ldm r4, {r4-r7}\n"
                     "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
                     "1:\n" STEP2 "ldr r3, [sp]\n"
                     "cmp r2, r3\n"
                     "bne 1b\n"
                     "ldr r0, [sp, #44]\n"
                     "stm r0, {r4-r11}\n"
                     "pop {r3-r11, pc}\n");
}

/* A channel of both pixels: r3 its constants, r0 where pixel 0 goes, r1 from there to pixel 1.
 * A shift by a register takes its lowest byte. */
#define LINE_HIGH(sum) "smull " #sum ", lr, " #sum ", r2\n adds " #sum ", r12\n adc lr, #0\n"
#define LINE(pixel0, pixel1)                                                                       \
    "ldrd r2, r12, [r3], #8\n" LINE_HIGH(pixel0) "asr lr, r12\n ssat lr, #8, lr\n strb lr, [r0], " \
                                                 "#1\n" LINE_HIGH(                                 \
                                                     pixel1) "asr lr, r12\n ssat lr, #8, lr\n "    \
                                                             "strb lr, [r0, r1]\n"
#define EXACT_HIGH(sum)                                                                            \
    "add r1, r12, " #sum ", asr #31\n lsl " #sum ", #1\n smull " #sum ", lr, " #sum ", r2\n"       \
    "adds " #sum ", #0x80000000\n adc lr, r1\n"
#define EXACT(pixel0, pixel1)                                                                      \
    "ldrd r2, r12, [r3], #8\n" EXACT_HIGH(                                                         \
        pixel0) "ldr " #pixel0 ", [r3], #4\n"                                                      \
                "asr lr, " #pixel0 "\n ssat lr, #8, lr\n strb lr, [r0], #1\n" EXACT_HIGH(          \
                    pixel1) "ldr r1, [sp, #24]\n asr lr, " #pixel0                                 \
                            "\n ssat lr, #8, lr\n strb lr, [r0, r1]\n"

__attribute__((naked)) void mh_plain_groups2(const mh_plain_job *job)
{
    (void)job;
    __asm__ volatile("push {r4-r11, lr}\n"
                     "sub sp, #44\n"
                     "ldm r0, {r1-r9}\n" /* the job on the stack, and at 36 the group's end */
                     "stm sp, {r1-r9}\n"
                     "1:\n"
                     "ldrd r2, r3, [sp, #8]\n"
                     "add r3, r2\n"
                     "str r3, [sp, #36]\n"
                     "ldr r3, [sp, #16]\n"
                     "ldm r3!, {r4-r7}\n"
                     "str r3, [sp, #16]\n"
                     "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
                     "ldrd r0, r1, [sp]\n"
                     "2:\n" STEP2 "ldr r3, [sp, #36]\n"
                     "cmp r2, r3\n"
                     "bne 2b\n"
                     "str r2, [sp, #8]\n"
                     "ldrd r3, r0, [sp, #16]\n"
                     "ldr r1, [sp, #24]\n"
                     "ldr r12, [sp, #32]\n"
                     "cmp r12, #0\n"
                     "bne 3f\n" LINE(r4, r8) LINE(r5, r9) LINE(r6, r10)
                         LINE(r7, r11) "b 4f\n"
                                       "3:\n" EXACT(r4, r8) EXACT(r5, r9) EXACT(r6, r10)
                                           EXACT(r7, r11) "4:\n"
                                                          "strd r3, r0, [sp, #16]\n"
                                                          "ldr r12, [sp, #28]\n"
                                                          "subs r12, #1\n"
                                                          "str r12, [sp, #28]\n"
                                                          "bne 1b\n"
                                                          "add sp, #44\n"
                                                          "pop {r4-r11, pc}\n");
}

#define MLA1(c, k, sum) "ldrsb r8, [r1, #4*" #c "+" #k "]\n mla " #sum ", r12, r8, " #sum "\n"
#define INPUT1(k)                                                                                  \
    "ldrsb r12, [r0, #" #k "]\n" MLA1(3, k, r7) MLA1(2, k, r6) MLA1(1, k, r5) MLA1(0, k, r4)

__attribute__((naked)) void mh_plain_dot1(const int8_t *x, const int8_t *weights, const int8_t *end,
                                          const int32_t *start, int32_t *sums)
{
    (void)x, (void)weights, (void)end, (void)start, (void)sums;
    __asm__ volatile("push {r4-r8, lr}\n"
                     "ldm r3, {r4-r7}\n"
                     "1:\n" INPUT1(3) INPUT1(2) INPUT1(1) "ldrsb r12, [r0], #4\n" MLA1(3, 0, r7)
                         MLA1(2, 0, r6) MLA1(1, 0, r5) "ldrsb r8, [r1], #16\n mla r4, r12, r8, r4\n"
                                                       "cmp r1, r2\n"
                                                       "bne 1b\n"
                                                       "ldr r0, [sp, #24]\n"
                                                       "stm r0, {r4-r7}\n"
                                                       "pop {r4-r8, pc}\n");
}

#elif defined(__ARM_ARCH_6M__)

/* One input (r4: its number) of both pixels (r0, r1) with the weights (r2, r3) of two channels. */
#define INPUT2                                                                                     \
    "ldrsb r5, [r0, r4]\n ldrsb r6, [r2, r4]\n movs r7, r6\n muls r7, r5, r7\n add r8, r7\n"       \
    "ldrsb r7, [r3, r4]\n muls r5, r7, r5\n add r10, r5\n"                                         \
    "ldrsb r5, [r1, r4]\n muls r7, r5, r7\n add r11, r7\n muls r6, r5, r6\n add r9, r6\n"          \
    "adds r4, #1\n"

__attribute__((naked)) static void half2(const int8_t *x0, const int8_t *x1, const int8_t *weights,
                                         const int8_t *end, const int32_t *start, int32_t *sums)
{
    (void)x0, (void)x1, (void)weights, (void)end, (void)start, (void)sums;
    __asm__ volatile(".syntax unified\n"
                     "push {r4-r7, lr}\n"
                     "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
                     "push {r4-r7}\n"
                     "mov r12, r3\n"
                     "ldr r5, [sp, #36]\n"
                     "ldr r6, [r5]\n mov r8, r6\n mov r9, r6\n"
                     "ldr r6, [r5, #4]\n mov r10, r6\n mov r11, r6\n"
                     "adds r3, r2, #4\n"
                     "movs r4, #0\n"
                     "1:\n" INPUT2 INPUT2 INPUT2 INPUT2 "adds r2, #12\n"
                     "adds r3, #12\n"
                     "mov r5, r2\n add r5, r4\n" /* the weights move by 12, their index by 4 */
                     "cmp r5, r12\n"
                     "bne 1b\n"
                     "ldr r5, [sp, #40]\n"
                     "mov r6, r8\n str r6, [r5]\n mov r6, r9\n str r6, [r5, #16]\n"
                     "mov r6, r10\n str r6, [r5, #4]\n mov r6, r11\n str r6, [r5, #20]\n"
                     "pop {r4-r7}\n"
                     "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
                     "pop {r4-r7, pc}\n");
}

void mh_plain_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
                   const int32_t *start, int32_t *sums)
{
    half2(x0, x1, weights, end, start, sums);
    half2(x0, x1, weights + 8, end + 8, start + 2, sums + 2);
}

#define CHANNEL1(weights, sum) "ldrsb r6, [" #weights ", r4]\n muls r6, r5, r6\n add " #sum ", r6\n"
#define INPUT1                                                                                     \
    "ldrsb r5, [r0, r4]\n" CHANNEL1(r1, r8) CHANNEL1(r2, r9) CHANNEL1(r3, r10)                     \
        CHANNEL1(r7, r11) "adds r4, #1\n"

__attribute__((naked)) void mh_plain_dot1(const int8_t *x, const int8_t *weights, const int8_t *end,
                                          const int32_t *start, int32_t *sums)
{
    (void)x, (void)weights, (void)end, (void)start, (void)sums;
    __asm__ volatile(".syntax unified\n"
                     "push {r4-r7, lr}\n"
                     "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
                     "push {r4-r7}\n"
                     "mov r12, r2\n"
                     "ldm r3!, {r4-r7}\n"
                     "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
                     "movs r4, #0\n"
                     "movs r2, r1\n adds r2, #4\n"
                     "movs r3, r1\n adds r3, #8\n"
                     "movs r7, r1\n adds r7, #12\n"
                     "1:\n" INPUT1 INPUT1 INPUT1 INPUT1
                     "adds r1, #12\n adds r2, #12\n adds r3, #12\n adds r7, #12\n"
                     "mov r5, r1\n add r5, r4\n"
                     "cmp r5, r12\n"
                     "bne 1b\n"
                     "ldr r0, [sp, #36]\n"
                     "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
                     "stm r0!, {r4-r7}\n"
                     "pop {r4-r7}\n"
                     "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
                     "pop {r4-r7, pc}\n");
}

#else

void mh_plain_dot1(const int8_t *x, const int8_t *weights, const int8_t *end, const int32_t *start,
                   int32_t *sums)
{
    for (int32_t c = 0; c < 4; c++) {
        sums[c] = start[c];
    }
    for (; weights != end; weights += 16, x += 4) {
        for (int32_t i = 0; i < 16; i++) {
            sums[i >> 2] += x[i & 3] * weights[i];
        }
    }
}

void mh_plain_dot2(const int8_t *x0, const int8_t *x1, const int8_t *weights, const int8_t *end,
                   const int32_t *start, int32_t *sums)
{
    mh_plain_dot1(x0, weights, end, start, sums);
    mh_plain_dot1(x1, weights, end, start, sums + 4);
}

#endif
