/* Runs a port's start on the host. Registers keep what is written; the few that answer by
 * themselves do so here, each only where its letter is among the arguments:
 * h crystal, p PLL, s supply and over-drive, w switch, n flash controller. ADDRESS=VALUE presets.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mh_cortex.h"
#include "mh_port.h"

#define CELLS 256

static struct {
    uint32_t address;
    volatile uint32_t value;
} cells[CELLS];
static unsigned used;
static const char *works = "";

static volatile uint32_t *cell(uint32_t address)
{
    for (unsigned i = 0; i < used; i++) {
        if (cells[i].address == address) {
            return &cells[i].value;
        }
    }
    if (used == CELLS) {
        abort();
    }
    cells[used].address = address;
    return &cells[used++].value;
}

/* Where the bit on is set and the thing works, the bit ready is too. */
static void follow(uint32_t address, uint32_t on, uint32_t ready, char what)
{
    volatile uint32_t *reg = cell(address);
    *reg &= ~ready;
    if ((*reg & on) != 0u && strchr(works, what) != NULL) {
        *reg |= ready;
    }
}

volatile uint32_t *rig_register(uint32_t address)
{
    switch (address) {
    case 0x40023800u: /* F4, F7: RCC_CR */
    case 0x58024400u: /* H7 */
        follow(address, 1u << 16, 1u << 17, 'h');
        follow(address, 1u << 24, 1u << 25, 'p');
        *cell(address) |= address == 0x58024400u ? 1u << 2 : 1u << 1; /* HSIRDY */
        break;
    case 0x40023808u: /* RCC_CFGR: SWS follows SW */
        follow(address, 2u, 2u << 2, 'w');
        break;
    case 0x58024410u:
        follow(address, 3u, 3u << 3, 'w');
        break;
    case 0x40007004u: /* PWR_CSR: over-drive */
        *cell(address) = strchr(works, 's') != NULL ? *cell(0x40007000u) & (3u << 16) : 0u;
        break;
    case 0x58024804u: /* H7: ACTVOSRDY; VOSRDY */
    case 0x58024818u:
        *cell(address) |= strchr(works, 's') != NULL ? 1u << 13 : 0u;
        break;
    case 0x40000100u: /* nRF52: HFCLKSTARTED after its task */
        *cell(address) = strchr(works, 'h') != NULL ? *cell(0x40000000u) : 0u;
        break;
    case 0x4001E400u: /* nRF52: NVMC.READY */
        *cell(address) = strchr(works, 'n') != NULL;
        break;
    default:
        break;
    }
    return cell(address);
}

static void tell(int resets)
{
    printf("clock_hz %" PRIu32 "\nresets %d\n", mh_port_clock_hz(), resets);
    for (unsigned i = 0; i < used; i++) {
        printf("0x%08" PRIx32 " %" PRIu32 "\n", cells[i].address, cells[i].value);
    }
    exit(0);
}

void mh_system_reset(void)
{
    tell(1);
}

int main(int argc, char **argv)
{
    works = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        *cell((uint32_t)strtoul(argv[i], NULL, 0)) = (uint32_t)strtoul(value + 1, NULL, 0);
    }
    mh_port_init();
    tell(0);
}
