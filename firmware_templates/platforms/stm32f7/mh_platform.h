/* STM32F746: number of interrupts, and which one is the console's. */
#ifndef MH_PLATFORM_H
#define MH_PLATFORM_H

#include "mh_stm32.h"

#define MH_PLATFORM_IRQS 98
#define MH_PLATFORM_CONSOLE_IRQ MH_USART_IRQ

void mh_platform_console_irq(void);

#endif
