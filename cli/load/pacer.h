/**
 * A call at a time of the monotonic clock, to some microseconds: the timers of an engine may have a millisecond's grain.
 *
 * A timerfd, watched by the worker's loop. Thread: the worker's.
 */
#ifndef LOAD_PACER_H
#define LOAD_PACER_H

#include <gearbox/watch.h>
#include <gearbox/worker.h>

struct pacer {
	int fd;
	uint64_t at_ns; /* what it is set to; 0: nothing */
	struct gb_watch *watch;
	void (*on_time)(void *user);
	void *user;
};

/** Begin; `on_time` follows each gb__pacer_set. Returns 0 or an error as gb_watch_add. */
int gb__pacer_init(struct pacer *pacer, struct gb_worker *worker, void (*on_time)(void *user), void *user);
/** One call at a time, or as soon as it is over; 0 takes the last one back. */
void gb__pacer_set(struct pacer *pacer, uint64_t at_ns);
/** End it; zeroed memory is fine. */
void gb__pacer_finish(struct pacer *pacer);

#endif
