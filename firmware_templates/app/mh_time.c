#include "mh_time.h"

#include "board_config.h"
#include "mh_port.h"

static uint32_t empty; /* instructions (or ticks) between two stamps with nothing in between */

#if MH_TICK_INSTRUCTIONS > 0

/* A tick of an emulated board is 40 instructions or more, too coarse for a small layer. A vernier
 * reads finer: each turn of read_ticks takes the same number of instructions (the step, measured at
 * start-up), so the readings fall on different phases of the tick, and only one phase of the first
 * reading (or a few neighbours) explains them all. */
#define TICK ((int32_t)MH_TICK_INSTRUCTIONS)
#define READINGS 40 /* about as many as a tick has instructions: fewer leave more phases open */
#define CALIBRATION_TURNS 1000u /* the step, exact to a twentieth of an instruction */

static int32_t step;

/* Not inlined, so that every stamp runs the same instructions; stride 0 keeps only the last. */
static __attribute__((noinline)) void read_ticks(volatile uint8_t *dst, uint32_t stride, uint32_t n)
{
    while (n-- > 0) {
        *dst = (uint8_t)mh_port_ticks();
        dst += stride;
    }
}

static void measure_step(void)
{
    volatile uint8_t last;
    const uint32_t from = mh_port_ticks();
    read_ticks(&last, 0, CALIBRATION_TURNS);
    const uint32_t ticks = mh_port_ticks() - from;
    step = (int32_t)((ticks * (uint32_t)TICK + CALIBRATION_TURNS / 2u) / CALIBRATION_TURNS);
}

mh_stamp mh_time_now(void)
{
    volatile uint8_t readings[READINGS];
    const uint32_t before = mh_port_ticks();
    read_ticks(readings, 1, READINGS);
    const uint8_t first = readings[0];
    int32_t low = 0;
    int32_t high = TICK - 1;
    for (int32_t i = 1; i < READINGS; i++) {
        const int32_t edge = (int32_t)(uint8_t)(readings[i] - first) * TICK - i * step;
        low = edge > low ? edge : low;
        high = edge + TICK - 1 < high ? edge + TICK - 1 : high;
    }
    mh_stamp now = {.tick = before + (uint8_t)(first - (uint8_t)before)};
    now.phase = low <= high ? (uint32_t)(low + high) / 2u : 0u;
    return now;
}

static uint64_t between(mh_stamp from, mh_stamp to)
{
    return (uint64_t)(to.tick - from.tick) * (uint32_t)TICK + to.phase - from.phase;
}

/* Ticks to the nearest, from whole ticks and what is left: no division of 64 bits. */
mh_elapsed mh_time_between(mh_stamp from, mh_stamp to)
{
    const uint64_t raw = between(from, to);
    if (raw <= empty) {
        return (mh_elapsed){.ticks = 0u};
    }
    const int32_t rest = (int32_t)(to.phase - from.phase - empty) + TICK / 2;
    const int32_t more = rest >= 0 ? rest / TICK : -((TICK - 1 - rest) / TICK);
    return (mh_elapsed){.ticks = to.tick - from.tick + (uint32_t)more, .instructions = raw - empty};
}

#else

static void measure_step(void)
{
}

mh_stamp mh_time_now(void)
{
    return (mh_stamp){.tick = mh_port_ticks()};
}

static uint32_t between(mh_stamp from, mh_stamp to)
{
    return to.tick - from.tick;
}

mh_elapsed mh_time_between(mh_stamp from, mh_stamp to)
{
    const uint32_t raw = between(from, to);
    return (mh_elapsed){.ticks = raw > empty ? raw - empty : 0u};
}

#endif

mh_elapsed mh_time_without(mh_elapsed elapsed, uint32_t ticks)
{
    const uint64_t instructions = (uint64_t)ticks * MH_TICK_INSTRUCTIONS;
    elapsed.ticks -= ticks < elapsed.ticks ? ticks : elapsed.ticks;
    elapsed.instructions -=
        instructions < elapsed.instructions ? instructions : elapsed.instructions;
    return elapsed;
}

void mh_time_init(void)
{
    measure_step();
    empty = UINT32_MAX;
    for (int32_t i = 0; i < 8; i++) { /* the first ones meet cold caches: the least counts */
        const mh_stamp from = mh_time_now();
        const mh_stamp to = mh_time_now();
        const uint32_t taken = (uint32_t)between(from, to);
        empty = taken < empty ? taken : empty;
    }
}
