/* The core starts with the vector table at 0, in the instruction TCM; everything else lies in flash
 * (linker script: section .boot). Here is only the way there. */
#include "mh_cortex.h"

extern uint32_t __stack_top[];
extern const uint32_t __vectors_start[];

void Reset_Handler(void);

/* The stack pointer is set and nothing else: no call may need RAM that is not there yet. */
__attribute__((section(".boot.text"), noreturn)) static void boot(void)
{
    SCB_VTOR = (uint32_t)(uintptr_t)__vectors_start;
    mh_dsb_isb();
    Reset_Handler();
    for (;;) {
    }
}

typedef struct {
    uint32_t *stack;
    void (*start)(void);
} mh_boot_table;

__attribute__((section(".boot"), used)) static const mh_boot_table boot_table = {__stack_top, boot};
