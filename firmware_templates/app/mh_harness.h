/* The application: answers requests with the model that is linked in. main.c runs it. */
#ifndef MH_HARNESS_H
#define MH_HARNESS_H

#include <stdint.h>

/* After mh_port_init: the model, the clock's calibration, the route of the build. */
void mh_harness_init(void);
/* Takes bytes off the wire and answers every frame that they complete. */
void mh_harness_feed(const uint8_t *bytes, uint32_t n);

#endif
