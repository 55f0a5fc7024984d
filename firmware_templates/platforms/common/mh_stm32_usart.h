/* What the ports of the STM32F7 and H7 share after their start-up: the newer USART (RM0385 chapter
 * 31, RM0433 chapter 48), 8N1, received by interrupt into the ring, sent by polling so that the
 * fault handler can send too; and the cycle counter as ticks. A port includes this once. */
#ifndef MH_STM32_USART_H
#define MH_STM32_USART_H

#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"
#include "mh_stm32.h"

#define USART_CR1 MH_REG(MH_USART_BASE + 0x00u)
#define USART_BRR MH_REG(MH_USART_BASE + 0x0Cu)
#define USART_ISR MH_REG(MH_USART_BASE + 0x1Cu)
#define USART_ICR MH_REG(MH_USART_BASE + 0x20u)
#define USART_RDR MH_REG(MH_USART_BASE + 0x24u)
#define USART_TDR MH_REG(MH_USART_BASE + 0x28u)
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TC (1u << 6)
#define USART_ISR_TXE (1u << 7)
#define USART_ICR_ERRORS 0xFu /* PECF, FECF, NECF, ORECF */

static inline void mh_usart_start(uint32_t kernel_hz, uint32_t extra_cr1)
{
    USART_CR1 = 0u;
    USART_BRR = (kernel_hz + MH_BAUD / 2u) / MH_BAUD;
    USART_CR1 = extra_cr1 | USART_CR1_RE | USART_CR1_TE | USART_CR1_RXNEIE;
    USART_CR1 |= USART_CR1_UE;
    mh_irq_enable(MH_USART_IRQ);
}

void mh_platform_console_irq(void)
{
    USART_ICR = USART_ICR_ERRORS; /* an uncleared overrun would raise the interrupt for ever */
    while ((USART_ISR & USART_ISR_RXNE) != 0u) {
        mh_ring_put((uint8_t)USART_RDR);
    }
}

uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    return mh_ring_take(dst, cap);
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i++) {
        while ((USART_ISR & USART_ISR_TXE) == 0u) {
        }
        USART_TDR = src[i];
    }
}

uint32_t mh_port_ticks(void)
{
    return DWT_CYCCNT;
}

void mh_port_reset(void)
{
    while ((USART_ISR & USART_ISR_TC) == 0u) {
    }
    mh_system_reset();
}

#endif
