/* nRF52840: 64 MHz from the crystal, UART0 (without DMA: single bytes are cheaper that way), cycle
 * counter. Registers: nRF52840 Product Specification v1.7, the section named at each block. */
#include "board_config.h"
#include "mh_cortex.h"
#include "mh_platform.h"
#include "mh_port.h"
#include "mh_ring.h"

/* 5.4 CLOCK */
#define CLOCK_TASKS_HFCLKSTART MH_REG(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED MH_REG(0x40000100u)
/* 4.3 NVMC: the instruction cache is off after reset */
#define NVMC_ICACHECNF MH_REG(0x4001E540u)
#define NVMC_ICACHECNF_CACHEEN 1u
#define NVMC_READY MH_REG(0x4001E400u)
#define NVMC_CONFIG MH_REG(0x4001E504u)
#define NVMC_CONFIG_REN 0u
#define NVMC_CONFIG_WEN 1u
/* 4.4 FICR: the chip and its variant, as the vendor's start-up code reads them */
#define FICR_CHIP MH_REG(0x10000130u)
#define FICR_VARIANT MH_REG(0x10000134u)
#define FICR_CHIP_NRF52840 8u
#define FICR_VARIANT_F 5u
/* 4.8.2 "Access port protection controlled by hardware and software" */
#define UICR_APPROTECT MH_REG(0x10001208u)
#define APPROTECT_DISABLE MH_REG(0x40000558u)
#define UICR_ERASED 0xFFFFFFFFu
#define UICR_HW_DISABLED 0x5Au
/* 6.9 GPIO: P0 and P1 */
#define GPIO_OUTSET(port) MH_REG(0x50000508u + (port)*0x300u)
#define GPIO_PIN_CNF(port, pin) MH_REG(0x50000700u + (port)*0x300u + 4u * (pin))
#define GPIO_PIN_CNF_OUTPUT 3u /* output, input buffer disconnected */
#define GPIO_PIN_CNF_INPUT_PULLUP (3u << 2)
/* 6.33 UART */
#define UART_TASKS_STARTRX MH_REG(0x40002000u)
#define UART_TASKS_STARTTX MH_REG(0x40002008u)
#define UART_EVENTS_RXDRDY MH_REG(0x40002108u)
#define UART_EVENTS_TXDRDY MH_REG(0x4000211Cu)
#define UART_EVENTS_ERROR MH_REG(0x40002124u)
#define UART_INTENSET MH_REG(0x40002304u)
#define UART_ERRORSRC MH_REG(0x40002480u)
#define UART_ENABLE MH_REG(0x40002500u)
#define UART_PSELTXD MH_REG(0x4000250Cu)
#define UART_PSELRXD MH_REG(0x40002514u)
#define UART_RXD MH_REG(0x40002518u)
#define UART_TXD MH_REG(0x4000251Cu)
#define UART_BAUDRATE MH_REG(0x40002524u)
#define UART_CONFIG MH_REG(0x4000256Cu)
#define UART_ENABLE_UART 4u
#define UART_INT_RXDRDY (1u << 2)
#define UART_INT_ERROR (1u << 9)

#if MH_BAUD == 115200
#define BAUDRATE 0x01D7E000u
#elif MH_BAUD == 230400
#define BAUDRATE 0x03AFB000u
#elif MH_BAUD == 460800
#define BAUDRATE 0x075F7000u
#elif MH_BAUD == 921600
#define BAUDRATE 0x0EBED000u
#elif MH_BAUD == 1000000
#define BAUDRATE 0x10000000u
#else
#error "the nRF52's UART has no such baud rate: 115200, 230400, 460800, 921600 or 1000000"
#endif

#define READY_TURNS 1000000u /* 90 ms or more; crystal and flash need less than 1 */

static int wait_event(volatile uint32_t *reg)
{
    for (uint32_t turn = 0u; turn < READY_TURNS; turn++) {
        if (*reg != 0u) {
            return 1;
        }
    }
    return 0;
}

/* From build code Fxx on (all new boards) the debug port is locked after every reset but the first,
 * unless UICR says HwDisabled and the firmware repeats it. An erased UICR is filled in, so that the
 * board can be flashed again; one that locks on purpose (0) is left and keeps the port locked. */
static void open_debug_port(void)
{
    if (FICR_CHIP != FICR_CHIP_NRF52840 || FICR_VARIANT < FICR_VARIANT_F) {
        return; /* there is no such register */
    }
    if (UICR_APPROTECT == UICR_ERASED) {
        NVMC_CONFIG = NVMC_CONFIG_WEN;
        if (wait_event(&NVMC_READY)) {
            UICR_APPROTECT = UICR_HW_DISABLED;
            (void)wait_event(&NVMC_READY);
        }
        NVMC_CONFIG = NVMC_CONFIG_REN;
        if (UICR_APPROTECT == UICR_HW_DISABLED) {
            mh_system_reset(); /* the hardware reads UICR at reset */
        }
    }
    APPROTECT_DISABLE = UICR_APPROTECT;
}

/* Pin numbers count on from P0.31 to P1.00, as the PSEL registers do. */
static void start_console(void)
{
    GPIO_OUTSET(MH_CFG_TX_PIN / 32u) = 1u << (MH_CFG_TX_PIN % 32u); /* idle is high */
    GPIO_PIN_CNF(MH_CFG_TX_PIN / 32u, MH_CFG_TX_PIN % 32u) = GPIO_PIN_CNF_OUTPUT;
    GPIO_PIN_CNF(MH_CFG_RX_PIN / 32u, MH_CFG_RX_PIN % 32u) = GPIO_PIN_CNF_INPUT_PULLUP;
    UART_PSELTXD = MH_CFG_TX_PIN;
    UART_PSELRXD = MH_CFG_RX_PIN;
    UART_BAUDRATE = BAUDRATE;
    UART_CONFIG = 0u; /* 8N1, no hardware flow control */
    UART_INTENSET = UART_INT_RXDRDY | UART_INT_ERROR;
    UART_ENABLE = UART_ENABLE_UART;
    UART_TASKS_STARTRX = 1u;
    UART_TASKS_STARTTX = 1u;
    mh_irq_enable(MH_PLATFORM_CONSOLE_IRQ);
}

void mh_port_init(void)
{
    open_debug_port();
    NVMC_ICACHECNF = NVMC_ICACHECNF_CACHEEN;
    CLOCK_EVENTS_HFCLKSTARTED = 0u;
    CLOCK_TASKS_HFCLKSTART = 1u;
    (void)wait_event(
        &CLOCK_EVENTS_HFCLKSTARTED); /* else the internal oscillator goes on, at 64 MHz */
    mh_cycles_start();
    start_console();
}

void mh_platform_console_irq(void)
{
    if (UART_EVENTS_ERROR != 0u) {
        UART_EVENTS_ERROR = 0u;
        UART_ERRORSRC = UART_ERRORSRC; /* write one to clear */
    }
    while (UART_EVENTS_RXDRDY != 0u) {
        UART_EVENTS_RXDRDY = 0u; /* before the read, which raises it again for the next byte */
        mh_ring_put((uint8_t)UART_RXD);
    }
}

uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    return mh_ring_take(dst, cap);
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i++) {
        UART_EVENTS_TXDRDY = 0u;
        UART_TXD = src[i];
        while (UART_EVENTS_TXDRDY == 0u) {
        }
    }
}

uint32_t mh_port_ticks(void)
{
    return DWT_CYCCNT;
}

uint32_t mh_port_clock_hz(void)
{
    return MH_CLOCK_HZ;
}

void mh_port_reset(void)
{
    mh_system_reset();
}
