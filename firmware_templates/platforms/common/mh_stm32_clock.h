/* Clock of the STM32F4 and F7: HSE (or HSI), PLL, over-drive, wait states. Addresses and bits are
 * the same in RM0390 (F446) and RM0385 (F746), chapters 3 (FLASH), RCC and PWR; what differs comes
 * as an argument. */
#ifndef MH_STM32_CLOCK_H
#define MH_STM32_CLOCK_H

#include "mh_stm32.h"

#define RCC_CR MH_REG(0x40023800u)
#define RCC_PLLCFGR MH_REG(0x40023804u)
#define RCC_CFGR MH_REG(0x40023808u)
#define RCC_AHB1ENR MH_REG(0x40023830u)
#define RCC_APB1ENR MH_REG(0x40023840u)
#define RCC_APB2ENR MH_REG(0x40023844u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_HSE (1u << 22)
#define RCC_CFGR_APB1_DIV4 (5u << 10)
#define RCC_CFGR_APB2_DIV2 (4u << 13)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_APB1ENR_PWREN (1u << 28)
#define PWR_CR MH_REG(0x40007000u) /* F7: CR1 and CSR1 */
#define PWR_CSR MH_REG(0x40007004u)
#define PWR_CR_VOS_SCALE1 (3u << 14)
#define PWR_CR_ODEN (1u << 16)
#define PWR_CR_ODSWEN (1u << 17)
#define PWR_CSR_ODRDY (1u << 16)
#define PWR_CSR_ODSWRDY (1u << 17)
#define FLASH_ACR MH_REG(0x40023C00u)
#define FLASH_ACR_PRFTEN (1u << 8)
/* One wait state per 30 MHz at 2.7 to 3.6 V. */
#define WAIT_STATES ((MH_CLOCK_HZ - 1u) / 30000000u)

/* The PLL's input is 2 MHz, its VCO twice the processor's clock; Q keeps the 48 MHz domain legal.
 */
#define PLL_INPUT_HZ 2000000u
#define HSI_HZ 16000000u
#define PLL_N (2u * MH_CLOCK_HZ / PLL_INPUT_HZ)
#define PLL_Q ((2u * MH_CLOCK_HZ + 47999999u) / 48000000u)

/* The order of PLL, over-drive, wait states and switch is that of "Entering Over-drive mode".
 * pll: more bits of PLLCFGR; caches: of FLASH_ACR; over-drive above so many hertz. */
static inline void mh_clock_start(uint32_t pll, uint32_t caches, uint32_t overdrive_above_hz)
{
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR; /* the enable takes two bus cycles */
    PWR_CR |= PWR_CR_VOS_SCALE1;
    RCC_CR |= (MH_CFG_HSE_BYPASS ? RCC_CR_HSEBYP : 0u) | RCC_CR_HSEON;
    if (mh_wait_set(&RCC_CR, RCC_CR_HSERDY)) {
        RCC_PLLCFGR =
            pll | (PLL_Q << 24) | RCC_PLLCFGR_HSE | (PLL_N << 6) | (MH_CFG_HSE_HZ / PLL_INPUT_HZ);
    } else { /* no clock from the debugger: the internal oscillator is within 1 % */
        RCC_PLLCFGR = pll | (PLL_Q << 24) | (PLL_N << 6) | (HSI_HZ / PLL_INPUT_HZ);
    }
    RCC_CR |= RCC_CR_PLLON;
    if (MH_CLOCK_HZ > overdrive_above_hz) {
        PWR_CR |= PWR_CR_ODEN;
        mh_wait_field(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY);
        PWR_CR |= PWR_CR_ODSWEN;
        mh_wait_field(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY);
    }
    mh_wait_field(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
    FLASH_ACR = FLASH_ACR_PRFTEN | caches | WAIT_STATES;
    mh_wait_field(&FLASH_ACR, 0xFu, WAIT_STATES);
    RCC_CFGR = RCC_CFGR_APB1_DIV4 | RCC_CFGR_APB2_DIV2 | RCC_CFGR_SW_PLL;
    mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL);
}

/* The clocks of the console's USART and of its pins' ports. */
static inline void mh_console_clocks(void)
{
    RCC_AHB1ENR |= (1u << MH_CFG_TX_PORT) | (1u << MH_CFG_RX_PORT);
#ifdef MH_USART_APB1_BIT
    RCC_APB1ENR |= MH_USART_APB1_BIT;
#else
    RCC_APB2ENR |= MH_USART_APB2_BIT;
#endif
    (void)RCC_AHB1ENR;
}

#endif
