/* Tries a platform's port by itself: each command is one letter and a 32-bit number.
 * H at start-up. E: echoes n bytes. S: takes n bytes, sends their sum. T: ticks of a loop of n
 * turns. U: stack used and static RAM. F: fault of kind n. R: reset. */
#include "mh_port.h"

static uint8_t queue[256];
static uint32_t queued;
static uint32_t taken;
static volatile uint32_t zero;

static uint8_t get(void)
{
    while (taken == queued) {
        queued = mh_port_read(queue, sizeof queue);
        taken = 0;
    }
    return queue[taken++];
}

static uint32_t get32(void)
{
    uint32_t value = 0;
    for (uint32_t shift = 0; shift < 32; shift += 8) {
        value |= (uint32_t)get() << shift;
    }
    return value;
}

static void put32(uint32_t value)
{
    uint8_t bytes[4];
    for (uint32_t i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    mh_port_write(bytes, 4);
}

static void put(char letter)
{
    const uint8_t byte = (uint8_t)letter;
    mh_port_write(&byte, 1);
}

void mh_fault(uint32_t code, uint32_t pc, uint32_t address)
{
    put('!');
    put32(code);
    put32(pc);
    put32(address);
    mh_port_reset();
}

void mh_watch_tick(uint32_t ms, uint32_t pc)
{
    (void)ms;
    (void)pc;
}

/* Two instructions a turn on Arm. */
static __attribute__((noinline)) void turn(uint32_t n)
{
#if defined(__arm__)
    __asm volatile("1: subs %0, %0, #1\n\tbne 1b" : "+r"(n)::"cc");
#else
    for (volatile uint32_t i = 0; i < n; i++) {
    }
#endif
}

static __attribute__((noinline)) uint32_t deeper(uint32_t depth)
{
    volatile uint8_t frame[200];
    frame[depth % 200] = 1;
    return zero == 1 ? 0 : deeper(depth + 1) + frame[0];
}

static void fault(uint32_t kind)
{
    if (kind == 0) {
        put32(*(volatile uint32_t *)(uintptr_t)0xE2345678u); /* a bus fault on Arm */
    } else if (kind == 1) {
        put32(deeper(0));
    } else if (kind == 2) {
        __builtin_trap();
    } else {
        put32(5u / zero);
    }
}

static void command(uint8_t letter, uint32_t n)
{
    uint32_t sum = 0;
    switch (letter) {
    case 'E':
        while (n-- > 0) {
            put((char)get());
        }
        break;
    case 'S':
        while (n-- > 0) {
            sum = sum * 31u + get();
        }
        put32(sum);
        break;
    case 'T':
        sum = mh_port_ticks();
        turn(n);
        put32(mh_port_ticks() - sum);
        break;
    case 'U':
        put32(mh_port_stack_used());
        put32(mh_port_static_ram());
        break;
    case 'F':
        fault(n);
        break;
    case 'R':
        mh_port_reset();
        break;
    default:
        put('?');
    }
}

int main(void)
{
    mh_port_init();
    put('H');
    for (;;) {
        const uint8_t letter = get();
        command(letter, get32());
    }
}
