/* What the STM32F4, F7 and H7 have alike: GPIO, and which USART is where. Register layouts: RM0390
 * (F446) and RM0090 (F405) chapters 7-8, RM0385 (F746) chapter 6, RM0433 (H743) chapter 11 "GPIO".
 * The board file says which USART and pins (MH_CFG_*). */
#ifndef MH_STM32_H
#define MH_STM32_H

#include "board_config.h"
#include "mh_cortex.h"

enum { MH_PORT_A, MH_PORT_B, MH_PORT_C, MH_PORT_D, MH_PORT_E, MH_PORT_F, MH_PORT_G, MH_PORT_H };

/* Address, interrupt and clock-enable bit are the same in the three families (H7: APB1LENR). */
#if MH_CFG_USART == 1
#define MH_USART_BASE 0x40011000u
#define MH_USART_IRQ 37
#define MH_USART_APB2_BIT (1u << 4)
#elif MH_CFG_USART == 2
#define MH_USART_BASE 0x40004400u
#define MH_USART_IRQ 38
#define MH_USART_APB1_BIT (1u << 17)
#elif MH_CFG_USART == 3
#define MH_USART_BASE 0x40004800u
#define MH_USART_IRQ 39
#define MH_USART_APB1_BIT (1u << 18)
#elif MH_CFG_USART == 6
#define MH_USART_BASE 0x40011400u
#define MH_USART_IRQ 71
#define MH_USART_APB2_BIT (1u << 5)
#else
#error "config.USART of the board file must be 1, 2, 3 or 6"
#endif

/* Pin to an alternate function, push-pull, fast, pulled up: MODER, OSPEEDR, PUPDR, AFRL/AFRH. */
static inline void mh_pin_alternate(uint32_t gpio_a, uint32_t port, uint32_t pin, uint32_t function)
{
    const uint32_t base = gpio_a + port * 0x400u;
    const uint32_t shift = pin * 2u;
    const uint32_t af = base + 0x20u + (pin / 8u) * 4u;
    const uint32_t af_shift = (pin % 8u) * 4u;
    MH_REG(af) = (MH_REG(af) & ~(0xFu << af_shift)) | (function << af_shift);
    MH_REG(base + 0x08u) |= 2u << shift;
    MH_REG(base + 0x0Cu) = (MH_REG(base + 0x0Cu) & ~(3u << shift)) | (1u << shift);
    MH_REG(base) = (MH_REG(base) & ~(3u << shift)) | (2u << shift);
}

static inline void mh_console_pins(uint32_t gpio_a)
{
    mh_pin_alternate(gpio_a, MH_CFG_TX_PORT, MH_CFG_TX_PIN, MH_CFG_CONSOLE_AF);
    mh_pin_alternate(gpio_a, MH_CFG_RX_PORT, MH_CFG_RX_PIN, MH_CFG_CONSOLE_AF);
}

#endif
