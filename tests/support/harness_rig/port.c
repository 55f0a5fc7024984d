/* The smallest port: standard input and output, nanoseconds. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "board_config.h"
#include "mh_port.h"

uint32_t mh_arena_below[MH_GUARD_WORDS], mh_arena_above[MH_GUARD_WORDS];
static const uint8_t image[256] = "the image";

void mh_port_init(void)
{
}

void mh_port_watch(uint8_t on)
{
    (void)on;
}

uint8_t mh_port_image(uint32_t address, uint32_t bytes, const uint8_t **part)
{
    if (address > sizeof image || bytes > sizeof image - address) {
        return 0;
    }
    *part = image + address;
    return 1;
}

uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    const ssize_t n = read(0, dst, cap);
    if (n <= 0) {
        exit(0);
    }
    return (uint32_t)n;
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    while (n > 0) {
        const ssize_t done = write(1, src, n);
        if (done <= 0) {
            exit(0);
        }
        src += done;
        n -= (uint32_t)done;
    }
}

uint32_t mh_port_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000000000u + (uint32_t)now.tv_nsec;
}

uint32_t mh_port_stack_used(void)
{
    return 1234;
}

uint32_t mh_port_static_ram(void)
{
    return 4321;
}

uint32_t mh_port_clock_hz(void)
{
    return MH_CLOCK_HZ;
}

void mh_port_reset(void)
{
    char *argv[] = {(char *)"rig", NULL};
    execv("/proc/self/exe", argv);
    exit(1);
}
