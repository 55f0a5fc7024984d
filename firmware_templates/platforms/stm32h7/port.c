/* STM32H743 (revision V): supply and voltage scale, clock (PLL1), caches, USART console, cycle
 * counter. Up to 480 MHz; revision Y of the chip ends at 400 MHz. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_stm32.h"
#include "mh_stm32_usart.h"

#define GPIO_A 0x58020000u

/* RM0433 chapter 6 */
#define PWR_CSR1 MH_REG(0x58024804u)
#define PWR_CR3 MH_REG(0x5802480Cu)
#define PWR_D3CR MH_REG(0x58024818u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3_MASK 7u /* SCUEN, LDOEN, BYPASS */
#define PWR_CR3_LDOEN 2u
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
#define RCC_PLLCFGR_RGE_8_TO_16_MHZ (3u << 2)
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_APB4ENR_SYSCFGEN (1u << 1)
/* RM0433 chapter 4: 4 wait states at 240 MHz (scale 0), 2 at 200 MHz (scale 1) */
#define FLASH_ACR MH_REG(0x52002000u)
#define FLASH_ACR_WRHIGHFREQ (2u << 4)
#define WAIT_STATES (MH_CLOCK_HZ > SCALE0_ABOVE_HZ ? 4u : 2u)

/* PLL1: input 8 MHz, VCO (wide range) twice the processor's clock, P = 2. */
#define PLL_INPUT_HZ 8000000u
#define HSI_HZ 64000000u
#define PLL_N (2u * MH_CLOCK_HZ / PLL_INPUT_HZ)
#define PLL_P 2u
#define APB_HZ (MH_CLOCK_HZ / 4u) /* HPRE 2, then 2: the USARTs' reset clock, rcc_pclk1 or 2 */
#define USART_CR1_FIFOEN (1u << 29)

/* RM0433 chapter 6, "System supply startup": writing CR3 once after power-on fixes the supply, and
 * unlocks VOS. */
static void start_supply(void)
{
    PWR_CR3 = (PWR_CR3 & ~PWR_CR3_MASK) | PWR_CR3_LDOEN;
    mh_wait_field(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY);
    PWR_D3CR |= PWR_D3CR_VOS_SCALE1;
    mh_wait_field(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
    if (MH_CLOCK_HZ > SCALE0_ABOVE_HZ) {
        RCC_APB4ENR |= RCC_APB4ENR_SYSCFGEN;
        (void)RCC_APB4ENR; /* the enable takes two bus cycles */
        SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
        (void)SYSCFG_PWRCR;
        mh_wait_field(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
    }
}

static void start_clock(void)
{
    RCC_CR |= (MH_CFG_HSE_BYPASS ? RCC_CR_HSEBYP : 0u) | RCC_CR_HSEON;
    if (mh_wait_set(&RCC_CR, RCC_CR_HSERDY)) {
        RCC_PLLCKSELR = RCC_PLLCKSELR_HSE | ((MH_CFG_HSE_HZ / PLL_INPUT_HZ) << RCC_PLLCKSELR_M_POS);
    } else { /* no clock from the debugger: the internal oscillator is within 1 % */
        RCC_PLLCKSELR = RCC_PLLCKSELR_HSI | ((HSI_HZ / PLL_INPUT_HZ) << RCC_PLLCKSELR_M_POS);
    }
    RCC_PLLCFGR = RCC_PLLCFGR_RGE_8_TO_16_MHZ | RCC_PLLCFGR_DIVP1EN;
    RCC_PLL1DIVR = ((PLL_P - 1u) << 9) | (PLL_N - 1u);
    RCC_CR |= RCC_CR_PLL1ON;
    FLASH_ACR = FLASH_ACR_WRHIGHFREQ | WAIT_STATES;
    mh_wait_field(&FLASH_ACR, 0xFu, WAIT_STATES);
    RCC_D1CFGR = RCC_D1CFGR_HPRE_DIV2 | RCC_D1CFGR_D1PPRE_DIV2; /* before the clock goes up */
    RCC_D2CFGR = RCC_D2CFGR_DIV2;
    RCC_D3CFGR = RCC_D3CFGR_DIV2;
    mh_wait_field(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW_MASK) | RCC_CFGR_SW_PLL1;
    mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL1);
}

void mh_port_init(void)
{
    start_supply();
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
    mh_usart_start(APB_HZ, USART_CR1_FIFOEN);
}
