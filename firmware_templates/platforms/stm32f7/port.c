/* STM32F746: clock (PLL with over-drive), caches, USART console, cycle counter. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_stm32.h"
#include "mh_stm32_usart.h"

#define GPIO_A 0x40020000u

/* RM0385 chapter 5 */
#define RCC_CR MH_REG(0x40023800u)
#define RCC_PLLCFGR MH_REG(0x40023804u)
#define RCC_CFGR MH_REG(0x40023808u)
#define RCC_AHB1ENR MH_REG(0x40023830u)
#define RCC_APB1ENR MH_REG(0x40023840u)
#define RCC_APB2ENR MH_REG(0x40023844u)
#define RCC_DCKCFGR2 MH_REG(0x40023890u)
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
/* USARTnSEL = 1: the USART runs on SYSCLK, which divides to the baud rate more exactly than APB. */
#define RCC_DCKCFGR2_SYSCLK (1u << (2u * (MH_CFG_USART - 1u)))
/* RM0385 chapter 4 */
#define PWR_CR1 MH_REG(0x40007000u)
#define PWR_CSR1 MH_REG(0x40007004u)
#define PWR_CR1_VOS_SCALE1 (3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)
/* RM0385 chapter 3: one wait state per 30 MHz at 2.7 to 3.6 V */
#define FLASH_ACR MH_REG(0x40023C00u)
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ARTEN (1u << 9)
#define WAIT_STATES ((MH_CLOCK_HZ - 1u) / 30000000u)

/* The PLL's input is 2 MHz, its VCO twice the processor's clock; Q keeps the 48 MHz domain legal.
 */
#define PLL_INPUT_HZ 2000000u
#define HSI_HZ 16000000u
#define PLL_N (2u * MH_CLOCK_HZ / PLL_INPUT_HZ)
#define PLL_Q ((2u * MH_CLOCK_HZ + 47999999u) / 48000000u)

/* RM0385 chapter 4, "Entering Over-drive mode": the order of PLL, over-drive, wait states and
 * switch. */
static void start_clock(void)
{
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR; /* the enable takes two bus cycles */
    PWR_CR1 |= PWR_CR1_VOS_SCALE1;
    RCC_CR |= (MH_CFG_HSE_BYPASS ? RCC_CR_HSEBYP : 0u) | RCC_CR_HSEON;
    if (mh_wait_set(&RCC_CR, RCC_CR_HSERDY)) {
        RCC_PLLCFGR =
            (PLL_Q << 24) | RCC_PLLCFGR_HSE | (PLL_N << 6) | (MH_CFG_HSE_HZ / PLL_INPUT_HZ);
    } else { /* no clock from the debugger: the internal oscillator is within 1 % */
        RCC_PLLCFGR = (PLL_Q << 24) | (PLL_N << 6) | (HSI_HZ / PLL_INPUT_HZ);
    }
    RCC_CR |= RCC_CR_PLLON;
    PWR_CR1 |= PWR_CR1_ODEN;
    mh_wait_field(&PWR_CSR1, PWR_CSR1_ODRDY, PWR_CSR1_ODRDY);
    PWR_CR1 |= PWR_CR1_ODSWEN;
    mh_wait_field(&PWR_CSR1, PWR_CSR1_ODSWRDY, PWR_CSR1_ODSWRDY);
    mh_wait_field(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
    FLASH_ACR = FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN | WAIT_STATES;
    mh_wait_field(&FLASH_ACR, 0xFu, WAIT_STATES);
    RCC_CFGR = RCC_CFGR_APB1_DIV4 | RCC_CFGR_APB2_DIV2 | RCC_CFGR_SW_PLL;
    mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL);
}

void mh_port_init(void)
{
    mh_caches_on();
    start_clock();
    mh_cycles_start();
    RCC_AHB1ENR |= (1u << MH_CFG_TX_PORT) | (1u << MH_CFG_RX_PORT);
    RCC_DCKCFGR2 |= RCC_DCKCFGR2_SYSCLK;
#ifdef MH_USART_APB1_BIT
    RCC_APB1ENR |= MH_USART_APB1_BIT;
#else
    RCC_APB2ENR |= MH_USART_APB2_BIT;
#endif
    (void)RCC_AHB1ENR;
    mh_console_pins(GPIO_A);
    mh_usart_start(MH_CLOCK_HZ, 0u);
}

void mh_platform_console_irq(void)
{
    mh_usart_irq();
}

uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    return mh_ring_take(dst, cap);
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    mh_usart_write(src, n);
}

uint32_t mh_port_ticks(void)
{
    return DWT_CYCCNT;
}

void mh_port_reset(void)
{
    mh_usart_drain();
    mh_system_reset();
}
