#include "mh_watch.h"

#include "board_config.h"
#include "mh_messages.h"
#include "mh_model.h"
#include "mh_port.h"
#include "mh_reply.h"

/* Between two signs of life. An emulator can be a hundred times slower than its board, and the host
 * waits by its own clock: there each tick of the watch (50 ms) is one. On a board they are two
 * short frames a second, four in what the host waits for (device/channel.py). */
#if MH_TICK_INSTRUCTIONS > 0
#define BEAT_MS 20u
#else
#define BEAT_MS 500u
#endif

static volatile uint32_t taken;
static uint32_t limit;
static uint32_t layer_ms;
static uint32_t quiet_ms;
static uint16_t layer;

void mh_watch_start(uint32_t limit_ms)
{
    limit = limit_ms;
    layer_ms = 0;
    quiet_ms = 0;
    layer = MH_NO_LAYER;
    mh_acknowledge(MH_NO_LAYER);
    mh_port_watch(limit_ms != 0);
}

void mh_watch_stop(void)
{
    mh_port_watch(0);
}

uint32_t mh_watch_taken(void)
{
    return taken;
}

void mh_watch_tick(uint32_t ms, uint32_t pc)
{
    const uint32_t from = mh_port_ticks();
    const uint16_t now = mh_layer_now;
    /* The tick's time counts for the layer that it ends in: too little, never too much. */
    layer_ms = now == layer ? layer_ms + ms : 0u;
    layer = now;
    if (limit != 0 && now != MH_NO_LAYER && layer_ms >= limit) {
        mh_fault(MH_FAULT_WATCHDOG, pc, layer_ms);
    }
    quiet_ms += ms;
    if (quiet_ms >= BEAT_MS) {
        quiet_ms = 0;
        mh_acknowledge(now);
    }
    taken += mh_port_ticks() - from;
}
