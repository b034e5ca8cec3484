#include "net/ledger.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/task.h"
#include "os/thread.h"

#define ACTIVE_MS 1000u

static uint64_t now_ns(const struct gb__net *net)
{
	return net->loop->os->ops->now_ns(net->loop->os);
}

static void add(uint64_t *counter, uint64_t amount)
{
	__atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

static void enter(struct gb__ledger *ledger, enum gb_stage stage, uint64_t ns)
{
	struct gb_stage_times *times = &ledger->stages[stage];

	add(&times->buckets[gb_stage_bucket(ns)], 1);
	add(&times->sum_ns, ns);
	add(&times->count, 1);
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static void switch_to(struct gb__net *net, bool on)
{
	struct gb__tracing *tracing = &net->tracing;

	tracing->on = on;
	tracing->leaving = 0;
	gb__free(tracing->leave);
	tracing->leave = on ? gb__alloc(GB__LEDGER_LEAVING * sizeof(*tracing->leave)) : NULL;
	net->direct = !on && net->plain && net->burst.size_max == GB__INPUT_MAX;
	if (!on)
		__atomic_store_n(&net->counters->sampled.active, 0, __ATOMIC_RELAXED);
}

static void count_active(struct gb__net *net)
{
	const struct gb__engine *engine = net->engine;
	uint64_t active = 0;

	for (uint32_t slot = 0; slot < engine->slots_used; slot++) {
		const struct gb__endpoint *endpoint = engine->slots[slot];

		if ((uintptr_t)endpoint & 1u || !gb__endpoint_is_stream(endpoint))
			continue;
		active += gb__net_elapsed(net, ((const struct gb_conn *)endpoint)->active_ms) < ACTIVE_MS;
	}
	__atomic_store_n(&net->counters->sampled.active, active, __ATOMIC_RELAXED);
}

void gb__ledger_switch(struct gb__net *net, uint32_t every)
{
	struct gb__tracing *tracing = &net->tracing;
	const struct gb__ledger *ledger = tracing->ledger;
	const uint64_t now_ms = net->engine->now_ms;

	if (every > 0 && now_ms >= atomic_load_explicit(&ledger->until_ms, memory_order_relaxed))
		every = 0;
	if (!!every != tracing->on)
		switch_to(net, every);
	tracing->every = every;
	if (tracing->on && now_ms - tracing->counted_ms >= ACTIVE_MS) {
		tracing->counted_ms = now_ms;
		count_active(net);
	}
}

/* Room for it may be held by those that have ended. */
static bool leave_room(struct gb__net *net)
{
	struct gb__tracing *tracing = &net->tracing;
	unsigned kept = 0;

	if (tracing->leaving < GB__LEDGER_LEAVING)
		return tracing->leave;
	for (unsigned i = 0; i < tracing->leaving; i++)
		if (gb__engine_find(net->engine, tracing->leave[i].slot, tracing->leave[i].generation))
			tracing->leave[kept++] = tracing->leave[i];
	tracing->leaving = kept;
	return kept < GB__LEDGER_LEAVING;
}

/* Its handler is done; what it sent leaves now or later. */
static void leaves(struct gb_conn *conn, uint64_t since_ns)
{
	struct gb__tracing *tracing = &conn->net->tracing;

	if (conn->state >= GB__CONN_ENDED || !leave_room(conn->net))
		return;
	tracing->leave[tracing->leaving++] = (struct gb__leaving){ conn->stream.endpoint.slot,
		conn->stream.endpoint.generation, since_ns };
}

void gb__ledger_left(struct gb_conn *conn)
{
	struct gb__tracing *tracing = &conn->net->tracing;
	unsigned kept = 0;
	uint64_t now;

	if (!gb__conn_next_empty(conn) || (conn->flags & (GB__CONN_FLUSHING | GB__CONN_REPLIES)))
		return;
	now = now_ns(conn->net);
	for (unsigned i = 0; i < tracing->leaving; i++) {
		if (tracing->leave[i].slot != conn->stream.endpoint.slot ||
			tracing->leave[i].generation != conn->stream.endpoint.generation)
			tracing->leave[kept++] = tracing->leave[i];
		else
			enter(tracing->ledger, GB_STAGE_OUTPUT, since(now, tracing->leave[i].since_ns));
	}
	tracing->leaving = kept;
}

struct timing {
	uint64_t begun_ns, ended_ns, cpu_ns;
};

/* Thread: the loop's, or a pool's. */
static struct timing run_timed(const struct gb__net *net,
	void (*on_message)(struct gb_conn *, struct gb_bytes), struct gb_conn *conn, struct gb_bytes message)
{
	struct timing timing;

	timing.cpu_ns = gb__thread_cpu_ns();
	timing.begun_ns = now_ns(net);
	on_message(conn, message);
	timing.ended_ns = now_ns(net);
	timing.cpu_ns = since(gb__thread_cpu_ns(), timing.cpu_ns);
	return timing;
}

static void enter_run(const struct gb__net *net, const struct timing *timing, uint64_t queued_ns)
{
	struct gb__sampled *sampled = &net->counters->sampled;
	const uint64_t run_ns = since(timing->ended_ns, timing->begun_ns);

	enter(net->tracing.ledger, GB_STAGE_QUEUE, since(timing->begun_ns, queued_ns));
	enter(net->tracing.ledger, GB_STAGE_RUN, run_ns);
	add(&sampled->run_ns, run_ns);
	add(&sampled->cpu_ns, gb__min(timing->cpu_ns, run_ns)); /* more was the clocks' */
	add(&sampled->messages, 1);
}

static void hand(struct gb_conn *conn, struct gb_bytes message)
{
	if (conn->net->submit && !conn->terms->here)
		gb__task_submit(conn, message);
	else
		conn->terms->on_message(conn, message);
}

void gb__ledger_hand(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__net *net = conn->net;
	struct gb__tracing *tracing = &net->tracing;
	const uint64_t turn = net->engine->stats.waits;
	struct timing timing;

	if (tracing->turn != turn) {
		tracing->turn = turn;
		tracing->turn_ns = now_ns(net);
	}
	/* A straight-line handler on the worker's own stack is only woken by it. */
	if ((tracing->left > 0 && tracing->left < tracing->every) || conn == net->native) {
		tracing->left -= tracing->left > 0;
		hand(conn, message);
		return;
	}
	tracing->left = tracing->every - 1;
	tracing->pools = net->submit;
	timing = run_timed(net, hand, conn, message);
	if (net->submit && !tracing->pools)
		return; /* it went to the pool, and is timed there */
	tracing->pools = false;
	enter_run(net, &timing, tracing->turn_ns);
	leaves(conn, timing.ended_ns);
}

void gb__ledger_run(struct gb__task *task, struct gb_bytes message)
{
	const struct gb__net *net = task->facade.net;
	const struct timing timing = run_timed(net, task->on_message, &task->facade, message);

	enter_run(net, &timing, task->job.since_ns);
	task->ended_ns = timing.ended_ns;
}

void gb__ledger_back(struct gb_conn *conn, const struct gb__task *task)
{
	struct gb__net *net = conn->net;
	uint64_t ended_ns = task->ended_ns;

	/* A process of the pool has no ledger: queue and run together. */
	if (net->apart) {
		ended_ns = now_ns(net);
		enter(net->tracing.ledger, GB_STAGE_RUN, since(ended_ns, task->job.since_ns));
	}
	if (ended_ns && net->tracing.on)
		leaves(conn, ended_ns);
}

void gb__ledger_accepted(struct gb__net *net, int fd)
{
	const int waited_ms = net->loop->os->ops->waited_ms(net->loop->os, fd);

	if (waited_ms >= 0)
		enter(net->tracing.ledger, GB_STAGE_ACCEPT, (uint64_t)waited_ms * 1000000);
}
