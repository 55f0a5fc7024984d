/* What the harness checks a run and the image with, alike on all Cortex-M: SysTick (Armv7-M manual,
 * DDI 0403E, B3.3), and where the image lies. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_port.h"

#define SYST_RVR MH_REG(0xE000E014u)
#define SYST_CVR MH_REG(0xE000E018u)
#define SYST_CSR_ON 7u /* the processor's clock, with its interrupt */
#define SCB_SHPR3 MH_REG(0xE000ED20u)
#define SHPR3_SYSTICK_LOWEST (0xFFu << 24) /* the console goes first */
#define WANTED (MH_CLOCK_HZ / 20u) /* 50 ms: within the 20 to 200 ms that mh_port.h asks for */
#define PERIOD (WANTED < 0xFFFFFFu ? WANTED : 0xFFFFFFu) /* 24 bits */

/* Set by the linker script. */
extern const uint8_t __vectors_start[], __data_load[];
extern const uint8_t __data_start[], __data_end[];

void mh_watch_entry(void);
void mh_watch_systick(uint32_t pc);

void mh_port_watch(uint8_t on)
{
    SYST_CSR = 0u;
    SCB_SHPR3 |= SHPR3_SYSTICK_LOWEST;
    SYST_RVR = PERIOD;
    SYST_CVR = 0u;
    SYST_CSR = on ? SYST_CSR_ON : 0u;
}

/* The program counter of what was interrupted is in the exception frame: B1.5.6. */
__attribute__((naked)) void mh_watch_entry(void)
{
    __asm volatile("ldr r0, [sp, #24]\n\t"
                   "ldr r1, =mh_watch_systick\n\t"
                   "bx r1\n\t"
                   ".ltorg");
}

__attribute__((used)) void mh_watch_systick(uint32_t pc)
{
    mh_watch_tick(PERIOD / (MH_CLOCK_HZ / 1000u), pc);
}

/* Code, constants and the initial values of data lie behind the vectors, in one piece. */
uint8_t mh_port_image(uint32_t address, uint32_t bytes, const uint8_t **part)
{
    const uint32_t start = (uint32_t)(uintptr_t)__vectors_start;
    const uint32_t end = (uint32_t)(uintptr_t)__data_load +
                         ((uint32_t)(uintptr_t)__data_end - (uint32_t)(uintptr_t)__data_start);
    if (address < start || address > end || bytes > end - address) {
        return 0;
    }
    *part = (const uint8_t *)(uintptr_t)address;
    return 1;
}
