/* MPS3 AN547: CMSDK UART0 as console, the cycle counter of the FPGA's I/O block as tick counter.
 * Registers: Arm Cortex-M System Design Kit TRM (DDI 0479), 4.3 "APB UART"; addresses and the
 * counter: application note AN547, "Memory map" and "FPGA system control and I/O". */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"

#define FPGAIO_COUNTER MH_REG(0x49302018u)
#define FPGAIO_PRESCALE MH_REG(0x4930201Cu)

#define UART_DATA MH_REG(0x49303000u)
#define UART_STATE MH_REG(0x49303004u)
#define UART_CTRL MH_REG(0x49303008u)
#define UART_INTCLEAR MH_REG(0x4930300Cu)
#define UART_BAUDDIV MH_REG(0x49303010u)
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL_TX_ENABLE 1u
#define UART_CTRL_RX_ENABLE 2u
#define UART_CTRL_RX_INTERRUPT 8u
#define UART_INT_RX 2u
#define UART_BAUDDIV_MIN 16u

void mh_port_init(void)
{
    FPGAIO_PRESCALE = 0u;            /* the counter counts every period */
    UART_BAUDDIV = UART_BAUDDIV_MIN; /* the emulator sends at once, whatever the divider */
    UART_CTRL = UART_CTRL_TX_ENABLE | UART_CTRL_RX_ENABLE | UART_CTRL_RX_INTERRUPT;
    (void)UART_DATA; /* bytes that came before now wait in the emulator until one is read */
    mh_irq_enable(MH_PLATFORM_CONSOLE_IRQ);
}

void mh_platform_console_irq(void)
{
    UART_INTCLEAR = UART_INT_RX; /* before the byte is read: reading lets the next one in */
    while ((UART_STATE & UART_STATE_RX_FULL) != 0u) {
        mh_ring_put((uint8_t)UART_DATA);
    }
}

/* Sleeps while there is nothing, so that a board left running takes no processor time of the host.
 */
uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    __asm volatile("cpsid i" ::: "memory");
    if (mh_ring_is_empty()) {
        __asm volatile("wfi" ::: "memory");
    }
    __asm volatile("cpsie i" ::: "memory");
    return mh_ring_take(dst, cap);
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i++) {
        while ((UART_STATE & UART_STATE_TX_FULL) != 0u) {
        }
        UART_DATA = src[i];
    }
}

/* The nop makes a turn of mh_time.c's vernier 11 instructions, which fall on every phase of a tick
 * of 50; 10 would fall on five of them only. */
uint32_t mh_port_ticks(void)
{
    __asm volatile("nop");
    return FPGAIO_COUNTER;
}

void mh_port_reset(void)
{
    mh_system_reset();
}
