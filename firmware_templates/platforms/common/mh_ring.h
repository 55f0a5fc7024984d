/* Receive ring between the UART's interrupt (one writer) and mh_port_read (one reader). Bytes that
 * arrive while the processor computes are kept; a full ring drops, and the frame CRC tells. */
#ifndef MH_RING_H
#define MH_RING_H

#include "mh_port.h"

#define MH_RING_BYTES MH_PORT_RX_BYTES
#if (MH_RING_BYTES & (MH_RING_BYTES - 1u)) != 0u
#error "the ring's size must be a power of two: its counters run on over 2^32"
#endif

static volatile uint8_t mh_ring[MH_RING_BYTES];
static volatile uint32_t mh_ring_head; /* next write, only the interrupt changes it */
static volatile uint32_t mh_ring_tail; /* next read, only the application changes it */

static inline void mh_ring_put(uint8_t byte)
{
    const uint32_t head = mh_ring_head;
    if (head - mh_ring_tail < MH_RING_BYTES) {
        mh_ring[head % MH_RING_BYTES] = byte;
        mh_ring_head = head + 1u;
    }
}

static inline int mh_ring_is_empty(void)
{
    return mh_ring_head == mh_ring_tail;
}

static inline uint32_t mh_ring_take(uint8_t *dst, uint32_t cap)
{
    uint32_t tail = mh_ring_tail;
    uint32_t n = mh_ring_head - tail;
    n = n < cap ? n : cap;
    for (uint32_t i = 0u; i < n; i++) {
        dst[i] = mh_ring[tail++ % MH_RING_BYTES];
    }
    mh_ring_tail = tail;
    return n;
}

#endif
