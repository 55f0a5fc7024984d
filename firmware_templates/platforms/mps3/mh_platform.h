/* Arm MPS3 FPGA image AN547 (Corstone SSE-300), as QEMU models it: interrupt numbers. */
#ifndef MH_PLATFORM_H
#define MH_PLATFORM_H

#define MH_PLATFORM_IRQS 64
#define MH_PLATFORM_CONSOLE_IRQ 33 /* UART0 receive */

void mh_platform_console_irq(void);

#endif
