/* MPS3 AN547: CMSDK UART0 as console, the cycle counter of the FPGA's I/O block as tick counter.
 * Addresses and the counter: application note AN547, "Memory map" and "FPGA system control and
 * I/O". */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"

#define MH_UART_BASE 0x49303000u
#include "mh_cmsdk_uart.h"

#define FPGAIO_COUNTER MH_REG(0x49302018u)
#define FPGAIO_PRESCALE MH_REG(0x4930201Cu)

void mh_port_init(void)
{
    FPGAIO_PRESCALE = 0u; /* the counter counts every period */
    mh_uart_start();
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

/* The nop makes a turn of mh_time.c's vernier 11 instructions, which fall on every phase of a tick
 * of 50; 10 would fall on five of them only. */
uint32_t mh_port_ticks(void)
{
    __asm volatile("nop");
    return FPGAIO_COUNTER;
}

uint32_t mh_port_clock_hz(void)
{
    return MH_CLOCK_HZ;
}

void mh_port_reset(void)
{
    mh_system_reset();
}
