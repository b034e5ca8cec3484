/**
 * The turn that nearly all are: nothing was left from the one before, there are no timers, and what comes are events.
 * It comes to the same as gb__net_turn without a bound of its own, which asks for all of it one by one; in line, for
 * the one loop around the turns of a worker.
 */
#ifndef NET_TURN_H
#define NET_TURN_H

#include "net/net.h"

/** Whether the next turn may be plain. */
static inline bool gb__net_turns_plainly(const struct gb__net *net)
{
	const struct gb__loop *loop = net->loop;

	return !(net->turn_more | loop->timers.count | loop->busy_poll_ns);
}

/** What was counted, for others to read. */
static inline void gb__net_publish(const struct gb__net *net)
{
	struct gb__counters *counters = net->counters;

	__atomic_store_n(&counters->stats.messages, net->tally.messages, __ATOMIC_RELAXED);
	__atomic_store_n(&counters->stats.bytes_in, net->tally.bytes_in, __ATOMIC_RELAXED);
	__atomic_store_n(&counters->stats.bytes_out, net->tally.bytes_out, __ATOMIC_RELAXED);
}

/** Whether anything has come up in a turn besides events: what is left of that one, and what the next would ask for before
 *  its wait. Between the two nothing of it changes. */
static inline uint64_t gb__net_came_up(const struct gb__net *net)
{
	const struct gb__loop *loop = net->loop;

	return gb__loop_has_rest(loop) | net->turn_more | (loop->wheel.next ^ loop->seen_next);
}

/** What came up in it besides events; at least the clock, with which the engine's counters are published. */
void gb__net_turn_rest(struct gb__net *net);

/** How long its wait may last: the next tick of the wheel is never now. */
static inline uint64_t gb__net_sleep_plain_ns(struct gb__net *net)
{
	if (gb__unlikely(gb__loop_looks(net->loop)))
		gb__loop_look(net->loop);
	return net->loop->wheel_ns;
}

static inline __attribute__((always_inline)) int gb__net_turn_plain(struct gb__net *net)
{
	struct gb__loop *loop = net->loop;
	int result = gb__loop_sleep(loop, gb__net_sleep_plain_ns(net));

	if (gb__unlikely(gb__loop_has_rest(loop) | net->turn_more))
		gb__net_turn_rest(net);
	gb__net_publish(net);
	return result;
}

#endif
