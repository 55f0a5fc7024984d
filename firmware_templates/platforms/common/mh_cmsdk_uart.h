/* CMSDK UART0, the console of MPS2 and MPS3. Registers: Arm Cortex-M System Design Kit TRM
 * (DDI 0479), 4.3 "APB UART". A port includes this once, after it has defined MH_UART_BASE. */
#ifndef MH_CMSDK_UART_H
#define MH_CMSDK_UART_H

#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"

#define UART_DATA MH_REG(MH_UART_BASE + 0x00u)
#define UART_STATE MH_REG(MH_UART_BASE + 0x04u)
#define UART_CTRL MH_REG(MH_UART_BASE + 0x08u)
#define UART_INTCLEAR MH_REG(MH_UART_BASE + 0x0Cu)
#define UART_BAUDDIV MH_REG(MH_UART_BASE + 0x10u)
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL_TX_ENABLE 1u
#define UART_CTRL_RX_ENABLE 2u
#define UART_CTRL_RX_INTERRUPT 8u
#define UART_INT_RX 2u
#define UART_BAUDDIV_MIN 16u

static inline void mh_uart_start(void)
{
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

void mh_port_write(const uint8_t *src, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i++) {
        while ((UART_STATE & UART_STATE_TX_FULL) != 0u) {
        }
        UART_DATA = src[i];
    }
}

#endif
