/* What coroutines wait for besides bytes: time, operations. */
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "stream/coroutine.h"

#include <errno.h>

static uint64_t clock_ns(const struct gb_coro *coro)
{
	struct gb__os *os = coro->streams->net->loop->os;

	return os->ops->now_ns(os);
}

struct gb_worker *gb_coro_worker(const struct gb_coro *coro)
{
	return coro->streams->net->worker;
}

int gb_coro_cancelled(const struct gb_coro *coro)
{
	return coro->cancelled;
}

bool gb__coro_runs(const struct gb_coro *coro, const char *function)
{
	gb__rule_in(function, 47, gb__loop_here(coro->streams->net->loop),
		"a coroutine is used on another thread than its worker's");
	return coro->streams->running == coro;
}

int gb__coro_may_wait(struct gb_coro *coro, const char *function)
{
	return gb__coro_runs(coro, function) ? gb__coro_interruption(coro) : -GB_ENOCORO;
}

int gb_yield(struct gb_coro *coro)
{
	int result;

	if (!gb__coro_runs(coro, __func__))
		return -GB_ENOCORO;
	result = gb__coro_interruption(coro);
	if (result < 0)
		return result;
	gb__coro_wait_turn(coro);
	return gb__coro_interruption(coro);
}

struct sleep {
	struct gb_coro *coro;
	bool over;
};

static void on_woken(struct gb_timer *timer, void *arg)
{
	struct sleep *sleep = arg;

	(void)timer;
	sleep->over = true;
	gb__coro_wake(sleep->coro);
}

int gb_sleep_until(struct gb_coro *coro, uint64_t until_ns)
{
	struct gb__timers *timers = &coro->streams->net->loop->timers;
	struct sleep sleep = { .coro = coro };
	struct gb_timer timer = { .on_expire = on_woken,
		.arg = &sleep,
		.deadline_ns = until_ns,
		.worker = coro->streams->net->worker };
	int result;

	if (!gb__coro_runs(coro, __func__))
		return -GB_ENOCORO;
	result = gb__timers_start(timers, &timer);
	while (result == 0 && !sleep.over)
		result = gb__coro_wait(coro);
	gb__timers_stop(timers, &timer);
	if (!sleep.over)
		return result;
	gb__coro_untold(coro, result);
	return 0;
}

int gb_sleep(struct gb_coro *coro, uint64_t ms)
{
	return gb_sleep_until(coro, gb__add_capped(clock_ns(coro), gb__multiply_capped(ms, 1000000u)));
}

static void on_done(struct gb_operation *operation, void *user)
{
	(void)operation;
	gb__coro_wake(user);
}

static void listen_to(struct gb_operation *operation, struct gb_coro *coro)
{
	gb__rule_in("gb_await", 49,
		!operation->on_done || (operation->on_done == on_done && (!coro || operation->user == coro)),
		"an operation that has on_done, or that another coroutine awaits, is awaited");
	operation->on_done = coro ? on_done : NULL;
	operation->user = coro;
}

int gb_await(struct gb_coro *coro, struct gb_operation *operation)
{
	int result = 0;

	if (!gb__coro_runs(coro, __func__))
		return -GB_ENOCORO;
	if (!operation->kind && !operation->complete)
		return -EINVAL; /* it was never begun */
	listen_to(operation, coro);
	while (result == 0 && !operation->complete)
		result = gb__coro_wait(coro);
	if (operation->complete) {
		gb__coro_untold(coro, result);
		result = 0;
	} else {
		gb_operation_cancel(operation);
		while (!operation->complete)
			gb__coro_wait_hard(coro);
	}
	operation->on_done = NULL;
	return result < 0 ? result : operation->result;
}

static bool any_begun(struct gb_operation *const *operations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (operations[i]->kind || operations[i]->complete)
			return true;
	return false;
}

/* The index of the first that is complete, or -1. */
static int first_complete(struct gb_operation *const *operations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (operations[i]->complete)
			return (int)i;
	return -1;
}

int gb_await_any(struct gb_coro *coro, struct gb_operation *const *operations, size_t count)
{
	int result = 0, found;

	if (!gb__coro_runs(coro, __func__))
		return -GB_ENOCORO;
	if (!any_begun(operations, count))
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		listen_to(operations[i], coro);
	while ((found = first_complete(operations, count)) < 0 && result == 0)
		result = gb__coro_wait(coro);
	for (size_t i = 0; i < count; i++)
		listen_to(operations[i], NULL);
	if (found < 0)
		return result;
	gb__coro_untold(coro, result);
	return found;
}

struct gb_deadline *gb_deadline_begin(struct gb_coro *coro, struct gb_deadline *deadline, uint64_t ms)
{
	uint64_t at_ns = gb__add_capped(clock_ns(coro), gb__multiply_capped(ms, 1000000u));

	*deadline = (struct gb_deadline){ coro, coro->deadline, at_ns };
	if (coro->deadline)
		deadline->clock_ns = gb__min(at_ns, coro->deadline->clock_ns);
	coro->deadline = deadline;
	return deadline;
}

bool gb_deadline_end(struct gb_deadline *deadline)
{
	struct gb_coro *coro = deadline->coro;

	gb__rule(51, coro->deadline == deadline, "deadlines end in the reverse order of their beginnings");
	coro->deadline = deadline->outer;
	return clock_ns(coro) >= deadline->clock_ns;
}
