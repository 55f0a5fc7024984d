/* Arm MPS2 FPGA images AN385, AN386 and AN500, as QEMU models them: interrupt numbers. */
#ifndef MH_PLATFORM_H
#define MH_PLATFORM_H

#define MH_PLATFORM_IRQS 32
#define MH_PLATFORM_CONSOLE_IRQ 0 /* UART0 receive */

void mh_platform_console_irq(void);

#endif
