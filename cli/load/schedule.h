/**
 * When requests are sent, and how many: a closed loop, which keeps `depth` of them unanswered on each
 * connection until the messages or the time are used up.
 *
 * A schedule knows neither sockets nor bytes. Each request has the time at which it was due, and latency
 * counts from there: in a closed loop that is the moment of sending; a schedule at a fixed rate would
 * say when it should have been sent, so that waiting behind a slow reply is not left out.
 */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_NO_BOUND UINT64_MAX

struct schedule {
	uint32_t depth;      /* unanswered requests per connection */
	uint64_t share;      /* requests of each connection, or SCHEDULE_NO_BOUND */
	uint64_t left;       /* requests not handed out yet, or SCHEDULE_NO_BOUND */
	uint64_t lasting_ns; /* how long requests are handed out, or SCHEDULE_NO_BOUND */
	uint64_t end_ns;     /* none are from then on; set by gb__schedule_begin */
};

/** Requests to send now. */
struct schedule_batch {
	uint32_t count;
	uint64_t due_ns; /* since when */
};

/** The load begins. Nothing is handed out before. */
void gb__schedule_begin(struct schedule *schedule, uint64_t now_ns);
/** It ends early: nothing is handed out any more. */
void gb__schedule_end(struct schedule *schedule);
/** Whether nothing will be handed out any more, to nobody. */
bool gb__schedule_ended(const struct schedule *schedule, uint64_t now_ns);

/**
 * What a connection is to send now; to be asked when it opens and after each reply, until `count` is 0.
 *
 * `*share` is what is left of its share (at first `schedule->share`), `awaited` its unanswered requests.
 * When the count is 0 and nothing is awaited, the connection has done its part.
 */
struct schedule_batch gb__schedule_take(
	struct schedule *schedule, uint64_t *share, uint32_t awaited, uint64_t now_ns);

#endif
