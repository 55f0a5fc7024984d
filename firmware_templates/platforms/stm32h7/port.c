/* STM32H743: supply and voltage scale, clock (PLL1), caches, USART console, cycle counter. Up to
 * 480 MHz; revision Y ends at 400 MHz (config: REV_Y = 1), as do chips that an SMPS feeds (SMPS =
 * 1). */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_stm32.h"
#include "mh_stm32_start.h"
#include "mh_stm32_usart.h"

#define GPIO_A 0x58020000u

/* RM0433 chapter 6 */
#define PWR_CSR1 MH_REG(0x58024804u)
#define PWR_CR3 MH_REG(0x5802480Cu)
#define PWR_D3CR MH_REG(0x58024818u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3_MASK 7u /* SCUEN (SDEN where there is an SMPS), LDOEN, BYPASS */
#if MH_CFG_SMPS
#define PWR_CR3_SUPPLY 4u /* RM0399: the SMPS feeds the core directly */
#else
#define PWR_CR3_SUPPLY 2u /* LDO */
#endif
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS_SCALE1 (3u << 14)
/* RM0433 chapter 12, PWRCR: scale 0 is scale 1 with the over-drive of SYSCFG */
#define SYSCFG_PWRCR MH_REG(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN 1u
#define SCALE0_ABOVE_HZ 400000000u
/* RM0433 chapter 8 */
#define RCC_CR MH_REG(0x58024400u)
#define RCC_CFGR MH_REG(0x58024410u)
#define RCC_D1CFGR MH_REG(0x58024418u)
#define RCC_D2CFGR MH_REG(0x5802441Cu)
#define RCC_D3CFGR MH_REG(0x58024420u)
#define RCC_PLLCKSELR MH_REG(0x58024428u)
#define RCC_PLLCFGR MH_REG(0x5802442Cu)
#define RCC_PLL1DIVR MH_REG(0x58024430u)
#define RCC_AHB4ENR MH_REG(0x580244E0u)
#define RCC_APB1LENR MH_REG(0x580244E8u)
#define RCC_APB2ENR MH_REG(0x580244F0u)
#define RCC_APB4ENR MH_REG(0x580244F4u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 2)
#define RCC_CR_HSIDIV_MASK (3u << 3)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR_SW_MASK 7u
#define RCC_CFGR_SW_PLL1 3u
#define RCC_CFGR_SWS_MASK (7u << 3)
#define RCC_CFGR_SWS_PLL1 (3u << 3)
#define RCC_D1CFGR_HPRE_DIV2 8u /* AXI and AHB: half of the processor's clock */
#define RCC_D1CFGR_D1PPRE_DIV2 (4u << 4)
#define RCC_D2CFGR_DIV2 ((4u << 4) | (4u << 8))
#define RCC_D3CFGR_DIV2 (4u << 4)
#define RCC_PLLCKSELR_HSI 0u
#define RCC_PLLCKSELR_HSE 2u
#define RCC_PLLCKSELR_M_POS 4u
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_APB4ENR_SYSCFGEN (1u << 1)
/* RM0433 chapter 4: 4 wait states at 240 MHz (scale 0), 2 at 200 MHz (scale 1) */
#define FLASH_ACR MH_REG(0x52002000u)
#define FLASH_ACR_WRHIGHFREQ (2u << 4)
/* Errata ES0392, revision Y: reads of AXI SRAM one at a time, or they may be wrong. */
#define AXI_SRAM_ISSUING MH_REG(0x51008108u)
#define WAIT_STATES (MH_CLOCK_HZ > SCALE0_ABOVE_HZ ? 4u : 2u)

