#include "base/assert.h"
#include "base/macros.h"
#include "net/drain.h"
#include "net/route.h"
#include "net/sequential.h"
#include "net/turn.h"

#include "base/alloc.h"

#include <gearbox/worker.h>

/* What is a stream of this engine is one of ours. */
void gb__net_each(struct gb__net *net, void (*visit)(struct gb_conn *conn, int argument), int argument)
{
	struct gb__engine *engine = net->engine;

	for (uint32_t slot = 0; slot < engine->slots_used; slot++) {
		struct gb__endpoint *endpoint = engine->slots[slot];

		if (!((uintptr_t)endpoint & 1u) && gb__endpoint_is_stream(endpoint))
			visit(gb__conn_of((struct gb__stream *)endpoint), argument);
	}
}

static void visit_queue(struct gb_conn *conn, int argument)
{
	(void)argument;
	gb__conn_queue(conn);
}

/* Those who have something left to do, or wait for the beginning of a drain to be over. */
static void more(struct gb__net *net)
{
	if (net->drain_turns > 0 && --net->drain_turns == 0) {
		gb__net_each(net, visit_queue, 0);
		if (net->sequential && gb__net_clients(net) == 0)
			net->sequential->drain(net);
	}
	if (net->ready)
		net->sequential->run(net);
	if (net->turn_first)
		gb__conn_turn(net);
}

static void publish_engine(struct gb__net *net)
{
	const struct gb__engine_stats *engine = &net->engine->stats;

	__atomic_store_n(&net->counters->waits, engine->waits, __ATOMIC_RELAXED);
	__atomic_store_n(&net->counters->events, engine->events, __ATOMIC_RELAXED);
}

void gb__net_turn_rest(struct gb__net *net)
{
	publish_engine(net);
	gb__loop_rest(net->loop);
	if (net->turn_more)
		more(net);
}

int gb__net_turn(struct gb__net *net, int64_t timeout_ns)
{
	int result;

	if (net->draining)
		timeout_ns = gb__net_drain_count(net, timeout_ns);
	if (net->turn_first | net->drain_turns | net->ready)
		timeout_ns = 0;
	result = gb__loop_turn(net->loop, timeout_ns);
	if (net->turn_more)
		more(net);
	gb__net_publish(net);
	publish_engine(net);
	return result;
}

int64_t gb__net_sleep_ns(struct gb__net *net)
{
	int64_t bound_ns = net->draining ? gb__net_drain_count(net, -1) : -1;

	return net->turn_more ? 0 : gb__loop_sleep_ns(net->loop, bound_ns);
}

static void keep_up(struct gb__net *net)
{
	const uint64_t due_ms = net->upkeep.run(net->upkeep.arg);

	if (due_ms != UINT64_MAX)
		gb__wheel_add(&net->loop->wheel, &net->upkeep.node, due_ms);
}

void gb__net_keep_up(struct gb__net *net, uint64_t (*run)(void *arg), void *arg)
{
	gb__assert(!net->upkeep.run);
	net->upkeep.run = run;
	net->upkeep.arg = arg;
	keep_up(net);
}

static void on_deadline(struct gb__wheel_node *node, void *arg)
{
	struct gb__net *net = arg;

	if (gb__unlikely(node == &net->trim.node))
		gb__trim_look(net);
	else if (gb__unlikely(node == &net->upkeep.node))
		keep_up(net);
	else if (gb__unlikely(node == &net->fronts.node))
		gb__fronts_look(net);
	else
		gb__conn_on_deadline(node, arg);
}

static void on_tick(void *arg)
{
	gb__ledger_look(arg);
}

/* Of nets that nobody can ask. */
static struct gb__ledger unasked;

void gb__net_init(struct gb__net *net, struct gb__loop *loop, const struct gb__limits *limits,
	struct gb__counters *counters, _Atomic uint64_t *connections_total)
{
	*net = (struct gb__net){
		.loop = loop,
		.engine = loop->engine,
		.limits = limits,
		.counters = counters,
		.tally = { counters->stats.messages, counters->stats.bytes_in, counters->stats.bytes_out },
		.connections_total = connections_total,
		.plain = true,
		.tracing.ledger = &unasked,
		.sends_at_once = loop->engine->ops->caps & GB__ENGINE_SENDS_AT_ONCE,
	};
	net->burst.size_max = gb__min(limits->output_high, GB__INPUT_MAX);
	net->direct = net->plain && net->burst.size_max == GB__INPUT_MAX;
	gb__trim_init(net);
	gb__wheel_node_init(&net->upkeep.node);
	gb__fronts_init(net);
	loop->on_deadline = on_deadline;
	loop->on_tick = on_tick;
	loop->arg = net;
}

/* Many workers never need it: a process or a thread per connection that echoes, for one. */
bool gb__burst_room(struct gb__burst *burst)
{
	burst->copied = gb__alloc(GB__BURST_SIZE);
	return burst->copied;
}

void gb__net_finish(struct gb__net *net)
{
	gb__assert(net->connections == 0);
	gb__assert(net->tasks == 0 && net->waiting.count == 0);
	gb__assert(net->coroutines == 0 && net->offloads == 0);
	net->census = (struct gb__census){ 0 };
	gb__net_census_publish(net);
	gb__net_publish(net); /* of what was in flight when the last turn ended */
	gb__wheel_remove(&net->loop->wheel, &net->trim.node);
	gb__wheel_remove(&net->loop->wheel, &net->upkeep.node);
	gb__fronts_finish(net);
	gb__free(net->parked);
	gb__free(net->burst.copied);
	gb__free(net->tracing.leave);
	gb__free(net->noted);
	gb__replies_finish(net);
	gb__terms_finish(net);
	gb__net_routes_finish(net);
	gb__slabs_finish(&net->slabs);
}

void gb__net_submit_to(
	struct gb__net *net, void (*submit)(void *arg, struct gb__job *job), void *arg, unsigned tasks_max)
{
	net->submit = submit;
	net->submit_arg = arg;
	net->tasks_max = tasks_max;
	net->plain = net->direct = false;
}

static void visit_abort(struct gb_conn *conn, int reason)
{
	struct gb__os *os = conn->net->loop->os;

	if (conn->state != GB__CONN_LINGERING)
		conn->flags |= GB__CONN_RESET;
	/* The handler may not return before the process ends. */
	if (conn->flags & GB__CONN_TASKED)
		os->ops->reset_on_close(os, conn->stream.endpoint.fd);
	gb__conn_end(conn, reason, 0);
}

void gb__net_abort_all(struct gb__net *net, int reason)
{
	gb__net_each(net, visit_abort, reason);
	if (net->sequential) /* who starts one from here on is told as well */
		net->sequential->cancel(net);
}
