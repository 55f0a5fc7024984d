/* nRF52840: number of interrupts, and which one is the console's (Product Specification 4.2.4). */
#ifndef MH_PLATFORM_H
#define MH_PLATFORM_H

#define MH_PLATFORM_IRQS 48
#define MH_PLATFORM_CONSOLE_IRQ 2 /* UARTE0 / UART0 */

void mh_platform_console_irq(void);

#endif
