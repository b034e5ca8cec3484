/**
 * When requests are sent, and how many.
 *
 * A closed loop keeps `depth` of them unanswered on each connection until the messages or the time are used up; each is
 * due when it is sent. An open loop has arrivals: each request is due at its time and goes to whichever connection has
 * fewer than `depth` unanswered, however late that is; latency counts from when it was due, so that waiting behind a slow
 * reply is not left out. What was due before the end is handed out after it, too.
 *
 * A schedule knows neither sockets nor bytes.
 */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H

#include "load/arrivals.h"

#define SCHEDULE_NO_BOUND UINT64_MAX

struct schedule {
	uint32_t depth;           /* unanswered requests per connection */
	uint64_t share;           /* requests of each connection, or SCHEDULE_NO_BOUND */
	uint64_t left;            /* requests not handed out yet, or SCHEDULE_NO_BOUND */
	bool open;                /* an open loop, by `arrivals` */
	struct arrivals arrivals; /* filled in but for its own */
	uint64_t next_ns;         /* open: when the next request is due */
	uint64_t end_ns;          /* none are due from then on */
};

/** Requests to send now. */
struct schedule_batch {
	uint32_t count;
	uint64_t due_ns; /* since when */
};

/** The load begins, without an end. Nothing is handed out before. */
void gb__schedule_begin(struct schedule *schedule, uint64_t now_ns);
/** It ends so long after a time; SCHEDULE_NO_BOUND: not. */
void gb__schedule_last(struct schedule *schedule, uint64_t from_ns, uint64_t lasting_ns);
/** It ends at once: nothing is handed out any more. */
void gb__schedule_end(struct schedule *schedule);
/** Whether nothing will be handed out any more, to nobody. */
bool gb__schedule_ended(const struct schedule *schedule, uint64_t now_ns);
/** Open: the next request that is due but was not handed out, to give it up. Returns false when there is none. */
bool gb__schedule_skip(struct schedule *schedule, uint64_t now_ns, uint64_t *ret_due_ns);

/**
 * What a connection is to send now; to be asked when it opens and after each reply, until `count` is 0. An open loop
 * is to be asked at `next_ns` as well, for any connection.
 *
 * `*share` is what is left of its share (at first `schedule->share`), `room` how many more it may have unanswered. In a
 * closed loop a connection has done its part when the count is 0 and nothing is awaited.
 */
struct schedule_batch gb__schedule_take(
	struct schedule *schedule, uint64_t *share, uint32_t room, uint64_t now_ns);

#endif
