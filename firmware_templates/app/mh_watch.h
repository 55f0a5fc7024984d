/* Watches a run of the model: tells the host that it goes on, and ends a layer that never does. */
#ifndef MH_WATCH_H
#define MH_WATCH_H

#include <stdint.h>

/* Acknowledges the request and begins; a layer that takes longer than limit_ms is reported as a
 * fault, and the board restarts. 0: nothing is watched, and no interrupt comes. */
void mh_watch_start(uint32_t limit_ms);
void mh_watch_stop(void);
/* Ticks that the watch has taken from the application so far; runs over. */
uint32_t mh_watch_taken(void);

#endif
