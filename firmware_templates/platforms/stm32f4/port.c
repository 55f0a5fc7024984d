/* STM32F4 (written for the F446, RM0390; the F405 and F411 differ only in numbers): clock, USART
 * console, cycle counter. Under QEMU (MH_TICK_INSTRUCTIONS > 0), which models neither RCC nor DWT,
 * TIM2 counts. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"
#include "mh_stm32.h"

#define GPIO_A 0x40020000u

/* RM0390 chapter 25 (the F4's older USART) */
#define USART_SR MH_REG(MH_USART_BASE + 0x00u)
#define USART_DR MH_REG(MH_USART_BASE + 0x04u)
#define USART_BRR MH_REG(MH_USART_BASE + 0x08u)
#define USART_CR1 MH_REG(MH_USART_BASE + 0x0Cu)
#define USART_SR_ORE (1u << 3)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TC (1u << 6)
#define USART_SR_TXE (1u << 7)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_UE (1u << 13)

#define APB1_HZ (MH_CLOCK_HZ / 4u)
#define APB2_HZ (MH_CLOCK_HZ / 2u)
#ifdef MH_USART_APB1_BIT
#define USART_HZ APB1_HZ
#else
#define USART_HZ APB2_HZ
#endif

#if MH_TICK_INSTRUCTIONS == 0

/* RM0390 chapter 6 */
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
/* RM0390 chapter 5 */
#define PWR_CR MH_REG(0x40007000u)
#define PWR_CSR MH_REG(0x40007004u)
#define PWR_CR_VOS_SCALE1 (3u << 14)
#define PWR_CR_ODEN (1u << 16)
#define PWR_CR_ODSWEN (1u << 17)
#define PWR_CSR_ODRDY (1u << 16)
#define PWR_CSR_ODSWRDY (1u << 17)
#define OVERDRIVE_ABOVE_HZ 168000000u
/* RM0390 chapter 3: one wait state per 30 MHz at 2.7 to 3.6 V */
#define FLASH_ACR MH_REG(0x40023C00u)
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)
#define WAIT_STATES ((MH_CLOCK_HZ - 1u) / 30000000u)

/* The PLL's input is 2 MHz, its VCO twice the processor's clock; Q keeps the 48 MHz domain legal.
 */
#define PLL_INPUT_HZ 2000000u
#define HSI_HZ 16000000u
#define PLL_N (2u * MH_CLOCK_HZ / PLL_INPUT_HZ)
#define PLL_Q ((2u * MH_CLOCK_HZ + 47999999u) / 48000000u)
#define PLL_R (2u << 28)

static void start_clock(void)
{
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR; /* the enable takes two bus cycles */
    PWR_CR |= PWR_CR_VOS_SCALE1;
    RCC_CR |= (MH_CFG_HSE_BYPASS ? RCC_CR_HSEBYP : 0u) | RCC_CR_HSEON;
    if (mh_wait_set(&RCC_CR, RCC_CR_HSERDY)) {
        RCC_PLLCFGR =
            PLL_R | (PLL_Q << 24) | RCC_PLLCFGR_HSE | (PLL_N << 6) | (MH_CFG_HSE_HZ / PLL_INPUT_HZ);
    } else { /* no clock from the debugger: the internal oscillator is within 1 % */
        RCC_PLLCFGR = PLL_R | (PLL_Q << 24) | (PLL_N << 6) | (HSI_HZ / PLL_INPUT_HZ);
    }
    RCC_CR |= RCC_CR_PLLON;
    if (MH_CLOCK_HZ > OVERDRIVE_ABOVE_HZ) { /* RM0390 chapter 5, "Entering Over-drive mode" */
        PWR_CR |= PWR_CR_ODEN;
        mh_wait_field(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY);
        PWR_CR |= PWR_CR_ODSWEN;
        mh_wait_field(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY);
    }
    mh_wait_field(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
    FLASH_ACR = FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN | WAIT_STATES;
    mh_wait_field(&FLASH_ACR, 0xFu, WAIT_STATES);
    RCC_CFGR = RCC_CFGR_APB1_DIV4 | RCC_CFGR_APB2_DIV2 | RCC_CFGR_SW_PLL;
    mh_wait_field(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL);
}

static void start_ticks(void)
{
    mh_cycles_start();
}

uint32_t mh_port_ticks(void)
{
    return DWT_CYCCNT;
}

static void enable_console(void)
{
    RCC_AHB1ENR |= (1u << MH_CFG_TX_PORT) | (1u << MH_CFG_RX_PORT);
#ifdef MH_USART_APB1_BIT
    RCC_APB1ENR |= MH_USART_APB1_BIT;
#else
    RCC_APB2ENR |= MH_USART_APB2_BIT;
#endif
    (void)RCC_AHB1ENR;
    mh_console_pins(GPIO_A);
}

#define mh_idle() ((void)0)

#else /* QEMU */

/* QEMU's TIM2 counts virtual nanoseconds from reset; written to, it would also raise alarms. */
#define TIM2_CNT MH_REG(0x40000024u)

static void start_clock(void)
{
}

static void start_ticks(void)
{
}

static void enable_console(void)
{
}

uint32_t mh_port_ticks(void)
{
    return TIM2_CNT;
}

/* Sleeps until the next byte, so that a board left running takes no processor time of the host. */
static void mh_idle(void)
{
    __asm volatile("cpsid i" ::: "memory");
    if (mh_ring_is_empty()) {
        __asm volatile("wfi" ::: "memory");
    }
    __asm volatile("cpsie i" ::: "memory");
}

#endif

void mh_port_init(void)
{
    start_clock();
    start_ticks();
    enable_console();
    USART_BRR = (USART_HZ + MH_BAUD / 2u) / MH_BAUD;
    USART_CR1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE | USART_CR1_RXNEIE;
    mh_irq_enable(MH_USART_IRQ);
}

void mh_platform_console_irq(void)
{
    /* Reading SR, then DR, also clears an overrun; its byte is lost and the frame's CRC tells. */
    while ((USART_SR & (USART_SR_RXNE | USART_SR_ORE)) != 0u) {
        mh_ring_put((uint8_t)USART_DR);
    }
}

uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    mh_idle();
    return mh_ring_take(dst, cap);
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i++) {
        while ((USART_SR & USART_SR_TXE) == 0u) {
        }
        USART_DR = src[i];
    }
}

void mh_port_reset(void)
{
    while ((USART_SR & USART_SR_TC) == 0u) {
    }
    mh_system_reset();
}
