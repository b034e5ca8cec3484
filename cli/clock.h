/** The clocks of the kernel, and pauses. */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Nanoseconds of a clock that always can be read: CLOCK_MONOTONIC, or the CPU time of this process or thread. */
uint64_t gb__clock_ns(clockid_t clock);

/** Milliseconds of the monotonic clock. */
uint64_t gb__clock_ms(void);

/** Wait so long; a signal that is handled ends it earlier. */
void gb__clock_pause(uint64_t ns);

#endif
