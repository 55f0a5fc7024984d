/* Runs every model of models.h on the inputs of its known answers, twice (the second time from a
 * dirty arena), and prints one line each: <model> <0, or what is wrong: 1 status, 2 answer>.
 *
 * The same code on this machine and, over semihosting, on an emulated Cortex-M. */
#include "models.h"

#if defined(__arm__)
static void print(const char *text)
{
    register uint32_t operation __asm__("r0") = 4;
    register const char *argument __asm__("r1") = text;
    __asm__ volatile("bkpt 0xab" : "+r"(operation) : "r"(argument) : "memory");
}

static void finish(uint32_t reason)
{
    register uint32_t operation __asm__("r0") = 0x18;
    register uint32_t argument __asm__("r1") = reason;
    __asm__ volatile("bkpt 0xab" : "+r"(operation) : "r"(argument) : "memory");
    for (;;) {
    }
}
#else
#include <stdio.h>

static void print(const char *text)
{
    (void)fputs(text, stdout);
    (void)fflush(stdout);
}
#endif

static uint32_t crc32_of(uint32_t crc, const uint8_t *data, uint32_t n)
{
    crc = ~crc;
    for (uint32_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}

static uint32_t fault_of(const model *m, const mh_kat_vector *answer)
{
    uint32_t x = answer->seed, crc = 0;
    for (uint8_t i = 0; i < m->info->inputs; i++) {
        const mh_buffer buffer = m->input(i);
        for (uint32_t n = 0; n < buffer.bytes; n++) {
            x = x * 1664525u + 1013904223u;
            ((uint8_t *)buffer.data)[n] = (uint8_t)(x >> 24);
        }
    }
    if (m->run(NULL, NULL) != MH_OK) {
        return 1;
    }
    for (uint8_t i = 0; i < m->info->outputs; i++) {
        crc = crc32_of(crc, m->output(i).data, m->output(i).bytes);
    }
    return crc == answer->crc ? 0 : 2;
}

static void print_number(uint32_t value, char after)
{
    char text[12];
    char *at = text + 11;
    *at = 0;
    *--at = after;
    do {
        *--at = (char)('0' + value % 10u);
        value /= 10u;
    } while (value);
    print(at);
}

static void run_all(void)
{
    for (uint32_t n = 0; n < MODELS; n++) {
        const model *m = &models[n];
        uint32_t fault = 0;
        for (int round = 0; round < 2; round++) {
            for (uint16_t i = 0; i < *m->answers && fault == 0; i++) {
                fault = fault_of(m, &m->answer[i]);
            }
        }
        print_number(n, ' ');
        print_number(fault, '\n');
    }
    print("done\n");
}

#if defined(__arm__)
#if defined(__ARM_FEATURE_MVE)
#define STACK_TOP 0x21400000
#else
#define STACK_TOP 0x20400000
#endif

void reset(void)
{
#if defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    run_all();
    finish(0x20026);
}

void fault(void)
{
    print("fault\n");
    finish(0x20023);
}

typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    (vector)STACK_TOP, reset, fault, fault, fault, fault, fault,
};
#else
int main(void)
{
    run_all();
    return 0;
}
#endif
