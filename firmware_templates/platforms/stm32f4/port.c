/* STM32F4 (written for the F446, RM0390; the F405 and F411 differ only in numbers): clock, USART
 * console, cycle counter. Under QEMU (MH_TICK_INSTRUCTIONS > 0), which models neither RCC nor DWT,
 * TIM2 counts. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"
#include "mh_stm32.h"
#include "mh_stm32_clock.h"

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

#ifdef MH_USART_APB1_BIT
#define APB_DIVIDER 4u
#else
#define APB_DIVIDER 2u
#endif

#if MH_TICK_INSTRUCTIONS == 0

/* RM0390: PLLCFGR has an R, which must not be 0; caches of FLASH_ACR; over-drive of the F446 */
#define PLL_R (2u << 28)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)
#define OVERDRIVE_ABOVE_HZ 168000000u

static void start_clock(void)
{
    mh_clock_start(PLL_R, FLASH_ACR_ICEN | FLASH_ACR_DCEN, OVERDRIVE_ABOVE_HZ);
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
    mh_console_clocks();
    mh_console_pins(GPIO_A);
}

#define mh_idle() ((void)0)

#else /* QEMU */

/* QEMU's TIM2 counts virtual nanoseconds from reset; written to, it would also raise alarms. */
#define TIM2_CNT MH_REG(0x40000024u)

static void start_clock(void)
{
    mh_clock_hz = MH_CLOCK_HZ;
    mh_clock_is_pll = 1;
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
    const uint32_t usart_hz = mh_clock_is_pll ? mh_clock_hz / APB_DIVIDER : mh_clock_hz;
    USART_BRR = (usart_hz + MH_BAUD / 2u) / MH_BAUD;
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
