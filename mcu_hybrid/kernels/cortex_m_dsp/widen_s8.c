/* Bytes to the int16 columns that the tiles read: words of (input 0, 2) and (1, 3) of each 4. */
#include "mh_gemm.h"

/* clang-format off */
#define FUNCTION(name)                                                                             \
    ".pushsection .text." name ",\"ax\",%progbits\n.balign 4\n.thumb\n.syntax unified\n"           \
    ".global " name "\n.type " name ", %function\n.thumb_func\n" name ":\n"
#define END ".popsection\n"

/* r4-r6 become inputs 0 and 2, r7-r9 1 and 3; the places need no alignment. */
#define GROUP3                                                                                     \
    "ldr r7, [r0], #4\n ldr r8, [r1], #4\n ldr r9, [r2], #4\n"                                     \
    "sxtb16 r4, r7\n sxtb16 r5, r8\n sxtb16 r6, r9\n"                                              \
    "sxtb16 r7, r7, ror #8\n sxtb16 r8, r8, ror #8\n sxtb16 r9, r9, ror #8\n"                      \
    "stmia r3!, {r4-r9}\n"

__asm__(FUNCTION("mh_widen3")
        "ldr r12, [sp]\n"
        "push {r4-r9}\n"
        "lsrs r12, r12, #1\n bcc 1f\n"
        GROUP3
        "1:\n cmp r12, #0\n beq 3f\n"
        "2:\n" GROUP3 GROUP3
        "subs r12, r12, #1\n bne 2b\n"
        "3:\n mov r0, r3\n pop {r4-r9}\n bx lr\n" END);

#define GROUP1                                                                                     \
    "ldr r12, [r0], #4\n sxtb16 r3, r12\n sxtb16 r12, r12, ror #8\n strd r3, r12, [r1], #8\n"

__asm__(FUNCTION("mh_widen1")
        "lsrs r2, r2, #1\n bcc 1f\n"
        GROUP1
        "1:\n cbz r2, 3f\n"
        "2:\n" GROUP1 GROUP1
        "subs r2, r2, #1\n bne 2b\n"
        "3:\n mov r0, r1\n bx lr\n" END);

/* r0 = places and steps of three windows, r1 = column, r2 = groups in a row (>= 1), r3 = rows */
__asm__(FUNCTION("mh_widen3_rows")
        "push {r4-r11, lr}\n"
        "mov r10, r0\n mov r11, r3\n mov r12, r2\n mov r3, r1\n"
        "ldmia r10!, {r0, r1, r2}\n"
        "1:\n mov lr, r12\n"
        "2:\n" GROUP3
        "subs lr, lr, #1\n bne 2b\n"
        "ldm r10, {r4, r5, r6}\n"
        "add r0, r4\n add r1, r5\n add r2, r6\n"
        "subs r11, r11, #1\n bne 1b\n"
        "mov r0, r3\n pop {r4-r11, pc}\n" END);
