/* What a platform gives to the application; nothing else may differ between boards. */
#ifndef MH_PORT_H
#define MH_PORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that a platform keeps for mh_port_read while the application computes; a board whose port
 * keeps fewer says so in its file: config = { RX_WINDOW = bytes }, 0 for none. */
#define MH_PORT_RX_BYTES 1024u /* the longest frame and most of the next; 11 ms at 921,600 baud */

/* Words on either side of the arena that nothing may write; placed by the linker script. */
#define MH_GUARD_WORDS 4u /* 16 bytes, which leaves the arena where it is aligned to */
extern uint32_t mh_arena_below[MH_GUARD_WORDS], mh_arena_above[MH_GUARD_WORDS];

/* Clocks, console and tick counter; called once, first thing in main. */
void mh_port_init(void);
/* Bytes that have arrived, at most cap; 0 where there are none (an emulated board may sleep until
 * the next byte first, a host process up to 0.1 s). */
uint32_t mh_port_read(uint8_t *dst, uint32_t cap);
/* Sends n bytes; returns when they are handed to the hardware. */
void mh_port_write(const uint8_t *src, uint32_t n);
/* Free-running 32-bit counter, counting up, MH_TICK_HZ per second (board_config.h). */
uint32_t mh_port_ticks(void);
/* What the processor runs at: MH_CLOCK_HZ, or less where crystal, supply or PLL did not start. */
uint32_t mh_port_clock_hz(void);
/* High-water mark of the stack in bytes since reset (the start-up code paints it). */
uint32_t mh_port_stack_used(void);
/* Bytes of RAM taken at link time: .data + .bss (the arena included). */
uint32_t mh_port_static_ram(void);
/* Where a part of the image that was flashed can be read: address and bytes as in the ELF's load
 * segments (a host: as in its file). Returns 0 where it is not all code or constants; the first
 * part can lie at address 0. */
uint8_t mh_port_image(uint32_t address, uint32_t bytes, const uint8_t **part);
/* While on, mh_watch_tick is called every 20 to 200 ms from an interrupt that the console's can
 * preempt. */
void mh_port_watch(uint8_t on);
/* Implemented by the harness; ms since the last call or the start, pc of what was interrupted. */
void mh_watch_tick(uint32_t ms, uint32_t pc);
/* Restarts the firmware; does not return. */
void mh_port_reset(void);
/* The platform's fault handler calls this (implemented by the harness): sends a fault frame with
 * the layer, then resets. code: one of MH_FAULT_... (mh_messages.h). */
void mh_fault(uint32_t code, uint32_t pc, uint32_t address);

#ifdef __cplusplus
}
#endif
#endif
