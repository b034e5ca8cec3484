/** Precise one-shot timers: a binary heap of the callers' gb_timer, ordered by deadline, then by start. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <gearbox/worker.h>

struct gb__timer_entry {
	uint64_t deadline_ns, order;
	struct gb_timer *timer;
};

struct gb__timers {
	struct gb__timer_entry *heap;
	size_t count, size;
	size_t reserved;  /* timers that can be started whatever memory there is */
	uint64_t started; /* timers ever started: breaks ties first-in first-out */
};

void gb__timers_init(struct gb__timers *timers);
/** Running timers are stopped. */
void gb__timers_finish(struct gb__timers *timers);
/** (Re)start at timer->deadline_ns. Returns 0 or -ENOMEM (a running timer stays as it was). */
int gb__timers_start(struct gb__timers *timers, struct gb_timer *timer);
/** Set memory aside for `count` more timers that start by the next function. Returns 0 or -ENOMEM. */
int gb__timers_reserve(struct gb__timers *timers, size_t count);
/** As gb__timers_start, for a timer that a place was reserved for: it cannot fail. */
void gb__timers_start_reserved(struct gb__timers *timers, struct gb_timer *timer);
void gb__timers_stop(struct gb__timers *timers, struct gb_timer *timer);
/** Run what is due at `now_ns`; timers started meanwhile wait for the next call. Returns how many ran. */
unsigned gb__timers_run(struct gb__timers *timers, uint64_t now_ns);
/** The earliest deadline, or UINT64_MAX. */
uint64_t gb__timers_next_ns(const struct gb__timers *timers);

#endif
