/* MPS2: CMSDK UART0 as console, CMSDK timer0 as tick counter. Registers of the timer: Arm Cortex-M
 * System Design Kit TRM (DDI 0479), chapter 4 "APB components"; addresses: memory map of
 * application note AN386. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"

#define MH_UART_BASE 0x40004000u
#include "mh_cmsdk_uart.h"

#define TIMER_CTRL MH_REG(0x40000000u)
#define TIMER_VALUE MH_REG(0x40000004u)
#define TIMER_RELOAD MH_REG(0x40000008u)
#define TIMER_CTRL_ENABLE 1u

void mh_port_init(void)
{
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = TIMER_CTRL_ENABLE;
    mh_uart_start();
}

/* Sleeps while there is nothing, so that a board left running takes no processor time of the host;
 * the timer stops meanwhile, or the emulator would run ahead to its end, again and again. */
uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    __asm volatile("cpsid i" ::: "memory");
    if (mh_ring_is_empty()) {
        TIMER_CTRL = 0u;
        __asm volatile("wfi" ::: "memory");
        TIMER_CTRL = TIMER_CTRL_ENABLE;
    }
    __asm volatile("cpsie i" ::: "memory");
    return mh_ring_take(dst, cap);
}

uint32_t mh_port_ticks(void)
{
    return ~TIMER_VALUE; /* the timer counts down */
}

uint32_t mh_port_clock_hz(void)
{
    return MH_CLOCK_HZ;
}

void mh_port_reset(void)
{
    mh_system_reset();
}
