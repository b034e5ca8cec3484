/**
 * The ledger: where the time of messages goes, timed for one in so many while an observer asks for it (gearbox/observe.h).
 *
 * Off, it costs a branch where messages are handed over, and the short way of input (net/direct.h) does not even have that:
 * while it is on nothing is direct. Whether it is on is looked for with each tick of the loop's clock.
 */
#ifndef NET_LEDGER_H
#define NET_LEDGER_H

#include <gearbox/observe.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gb_conn;
struct gb__net;
struct gb__task;

/** In memory that workers and observers share. */
struct gb__ledger {
	_Atomic uint32_t every;    /* one message in so many */
	_Atomic uint64_t until_ms; /* of the monotonic clock: until then */
	struct gb_stage_times stages[GB_STAGE_COUNT];
};

/** What was timed of one worker; several threads add. */
struct gb__sampled {
	uint64_t messages, run_ns, cpu_ns;
	uint64_t active; /* connections that moved bytes within a second */
};

#define GB__LEDGER_LEAVING 16u /* messages whose output is waited for */

/** A worker's own. */
struct gb__tracing {
	struct gb__ledger *ledger; /* never NULL */
	bool on;
	bool pools; /* the message that is handed over is to be timed in the pool, if it goes there */
	uint32_t every, left;   /* messages until the next one that is timed */
	uint64_t turn, turn_ns; /* the engine's count of waits, and when the first message of it came */
	uint64_t counted_ms;    /* when connections were looked at */
	unsigned leaving;
	struct gb__leaving
		*leave; /* so many of GB__LEDGER_LEAVING; NULL while it is off, or without memory */
};

/** A connection whose output is waited for. */
struct gb__leaving {
	uint32_t slot, generation;
	uint64_t since_ns;
};

/** An observer wants one message in `every`, or 0; or it was on. Thread: the loop's. */
void gb__ledger_switch(struct gb__net *net, uint32_t every);
/** A message, in place of its handler. */
void gb__ledger_hand(struct gb_conn *conn, struct gb_bytes message);
/** A task on a pool thread, likewise; and that it is back. */
void gb__ledger_run(struct gb__task *task, struct gb_bytes message);
void gb__ledger_back(struct gb_conn *conn, const struct gb__task *task);
/** A connection was accepted; its descriptor may be lost (< 0). */
void gb__ledger_accepted(struct gb__net *net, int fd);
/** Perhaps all output of a connection has left: while tracing.leaving is not 0. */
void gb__ledger_left(struct gb_conn *conn);

#endif