#define HSI_HZ 64000000u
#define APB_DIVIDER 4u /* HPRE 2, then 2: the USARTs' reset clock, rcc_pclk1 or 2 */
#define USART_CR1_FIFOEN (1u << 29)
/* RM0433 8.7.11: the range of the PLL's input; the loader keeps it within 2 to 16 MHz. */
#define PLL_RGE(hz) ((hz) >= 8000000u ? 3u : (hz) >= 4000000u ? 2u : 1u)
#define PLL_SETTINGS(source, hz, name)                                                             \
    {                                                                                              \
        (source) | (MH_##name##_PLL_M << RCC_PLLCKSELR_M_POS),                                     \
            (PLL_RGE((hz) / MH_##name##_PLL_M) << 2) | RCC_PLLCFGR_DIVP1EN,                        \
            ((MH_##name##_PLL_P - 1u) << 9) | (MH_##name##_PLL_N - 1u), MH_##name##_PLL_HZ         \
    }

typedef struct {
    uint32_t ckselr, cfgr, divr, hz;
} pll_settings;

/* RM0433 chapter 6, "System supply startup": writing CR3 once after power-on fixes the supply, and
 * unlocks VOS. */
static int start_supply(void)
{
    PWR_CR3 = (PWR_CR3 & ~PWR_CR3_MASK) | PWR_CR3_SUPPLY;
    if (!mh_wait_set(&PWR_CSR1, PWR_CSR1_ACTVOSRDY)) {
        return 0;
    }
    PWR_D3CR |= PWR_D3CR_VOS_SCALE1;
    if (!mh_wait_set(&PWR_D3CR, PWR_D3CR_VOSRDY)) {
        return 0;
    }
    if (MH_CLOCK_HZ > SCALE0_ABOVE_HZ) {
        RCC_APB4ENR |= RCC_APB4ENR_SYSCFGEN;
        (void)RCC_APB4ENR; /* the enable takes two bus cycles */
        SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
        (void)SYSCFG_PWRCR;
        return mh_wait_set(&PWR_D3CR, PWR_D3CR_VOSRDY);
    }
    return 1;
}

/* Back to the internal oscillator with buses undivided: from whatever a bootloader left running,
 * and where the start fails. */
static void clock_to_hsi(void)
{
    RCC_CR = (RCC_CR & ~RCC_CR_HSIDIV_MASK) | RCC_CR_HSION;
    (void)mh_wait_set(&RCC_CR, RCC_CR_HSIRDY);
    RCC_CFGR &= ~RCC_CFGR_SW_MASK;
    (void)mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, 0u);
    RCC_D1CFGR = 0u;
    RCC_D2CFGR = 0u;
    RCC_D3CFGR = 0u;
    RCC_CR &= ~(RCC_CR_PLL1ON | RCC_CR_HSEON);
    (void)mh_wait_field(&RCC_CR, RCC_CR_PLL1RDY, 0u);
    mh_clock_hz = HSI_HZ;
    mh_clock_is_pll = 0;
}

/* For the crystal, or where it does not start for the internal oscillator (within 1 %). */
static const pll_settings *pll_source(void)
{
#if MH_CFG_HSE_HZ > 0
    static const pll_settings hse = PLL_SETTINGS(RCC_PLLCKSELR_HSE, MH_CFG_HSE_HZ, HSE);
    RCC_CR |= (MH_CFG_HSE_BYPASS ? RCC_CR_HSEBYP : 0u) | RCC_CR_HSEON;
    if (mh_wait_set(&RCC_CR, RCC_CR_HSERDY)) {
        return &hse;
    }
#endif
    static const pll_settings hsi = PLL_SETTINGS(RCC_PLLCKSELR_HSI, HSI_HZ, HSI);
    return &hsi;
}

/* 0 where something did not get ready; nothing is switched then, or not for long. */
static int start_pll(void)
{
    const pll_settings *pll = pll_source();
    RCC_PLLCKSELR = pll->ckselr;
    RCC_PLLCFGR = pll->cfgr;
    RCC_PLL1DIVR = pll->divr;
    RCC_CR |= RCC_CR_PLL1ON;
    FLASH_ACR = FLASH_ACR_WRHIGHFREQ | WAIT_STATES;
    if (!mh_wait_field(&FLASH_ACR, 0xFu, WAIT_STATES) || !mh_wait_set(&RCC_CR, RCC_CR_PLL1RDY)) {
        return 0;
    }
    RCC_D1CFGR = RCC_D1CFGR_HPRE_DIV2 | RCC_D1CFGR_D1PPRE_DIV2; /* before the clock goes up */
    RCC_D2CFGR = RCC_D2CFGR_DIV2;
    RCC_D3CFGR = RCC_D3CFGR_DIV2;
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW_MASK) | RCC_CFGR_SW_PLL1;
    if (!mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL1)) {
        return 0;
    }
    mh_clock_hz = pll->hz;
    mh_clock_is_pll = 1;
    return 1;
}

static void start_clock(void)
{
#if MH_CFG_REV_Y
    AXI_SRAM_ISSUING = 1u;
#endif
    clock_to_hsi();
    if (!start_supply() || !start_pll()) {
        clock_to_hsi();
    }
}

void mh_port_init(void)
{
    start_clock();
    mh_caches_on();
    mh_cycles_start();
    RCC_AHB4ENR |= (1u << MH_CFG_TX_PORT) | (1u << MH_CFG_RX_PORT);
#ifdef MH_USART_APB1_BIT
    RCC_APB1LENR |= MH_USART_APB1_BIT;
#else
    RCC_APB2ENR |= MH_USART_APB2_BIT;
#endif
    (void)RCC_AHB4ENR;
    mh_console_pins(GPIO_A);
    mh_usart_start(mh_clock_is_pll ? mh_clock_hz / APB_DIVIDER : mh_clock_hz, USART_CR1_FIFOEN);
}
