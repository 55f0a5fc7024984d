/* What the start-up of the STM32F4, F7 and H7 shares: the check of the PLL settings, the clock that
 * was reached, and waits that end. A port includes this once. */
#ifndef MH_STM32_START_H
#define MH_STM32_START_H

#include "board_config.h"
#include "mh_port.h"

/* The settings come from the board loader (board_config.h); this is for those who edit the file. */
#if MH_CFG_HSE_HZ > 0
#if MH_CFG_HSE_HZ * MH_HSE_PLL_N != MH_CLOCK_HZ * MH_HSE_PLL_M * MH_HSE_PLL_P
#error "PLL settings and clock differ: HSE_HZ * N / (M * P) must be MH_CLOCK_HZ, without a rest"
#endif
#elif MH_HSI_PLL_HZ != MH_CLOCK_HZ
#error "no crystal (HSE_HZ = 0), and the internal oscillator does not make MH_CLOCK_HZ"
#endif

/* What the processor runs at, and whether that is the PLL: else the internal oscillator, buses
 * undivided, because crystal, supply or PLL did not start. HELLO tells the host. */
static uint32_t mh_clock_hz;
static int mh_clock_is_pll;

uint32_t mh_port_clock_hz(void)
{
    return mh_clock_hz;
}

/* No wait is for ever: a board that does not start its clock must still say so. A turn is 6 to 14
 * cycles of 16 or 64 MHz: 90 ms at least, where crystal, PLL and regulator need 5. */
#define MH_READY_TURNS 400000u

/* Waits for a field to have a value; 0 where it never has. */
static inline int mh_wait_field(volatile uint32_t *reg, uint32_t mask, uint32_t value)
{
    for (uint32_t turn = 0u; turn < MH_READY_TURNS; turn++) {
        if ((*reg & mask) == value) {
            return 1;
        }
    }
    return 0;
}

static inline int mh_wait_set(volatile uint32_t *reg, uint32_t bits)
{
    return mh_wait_field(reg, bits, bits);
}

#endif
