/* What the kernels' assembly begins with: how a function is written, and how C and assembly agree
 * on the structs that one fills and the other reads. Not here: anything of one family of kernels.
 *
 * Such a struct stands in a header that both include, with the offset of each field as a macro.
 * MH_FIELD compares it with what the compiler made of the struct; FIELDS, before a load or store of
 * several registers, lists the fields that it takes and does not assemble where the struct has
 * another order. So a field that moves on one side alone is an error of the build. Places in the
 * stack frame have names in the same way. tests/kernels/test_assembly.py refuses bare numbers.
 *
 * A line is one instruction, or several that do the same to neighbouring pixels, channels or
 * registers, with ";" between them.
 */
#ifndef MH_ASM_H
#define MH_ASM_H

#ifndef __ASSEMBLER__

#include <stddef.h>

typedef void (*mh_code)(void); /* a LABEL's address */

/* _Static_assert is C11's; compilers take it in C99, too. */
#define MH_FIELD(type, field, offset)                                                              \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field ": not at " #offset)
#define MH_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type ": not of " #bytes)

#else /* clang-format off */

.syntax unified
.thumb

/* A function has a section of its own, so that the linker drops what no layer calls. */
.macro FUNCTION name
    .pushsection .text.\name, "ax", %progbits
    .balign 4
    LABEL \name
.endm

.macro END name
    .size \name, . - \name
    .popsection
.endm

/* A place in a function that others jump to; its address has the Thumb bit. */
.macro LABEL name
    .global \name
    .type \name, %function
    .thumb_func
\name:
.endm

/* The fields (words) that the next instruction loads or stores, in the order of its registers. */
.macro FIELDS first, others:vararg
    .set .Lfield, \first
    .ifnb \others
    .irp field, \others
        .set .Lfield, .Lfield + 4
        .if \field != .Lfield
        .error "FIELDS: \field does not follow the field before it"
        .endif
    .endr
    .endif
.endm

#endif /* clang-format on */
#endif
