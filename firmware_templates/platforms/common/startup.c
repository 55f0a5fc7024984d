/* Vectors, reset and faults for all Cortex-M platforms. Clocks and pins are in the platform's
 * port.c; the interrupt number of the console comes from its mh_platform.h. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"

#define STACK_PAINT 0xA5A5A5A5u /* no address in RAM, and no small number */
#define FIRST_IRQ 16            /* exceptions 0 to 15 are the core's own */

/* Set by the linker script. */
extern uint32_t __stack_limit[], __stack_top[];
extern uint32_t __data_load[], __data_start[], __data_end[];
extern uint32_t __bss_start[], __bss_end[];
extern uint32_t __arena_start[], __arena_end[];
extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

int main(void);
void Reset_Handler(void);
void mh_fault_entry(void);
void mh_watch_entry(void);
void mh_fault_report(uint32_t pc, uint32_t exception);
void mh_unexpected(void);

typedef void (*mh_vector)(void);

/* A stack pointer and handlers; B1.5.3 of the Armv7-M manual. */
typedef struct {
    uint32_t *stack;
    mh_vector handler[FIRST_IRQ - 1 + MH_PLATFORM_IRQS];
} mh_vector_table;

#define EXCEPTION(n) [(n)-1]
__attribute__((section(".vectors"), used)) static const mh_vector_table vectors = {
    .stack = __stack_top,
    .handler =
        {
            EXCEPTION(1) = Reset_Handler,
            EXCEPTION(2) = mh_unexpected,   /* NMI */
            EXCEPTION(3) = mh_fault_entry,  /* HardFault */
            EXCEPTION(4) = mh_fault_entry,  /* MemManage */
            EXCEPTION(5) = mh_fault_entry,  /* BusFault */
            EXCEPTION(6) = mh_fault_entry,  /* UsageFault */
            EXCEPTION(11) = mh_unexpected,  /* SVCall */
            EXCEPTION(12) = mh_unexpected,  /* DebugMonitor */
            EXCEPTION(14) = mh_unexpected,  /* PendSV */
            EXCEPTION(15) = mh_watch_entry, /* SysTick */
            EXCEPTION(FIRST_IRQ + MH_PLATFORM_CONSOLE_IRQ) = mh_platform_console_irq,
        },
};

/* Memory below the stack must fault, or an overflow would go unseen where the bus ignores writes.
 */
static void guard_stack(void)
{
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm volatile("msr msplim, %0" ::"r"(__stack_limit));
#elif defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__)
    if ((MPU_TYPE & MPU_TYPE_DREGION) == 0u) {
        return;
    }
    const uint32_t limit = (uint32_t)(uintptr_t)__stack_limit;
    if (limit % 0x10000u == 0u) { /* the region's first byte: nothing of ours is below */
        MPU_RBAR = (limit - 0x10000u) | MPU_RBAR_VALID;
        MPU_RASR = MPU_RASR_NO_ACCESS_XN | MPU_RASR_64K;
    } else { /* the linker script aligns the limit to 256 */
        MPU_RBAR = limit | MPU_RBAR_VALID;
        MPU_RASR = MPU_RASR_NO_ACCESS_XN | MPU_RASR_256;
    }
    MPU_CTRL = MPU_CTRL_ENABLE_PRIVDEFENA;
    mh_dsb_isb();
#endif
}

static void paint_stack(void)
{
    volatile uint32_t *word = __stack_limit;
    volatile uint32_t *end = (volatile uint32_t *)__builtin_frame_address(0) - 16;
    while (word < end) {
        *word++ = STACK_PAINT;
    }
}

/* The loops are volatile so that no compiler turns them into calls of memcpy or memset. */
static void init_ram(void)
{
    const uint32_t *from = __data_load;
    for (volatile uint32_t *to = __data_start; to < __data_end;) {
        *to++ = *from++;
    }
    for (volatile uint32_t *to = __bss_start; to < __bss_end;) {
        *to++ = 0u;
    }
    for (volatile uint32_t *to = __arena_start; to < __arena_end;) {
        *to++ = 0u;
    }
}

/* A bootloader may have been here: its vectors, its timer and its interrupts must not be met. */
static void take_over(void)
{
    __asm volatile("cpsid i" ::: "memory");
    SYST_CSR = 0u;
    for (uint32_t n = 0u; n < NVIC_WORDS; n++) {
        NVIC_ICER_WORD(n) = 0xFFFFFFFFu;
        NVIC_ICPR_WORD(n) = 0xFFFFFFFFu;
    }
    SCB_VTOR = (uint32_t)(uintptr_t)&vectors;
    mh_dsb_isb();
    __asm volatile("cpsie i" ::: "memory");
}

__attribute__((noreturn)) void Reset_Handler(void)
{
#if defined(__ARM_FP)
    SCB_CPACR |= 0xFu << 20; /* CP10 and CP11: full access */
    mh_dsb_isb();
#endif
    take_over();
    paint_stack();
    init_ram();
    SCB_CCR |= CCR_DIV_0_TRP;
    SCB_SHCSR |= SHCSR_FAULTS_ENABLE;
    guard_stack();
    for (void (*const *init)(void) = __init_array_start; init < __init_array_end; init++) {
        (*init)(); /* constructors, of engines in C++ */
    }
    (void)main();
    mh_port_reset();
    for (;;) {
    }
}

/* The stack may be what broke, or full: the program counter is taken from the exception frame where
 * there is one, and everything after runs on a fresh stack, because nothing returns from here. */
__attribute__((naked)) void mh_fault_entry(void)
{
    __asm volatile("mov r2, sp\n\t"
                   "movs r0, #0\n\t"
                   "mrs r1, ipsr\n\t"
                   "ldr r3, =__stack_limit\n\t"
                   "cmp r2, r3\n\t"
                   "blo 1f\n\t"
                   "ldr r0, [r2, #24]\n" /* r0-r3, r12, lr, pc, xpsr: B1.5.6 */
                   "1:\n\t"
                   "ldr r3, =__stack_top\n\t"
                   "mov sp, r3\n\t"
                   "bl mh_fault_report\n\t"
                   ".ltorg");
}

__attribute__((used, noreturn)) void mh_fault_report(uint32_t pc, uint32_t exception)
{
    const uint32_t status = SCB_CFSR;
    uint32_t address = 0u;
    if ((status & CFSR_MMARVALID) != 0u) {
        address = SCB_MMFAR;
    } else if ((status & CFSR_BFARVALID) != 0u) {
        address = SCB_BFAR;
    }
    SCB_CFSR = status;                            /* write one to clear */
    mh_fault((exception - 3u) & 3u, pc, address); /* exceptions 3 to 6 are codes 0 to 3 */
    mh_port_reset();
    for (;;) {
    }
}

__attribute__((used)) void mh_unexpected(void)
{
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    mh_fault(0u, 0u, exception);
    mh_port_reset();
}

uint32_t mh_port_stack_used(void)
{
    const volatile uint32_t *word = __stack_limit;
    while (word < __stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

uint32_t mh_port_static_ram(void)
{
    const uintptr_t data = (uintptr_t)__data_end - (uintptr_t)__data_start;
    const uintptr_t bss = (uintptr_t)__bss_end - (uintptr_t)__bss_start;
    const uintptr_t arena = /* with its guards */
        (uintptr_t)(mh_arena_above + MH_GUARD_WORDS) - (uintptr_t)mh_arena_below;
    return (uint32_t)(data + bss + arena);
}
