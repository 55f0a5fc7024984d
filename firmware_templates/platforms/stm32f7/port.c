/* STM32F746: clock (PLL with over-drive), caches, USART console, cycle counter. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_stm32.h"
#include "mh_stm32_clock.h"
#include "mh_stm32_usart.h"

#define GPIO_A 0x40020000u

#define RCC_DCKCFGR2 MH_REG(0x40023890u) /* RM0385 chapter 5 */
/* USARTnSEL = 1: the USART runs on SYSCLK, which divides to the baud rate more exactly than APB. */
#define RCC_DCKCFGR2_SYSCLK (1u << (2u * (MH_CFG_USART - 1u)))
#define FLASH_ACR_ARTEN (1u << 9)
#define OVERDRIVE_ABOVE_HZ 0u /* always */

void mh_port_init(void)
{
    mh_caches_on();
    mh_clock_start(0u, FLASH_ACR_ARTEN, OVERDRIVE_ABOVE_HZ);
    mh_cycles_start();
    RCC_DCKCFGR2 |= RCC_DCKCFGR2_SYSCLK;
    mh_console_clocks();
    mh_console_pins(GPIO_A);
    mh_usart_start(mh_clock_hz, 0u); /* SYSCLK */
}
