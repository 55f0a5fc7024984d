/* Clock of the STM32F4 and F7: HSE (or HSI), PLL, over-drive, wait states. Addresses and bits are
 * the same in RM0390 (F446) and RM0385 (F746), chapters 3 (FLASH), RCC and PWR; what differs comes
 * as an argument. */
#ifndef MH_STM32_CLOCK_H
#define MH_STM32_CLOCK_H

#include "mh_stm32.h"
#include "mh_stm32_start.h"

#define RCC_CR MH_REG(0x40023800u)
#define RCC_PLLCFGR MH_REG(0x40023804u)
#define RCC_CFGR MH_REG(0x40023808u)
#define RCC_AHB1ENR MH_REG(0x40023830u)
#define RCC_APB1ENR MH_REG(0x40023840u)
#define RCC_APB2ENR MH_REG(0x40023844u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_HSE (1u << 22)
#define RCC_PLLCFGR_MNPQ(m, n, p, q) ((m) | ((n) << 6) | (((p) / 2u - 1u) << 16) | ((q) << 24))
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

#define HSI_HZ 16000000u

/* Back to the internal oscillator with buses undivided: from whatever a bootloader left running,
 * and where the start fails. */
static inline void mh_clock_to_hsi(void)
{
    RCC_CR |= RCC_CR_HSION;
    (void)mh_wait_set(&RCC_CR, RCC_CR_HSIRDY);
    RCC_CFGR = 0u;
    (void)mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, 0u);
    RCC_CR &= ~(RCC_CR_PLLON | RCC_CR_HSEON);
    (void)mh_wait_field(&RCC_CR, RCC_CR_PLLRDY, 0u);
    mh_clock_hz = HSI_HZ;
    mh_clock_is_pll = 0;
}

/* PLLCFGR for the crystal, or where it does not start for the internal oscillator (within 1 %). */
static inline uint32_t mh_pll_source(uint32_t *hz)
{
#if MH_CFG_HSE_HZ > 0
    RCC_CR |= (MH_CFG_HSE_BYPASS ? RCC_CR_HSEBYP : 0u) | RCC_CR_HSEON;
    if (mh_wait_set(&RCC_CR, RCC_CR_HSERDY)) {
        *hz = MH_HSE_PLL_HZ;
        return RCC_PLLCFGR_HSE |
               RCC_PLLCFGR_MNPQ(MH_HSE_PLL_M, MH_HSE_PLL_N, MH_HSE_PLL_P, MH_HSE_PLL_Q);
    }
#endif
    *hz = MH_HSI_PLL_HZ;
    return RCC_PLLCFGR_MNPQ(MH_HSI_PLL_M, MH_HSI_PLL_N, MH_HSI_PLL_P, MH_HSI_PLL_Q);
}

static inline int mh_overdrive_on(void)
{
    PWR_CR |= PWR_CR_ODEN;
    if (!mh_wait_set(&PWR_CSR, PWR_CSR_ODRDY)) {
        return 0;
    }
    PWR_CR |= PWR_CR_ODSWEN;
    return mh_wait_set(&PWR_CSR, PWR_CSR_ODSWRDY);
}

/* The order of PLL, over-drive, wait states and switch is that of "Entering Over-drive mode".
 * pll: more bits of PLLCFGR; caches: of FLASH_ACR; over-drive above so many hertz. */
static inline void mh_clock_start(uint32_t pll, uint32_t caches, uint32_t overdrive_above_hz)
{
    uint32_t hz;
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR; /* the enable takes two bus cycles */
    mh_clock_to_hsi();
    PWR_CR |= PWR_CR_VOS_SCALE1;
    RCC_PLLCFGR = pll | mh_pll_source(&hz);
    RCC_CR |= RCC_CR_PLLON;
    if (MH_CLOCK_HZ > overdrive_above_hz && !mh_overdrive_on()) {
        mh_clock_to_hsi();
        return;
    }
    if (!mh_wait_set(&RCC_CR, RCC_CR_PLLRDY)) {
        mh_clock_to_hsi();
        return;
    }
    FLASH_ACR = FLASH_ACR_PRFTEN | caches | WAIT_STATES;
    if (!mh_wait_field(&FLASH_ACR, 0xFu, WAIT_STATES)) {
        mh_clock_to_hsi();
        return;
    }
    RCC_CFGR = RCC_CFGR_APB1_DIV4 | RCC_CFGR_APB2_DIV2 | RCC_CFGR_SW_PLL;
    if (!mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL)) {
        mh_clock_to_hsi();
        return;
    }
    mh_clock_hz = hz;
    mh_clock_is_pll = 1;
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
