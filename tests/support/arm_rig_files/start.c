/* Runs the cases of cases.c on an emulated Cortex-M and prints one line each over semihosting:
 *
 *   <case> <status> <wrong output bytes> <first wrong> <bytes written outside> <ticks>
 *
 * A tick is 40 executed instructions (timer 0 under -icount shift=0), on MPS3 50 (cycle counter).
 * Memory is not initialised from flash: nothing here has initial values in RAM.
 */
#include <stdint.h>
#include <string.h>

#include "cases.h"

#if defined(__ARM_FEATURE_MVE)
#define STACK_TOP 0x21400000
#define COUNTER (*(volatile uint32_t *)0x49302018)
static void count_ticks(void)
{
    ((volatile uint32_t *)0x49302018)[1] = 0; /* no prescaler */
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
}
#else
#define STACK_TOP 0x20400000
#define TIMER ((volatile uint32_t *)0x40000000)
#define COUNTER (~TIMER[1]) /* it counts down */
static void count_ticks(void)
{
    TIMER[0] = 0;
    TIMER[2] = 0xffffffffu;
    TIMER[1] = 0xffffffffu;
    TIMER[0] = 1;
}
#endif
#define GUARD 64

static int8_t input[MAX_INS][MAX_IN + GUARD] __attribute__((aligned(16)));
static int8_t output[MAX_OUTS][MAX_OUT + 2 * GUARD] __attribute__((aligned(16)));
static int8_t scratch[MAX_SCRATCH + 2 * GUARD] __attribute__((aligned(16)));

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

static uint32_t disturbed(const int8_t *bytes, uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        found += bytes[i] != (int8_t)0x5a;
    }
    return found;
}

static uint32_t outside(const test_case *c)
{
    uint32_t found = disturbed(scratch, GUARD);
    found += disturbed(scratch + GUARD + c->scratch_bytes, GUARD);
    for (uint32_t i = 0; i < c->outs; i++) {
        uint32_t bytes = c->out_bytes[i];
        if (i == 0 && c->inplace >= 0 && c->in_bytes[c->inplace] > bytes) {
            bytes = c->in_bytes[c->inplace];
        }
        found += disturbed(output[i], GUARD);
        found += disturbed(output[i] + GUARD + bytes, GUARD);
    }
    return found;
}

static void run(uint32_t index)
{
    const test_case *c = &test_cases[index];
    const int8_t *ins[MAX_INS];
    int8_t *outs[MAX_OUTS];
    uint32_t status = 0, wrong = 0, first = 0, ticks = 0, outer = 0;
    for (uint32_t turn = 0; turn < c->turns; turn++) {
        memset(output, 0x5a, sizeof output);
        memset(scratch, 0x5a, sizeof scratch);
        for (uint32_t i = 0; i < c->ins; i++) {
            memcpy(input[i], c->in[i], c->in_bytes[i]);
            ins[i] = input[i];
        }
        for (uint32_t i = 0; i < c->outs; i++) {
            outs[i] = output[i] + GUARD;
        }
        if (c->inplace >= 0) {
            memcpy(outs[0], ins[c->inplace], c->in_bytes[c->inplace]);
            ins[c->inplace] = outs[0];
        }
        const uint32_t start = COUNTER;
        status |= (uint32_t)c->call(ins, outs, scratch + GUARD);
        ticks += COUNTER - start;
        outer += outside(c);
    }
    for (uint32_t o = 0; o < c->outs; o++) {
        for (uint32_t i = 0; i < c->out_bytes[o]; i++) {
            if (outs[o][i] != c->out[o][i]) {
                first = wrong++ ? first : i;
            }
        }
    }
    print_number(index, ' ');
    print_number(status, ' ');
    print_number(wrong, ' ');
    print_number(first, ' ');
    print_number(outer, ' ');
    print_number(ticks, '\n');
}

void reset(void)
{
    count_ticks();
    for (uint32_t i = 0; i < TEST_CASES; i++) {
        run(i);
    }
    print("done\n");
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
