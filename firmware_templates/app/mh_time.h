/* Times a piece of code in ticks and, on boards whose ticks count instructions, in instructions. */
#ifndef MH_TIME_H
#define MH_TIME_H

#include <stdint.h>

typedef struct {
    uint32_t tick;
    uint32_t phase; /* instructions since the tick's edge */
} mh_stamp;

typedef struct {
    uint64_t ticks;
    uint64_t instructions; /* 0 where ticks do not count instructions */
} mh_elapsed;

/* Measures what an empty measurement takes; mh_time_between takes it off. */
void mh_time_init(void);
mh_stamp mh_time_now(void);
mh_elapsed mh_time_between(mh_stamp from, mh_stamp to);
/* What is left of an interval without so many ticks. */
mh_elapsed mh_time_without(mh_elapsed elapsed, uint32_t ticks);

#endif
