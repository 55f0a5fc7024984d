/* memcpy and memset in 100 bytes: newlib's take 470. Words lie anywhere, which cores from Armv7-M
 * on allow; for the others newlib's are as small. */
#include "mh_cortex.h"

#if __ARM_ARCH >= 7
/* clang-format off */
#define FUNCTION(name)                                                                             \
    ".pushsection .text." name ",\"ax\",%progbits\n.balign 2\n.thumb\n.syntax unified\n"           \
    ".global " name "\n.type " name ", %function\n.thumb_func\n" name ":\n"
#define END(name) ".size " name ", . - " name "\n.popsection\n"

__asm__(FUNCTION("memcpy")
        "mov r12, r0\n push {r4, lr}\n"
        "subs r2, #8\n blo 2f\n"
        "1:\n ldr r3, [r1], #4\n ldr r4, [r1], #4\n"
        "str r3, [r12], #4\n str r4, [r12], #4\n"
        "subs r2, #8\n bhs 1b\n"
        "2:\n adds r2, #8\n b 4f\n"
        "3:\n ldrb r3, [r1], #1\n strb r3, [r12], #1\n"
        "4:\n subs r2, #1\n bhs 3b\n"
        "pop {r4, pc}\n" END("memcpy"));

__asm__(FUNCTION("memset")
        "mov r12, r0\n uxtb r1, r1\n"
        "orr r1, r1, r1, lsl #8\n orr r1, r1, r1, lsl #16\n"
        "subs r2, #16\n blo 2f\n"
        "1:\n str r1, [r12], #4\n str r1, [r12], #4\n str r1, [r12], #4\n str r1, [r12], #4\n"
        "subs r2, #16\n bhs 1b\n"
        "2:\n adds r2, #16\n b 4f\n"
        "3:\n strb r1, [r12], #1\n"
        "4:\n subs r2, #1\n bhs 3b\n"
        "bx lr\n" END("memset"));
/* clang-format on */
#endif
