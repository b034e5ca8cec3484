#include "stream/coroutine.h"

#include "base/assert.h"
#include "base/macros.h"
#include "net/sequential.h"
#include "stream/stream.h"

#include <errno.h>

#define FAILED_MAX 16           /* calls that failed at once, before others have their turn */
#define TURN_COROUTINES 256     /* a turn runs: some 10 us, beside which looking for events costs little */
#define STACK_TOUCHED 4096u     /* of a stack, at least */
#define STACK_SIZE (128u << 10) /* address space; what is not touched costs nothing */

void gb__streams_init(struct gb__streams *streams, struct gb__net *net, size_t stack_size)
{
	*streams = (struct gb__streams){ .net = net,
		.loop = net->loop,
		.ops = gb__conn_plain_ops,
		.stack_size = stack_size ? stack_size : STACK_SIZE };
	gb__list_init(&streams->all);
	streams->ops.on_input = gb__stream_on_input;
	net->streams = streams;
	net->sequential = &gb__sequential;
}

void gb__streams_belong(
	struct gb__streams *streams, void (*turn)(void *arg), void (*on_change)(void *arg), void *arg)
{
	streams->turn = turn;
	streams->on_change = on_change;
	streams->arg = arg;
}

static void publish(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* The stack that ends is looked at behind its end: it shows with the next one, with a trim, or here. */
static void publish_stacks(struct gb__streams *streams)
{
	publish(&streams->net->counters->coroutines.stack_used_max, streams->coros.stacks.used_max);
}

void gb__streams_finish(struct gb__streams *streams)
{
	gb__assert(gb__list_empty(&streams->all) && !streams->ready.first && !streams->later.first &&
		!streams->running);
	if (streams->made) {
		publish_stacks(streams);
		gb__coros_destroy(&streams->coros);
	}
}

void gb__coro_join(struct gb__streams *streams, struct gb_coro *coro, const char *name)
{
	struct gb_coro_stats *stats = &streams->net->counters->coroutines;

	coro->streams = streams;
	coro->name = name;
	coro->waiting = true; /* for its first line */
	coro->cancelled = streams->ends ? -ECANCELED : 0;
	gb__list_init(&coro->sibling);
	gb__list_init(&coro->queued);
	gb__list_append(&streams->all, &coro->link);
	publish(&stats->alive, ++streams->net->coroutines);
	if (streams->net->coroutines > stats->alive_max)
		publish(&stats->alive_max, streams->net->coroutines);
}

void gb__coro_over(struct gb_coro *coro)
{
	struct gb__streams *streams = coro->streams;
	struct gb_coro_stats *stats = &streams->net->counters->coroutines;

	gb__rule_in("a coroutine", 50, !coro->scopes,
		"it returned before the end of a scope of its: gb_scope_end waits for what was started in it");
	gb__rule_in("a coroutine", 48, !coro->opened,
		"it returned with a stream of its open: gb_stream_close ends what gb_stream_connect opened");
	gb__timers_stop(&streams->net->loop->timers, &coro->alarm);
	gb__list_remove(&coro->link);
	streams->running = NULL;
	if (coro->stack) {
		publish_stacks(streams);
		streams->net->trim.stacks += STACK_TOUCHED;
		gb__trim_later(streams->net);
	}
	gb__count(stats->ended, 1);
	publish(&stats->alive, --streams->net->coroutines);
	if (streams->net->coroutines == 0 && streams->on_change)
		streams->on_change(streams->arg);
}

bool gb__coro_trim(struct gb__net *net)
{
	bool done;

	if (!net->streams->made)
		return true;
	done = gb__coros_trim(&net->streams->coros);
	publish_stacks(net->streams);
	return done;
}

static int stacks_make(struct gb__streams *streams)
{
	int result = gb__coros_init(&streams->coros, streams->stack_size);

	streams->made = result == 0;
	return result;
}

static void begin(struct gb__coro *stack, void *argument)
{
	void (*entry)(struct gb_coro *) = (void (*)(struct gb_coro *))argument;

	entry(gb__coro_extra(stack));
}

int gb__coro_make(struct gb__streams *streams, size_t extra, void (*entry)(struct gb_coro *coro),
	const char *name, struct gb_coro **ret)
{
	struct gb__coro *stack;
	struct gb_coro *coro;
	int result = streams->made ? 0 : stacks_make(streams);

	if (result == 0)
		result =
			gb__coro_create(&streams->coros, sizeof(*coro) + extra, begin, (void *)entry, &stack);
	if (result < 0)
		return result;
	stack->name = name;
	coro = gb__coro_extra(stack);
	coro->stack = stack;
	gb__coro_join(streams, coro, name);
	*ret = coro;
	return 0;
}

/* On the worker's own stack: what was written leaves, then turns until somebody wakes it. */
static void turns(struct gb_coro *coro)
{
	struct gb__streams *streams = coro->streams;
	struct gb_conn *conn = gb__stream_open_conn(coro->stream);

	streams->running = NULL;
	if (conn) {
		gb__conn_leave(conn);
		gb__conn_listen_for_reset(conn); /* if it is not read */
	}
	if (coro->woken)
		streams->net->ready = true; /* by what has just left: the turn does not sleep */
	do
		streams->turn(streams->arg);
	while (!coro->woken);
	coro->woken = false;
	streams->running = coro;
	conn = gb__stream_open_conn(coro->stream);
	if (conn)
		gb__conn_enter(conn);
}

void gb__coro_wait_hard(struct gb_coro *coro)
{
	struct gb__streams *streams = coro->streams;

	gb__assert(streams->running == coro);
	if (gb__unlikely(!coro->stack)) {
		coro->waiting = true;
		turns(coro);
		coro->waiting = false;
		return;
	}
	gb__coro_leave(streams, coro);
}

int gb__coro_interruption(struct gb_coro *coro)
{
	struct gb__os *os;
	int notice = coro->notice;

	if (gb__unlikely(coro->cancelled))
		return coro->cancelled;
	if (gb__unlikely(notice)) {
		coro->notice = 0;
		return notice;
	}
	if (gb__likely(!coro->deadline))
		return 0;
	os = coro->streams->net->loop->os;
	return os->ops->now_ns(os) >= coro->deadline->clock_ns ? -ETIMEDOUT : 0;
}

void gb__coro_untold(struct gb_coro *coro, int interruption)
{
	if (gb__unlikely(interruption == -ESHUTDOWN))
		coro->notice = interruption;
}

static void on_alarm(struct gb_timer *timer, void *arg)
{
	(void)timer;
	gb__coro_wake(arg);
}

/* The alarm of an earlier deadline may go off in between: it wakes, which does no harm. */
static int alarm_set(struct gb_coro *coro)
{
	struct gb_timer *alarm = &coro->alarm;

	if (coro->deadline->clock_ns == UINT64_MAX ||
		(alarm->heap_index && alarm->deadline_ns <= coro->deadline->clock_ns))
		return 0;
	alarm->worker = coro->streams->net->worker;
	alarm->on_expire = on_alarm;
	alarm->arg = coro;
	alarm->deadline_ns = coro->deadline->clock_ns;
	return gb__timers_start(&coro->streams->net->loop->timers, alarm);
}

int gb__coro_wait(struct gb_coro *coro)
{
	int result = gb__coro_interruption(coro);

	if (result == 0 && gb__unlikely(coro->deadline))
		result = alarm_set(coro);
	if (gb__unlikely(result < 0))
		return gb__coro_failed(coro, result);
	coro->failed = 0;
	gb__coro_wait_hard(coro);
	return gb__coro_interruption(coro);
}

int gb__coro_failed(struct gb_coro *coro, int result)
{
	if (++coro->failed >= FAILED_MAX) {
		coro->failed = 0;
		gb__coro_wait_turn(coro);
	}
	return result;
}

static inline void line_up(struct gb__coro_line *line, struct gb_coro *coro)
{
	struct gb__streams *streams = coro->streams;

	coro->ready = true;
	coro->line_next = NULL;
	if (line->first)
		line->last->line_next = coro;
	else
		line->first = coro;
	line->last = coro;
	streams->net->ready = true;
}

void gb__coro_wake(struct gb_coro *coro)
{
	if (!coro->waiting || coro->ready)
		return;
	if (gb__likely(coro->stack))
		line_up(&coro->streams->ready, coro);
	else
		coro->woken = true;
}

void gb__coro_wait_turn(struct gb_coro *coro)
{
	if (gb__likely(coro->stack)) {
		line_up(&coro->streams->later, coro);
	} else {
		coro->woken = true;
		coro->streams->net->ready = true; /* the turn does not sleep */
	}
	gb__coro_wait_hard(coro);
}

/* Those that waited for a turn are behind those who had none for want of room. */
static void later_is_now(struct gb__streams *streams)
{
	if (!streams->later.first)
		return;
	if (streams->ready.first)
		streams->ready.last->line_next = streams->later.first;
	else
		streams->ready.first = streams->later.first;
	streams->ready.last = streams->later.last;
	streams->later.first = NULL;
}

/*
 * Those who become ready meanwhile have their turn as well: two who talk to each other do not wait for events in between.
 * But so many only, since events wait for them.
 */
void gb__coro_run_ready(struct gb__net *net)
{
	struct gb__streams *streams = net->streams;
	struct gb__coro_line *line = &streams->ready;
	struct gb_coro *coro;

	later_is_now(streams);
	for (unsigned left = TURN_COROUTINES; left > 0 && (coro = line->first); left--) {
		struct gb_conn *conn = gb__stream_open_conn(coro->stream);

		line->first = coro->line_next;
		coro->ready = false;
		if (conn)
			gb__conn_enter(conn);
		gb__coro_enter(streams, coro);
		if (conn) /* it is not freed before the turn's end */
			gb__conn_leave(conn);
	}
	net->ready = line->first || streams->later.first;
}

void gb__coro_cancel(struct gb_coro *coro)
{
	if (coro->cancelled)
		return;
	coro->cancelled = -ECANCELED;
	gb__coro_wake(coro);
}

void gb__coro_cancel_all(struct gb__net *net)
{
	struct gb__streams *streams = net->streams;

	streams->ends = true;
	for (struct gb__list *link = streams->all.next; link != &streams->all; link = link->next)
		gb__coro_cancel(gb__container_of(link, struct gb_coro, link));
}

/* Who serves a connection, or was started in a scope, learns of a drain by what it waits for. */
static void tell_drain(struct gb_coro *coro)
{
	if (coro->told || coro->stream || coro->scope)
		return;
	coro->told = true;
	coro->notice = -ESHUTDOWN;
	gb__coro_wake(coro);
}

void gb__coro_drain_all(struct gb__net *net)
{
	struct gb__streams *streams = net->streams;

	streams->drains = true;
	for (struct gb__list *link = streams->all.next; link != &streams->all; link = link->next)
		tell_drain(gb__container_of(link, struct gb_coro, link));
}

/* A coroutine without a connection. */
static void run(struct gb_coro *coro)
{
	struct gb_scope *scope = coro->scope;
	int result = coro->run(coro, coro->arg);

	if (scope)
		gb__scope_left(coro, result);
	gb__coro_over(coro);
}

int gb__coro_start(struct gb__streams *streams, const char *name, gb_coro_run *function, void *arg,
	struct gb_scope *scope)
{
	struct gb_coro *coro;
	int result;

	gb__rule_in("gb_coro_start", 47, gb__loop_here(streams->net->loop),
		"a coroutine is started on another thread than its worker's: post to it");
	if (streams->ends && !scope)
		return -ESHUTDOWN;
	result = gb__coro_make(streams, 0, run, name, &coro);
	if (result < 0)
		return result;
	coro->run = function;
	coro->arg = arg;
	if (scope)
		gb__scope_joined(scope, coro);
	if (gb__unlikely(streams->drains))
		tell_drain(coro);
	gb__coro_wake(coro);
	return 0;
}

int gb__coro_queue_wait(struct gb__list *queue, struct gb_coro *coro)
{
	int result;

	gb__list_append(queue, &coro->queued);
	do
		result = gb__coro_wait(coro);
	while (result == 0 &&
		!gb__list_empty(&coro->queued)); /* woken for something else, it keeps its place */
	gb__list_remove(&coro->queued);
	return result;
}

void gb__coro_queue_wake(struct gb__list *queue)
{
	struct gb_coro *coro;

	if (gb__list_empty(queue))
		return;
	coro = gb__container_of(queue->next, struct gb_coro, queued);
	gb__rule_in("a channel", 52, gb__loop_here(coro->streams->net->loop),
		"it is used on another thread than its worker's: post to that");
	gb__list_remove(&coro->queued);
	gb__coro_wake(coro);
}

void gb__coro_queue_wake_all(struct gb__list *queue)
{
	while (!gb__list_empty(queue))
		gb__coro_queue_wake(queue);
}
