/**
 * What time it is, for handlers that tell it, and for programs and tests that say so.
 *
 * A clock of the program's own reaches what is told: gb_clock_wall_ns and gb_clock_monotonic_ns, the built-in services that
 * tell the time, the stamps of log lines. It does not reach what waits: deadlines, timers and durations are the kernel's.
 */
#ifndef GEARBOX_CLOCK_H
#define GEARBOX_CLOCK_H

#include <gearbox/types.h>

GB_BEGIN

/** Any of them may be NULL: the kernel's. Thread: any, several at a time. */
struct gb_clock {
	int64_t (*wall_ns)(void *arg);       /* nanoseconds since 1970, UTC */
	uint64_t (*monotonic_ns)(void *arg); /* nanoseconds since some moment, which never become less */
	void *arg;
};

/** Nanoseconds since 1970, UTC. Thread: any. */
GB_API int64_t gb_clock_wall_ns(void);

/** Nanoseconds since some moment; for durations. Thread: any. */
GB_API uint64_t gb_clock_monotonic_ns(void);

/** Use a clock from now on, in this process and those that it forks later; NULL: the kernel's. Copies. Call it while no
 *  server runs. */
GB_API void gb_clock_set(const struct gb_clock *clock);

GB_END

#endif
