/* What coroutines wait for besides bytes: time, each other, operations. Without connections, under every engine. */
#include "rig.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "loop/operation.h"

#include <gearbox/coro.h>

#include <errno.h>

static unsigned running, running_most, over;
static int outcome;

static void start(struct rig *rig, gb_coro_run *run, void *arg)
{
	rig_calm(rig);
	over = running = running_most = 0;
	outcome = 1;
	CHECK_INT(gb__coro_start(&rig->streams, "test", run, arg, NULL), 0);
}

/* Until all have ended, time passing. */
static void run_out(struct rig *rig)
{
	for (unsigned steps = 0; rig->net.coroutines > 0; steps++) {
		rig_pass(rig, 5);
		rig_step(rig, NULL);
		CHECK(steps < 10000);
	}
}

static int nested(struct gb_coro *coro, void *arg)
{
	struct gb_deadline outer, inner;

	gb_deadline_begin(coro, &outer, 100);
	gb_deadline_begin(coro, &inner, 20);
	CHECK_INT(gb_sleep(coro, 50), -ETIMEDOUT);
	CHECK_INT(gb_sleep(coro, 1), -ETIMEDOUT); /* it stays over */
	CHECK(gb_deadline_end(&inner));
	CHECK_INT(gb_sleep(coro, 20), 0); /* the outer one holds again */
	gb_deadline_begin(coro, &inner, 1000000);
	CHECK_INT(gb_sleep(coro, 1000), -ETIMEDOUT); /* the nearer one counts */
	CHECK(gb_deadline_end(&inner));
	CHECK(gb_deadline_end(&outer));
	CHECK_INT(gb_sleep(coro, 10), 0);
	CHECK_INT(gb_yield(coro), 0);
	over++;
	return 0;
}

NET_TEST(deadlines_nest_and_what_held_before_holds_again)
{
	start(rig, nested, NULL);
	run_out(rig);
	CHECK_INT(over, 1);
}

static int leaves(struct gb_coro *coro)
{
	GB_WITH_DEADLINE(coro, 10)
	return gb_sleep(coro, 1000);
	return 0;
}

static int leave_with(struct gb_coro *coro, void *arg)
{
	CHECK_INT(leaves(coro), -ETIMEDOUT);
	CHECK_INT(gb_sleep(coro, 30), 0); /* it has ended with the return */
	over++;
	return 0;
}

NET_TEST(a_deadline_on_a_statement_ends_however_that_is_left)
{
	start(rig, leave_with, NULL);
	run_out(rig);
	CHECK_INT(over, 1);
}

static int work(struct gb_coro *coro, void *arg)
{
	int result;

	running++;
	running_most = running > running_most ? running : running_most;
	result = gb_sleep(coro, (uintptr_t)arg);
	running--;
	over += result == 0;
	return (uintptr_t)arg == 33 ? -EIO : result;
}

static int ten_by_three(struct gb_coro *coro, void *arg)
{
	struct gb_scope scope;

	gb_scope_begin(coro, &scope);
	gb_scope_limit(&scope, 3);
	for (uintptr_t i = 0; i < 10; i++)
		CHECK_INT(gb_scope_start(&scope, work, (void *)(10 + i)), 0);
	outcome = gb_scope_end(&scope);
	return 0;
}

NET_TEST(a_scope_waits_for_all_and_runs_as_many_as_it_may)
{
	start(rig, ten_by_three, NULL);
	run_out(rig);
	CHECK_INT(outcome, 0);
	CHECK_INT(over, 10);
	CHECK_INT(running_most, 3);
}

static int one_fails(struct gb_coro *coro, void *arg)
{
	struct gb_scope scope;

	gb_scope_begin(coro, &scope);
	CHECK_INT(gb_scope_start(&scope, work, (void *)1000000), 0);
	CHECK_INT(gb_scope_start(&scope, work, (void *)33), 0);
	CHECK_INT(gb_scope_start(&scope, work, (void *)5), 0);
	outcome = gb_scope_end(&scope);
	CHECK_INT(running, 0);
	CHECK_INT(gb_sleep(coro, 1), 0); /* who waited for them is not cancelled */
	return 0;
}

NET_TEST(a_failure_cancels_the_others_and_is_what_the_scope_comes_to)
{
	start(rig, one_fails, NULL);
	run_out(rig);
	CHECK_INT(outcome, -EIO);
	CHECK_INT(over, 2); /* the one that failed slept first */
}

static int two_more(struct gb_coro *coro, void *arg)
{
	struct gb_scope scope;

	gb_scope_begin(coro, &scope);
	CHECK_INT(gb_scope_start(&scope, work, (void *)1000000), 0);
	CHECK_INT(gb_scope_start(&scope, work, (void *)1000000), 0);
	return gb_scope_end(&scope);
}

static int in_time(struct gb_coro *coro, void *arg)
{
	struct gb_deadline deadline;
	struct gb_scope scope;

	gb_deadline_begin(coro, &deadline, 30);
	gb_scope_begin(coro, &scope);
	CHECK_INT(gb_scope_start(&scope, work, (void *)1000000), 0);
	CHECK_INT(gb_scope_start(&scope, two_more, NULL), 0);
	outcome = gb_scope_end(&scope);
	CHECK_INT(running, 0);
	gb_deadline_end(&deadline);
	return 0;
}

NET_TEST(a_deadline_cancels_a_scope_with_all_in_it)
{
	start(rig, in_time, NULL);
	run_out(rig);
	CHECK_INT(outcome, -ETIMEDOUT);
}

NET_TEST(a_stop_ends_scopes_within_scopes)
{
	start(rig, in_time, NULL);
	rig_step(rig, NULL);
	rig_step(rig, NULL);
	CHECK(rig->net.coroutines > 1);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	for (unsigned i = 0; i < 20; i++)
		rig_step(rig, NULL);
	CHECK_INT(rig->net.coroutines, 0);
	CHECK_INT(outcome, -ECANCELED);
}

/* A channel of two places, more values than that, and a reader that is slower. */
static struct gb_channel *channel;

static int produce(struct gb_coro *coro, void *arg)
{
	for (int i = 0; i < 20; i++)
		CHECK_INT(gb_channel_send(coro, channel, &i), 0);
	gb_channel_close(channel);
	over++;
	return 0;
}

static int consume(struct gb_coro *coro, void *arg)
{
	int value, expected = 0;

	while (gb_channel_receive(coro, channel, &value) > 0) {
		CHECK_INT(value, expected++);
		CHECK_INT(gb_sleep(coro, 1), 0);
	}
	CHECK_INT(expected, 20);
	CHECK_INT(gb_channel_send(coro, channel, &value), -EPIPE);
	over++;
	return 0;
}

NET_TEST(a_channel_holds_as_many_as_it_has_room_for_and_gives_them_in_order)
{
	CHECK_INT(gb_channel_create(sizeof(int), 2, &channel), 0);
	start(rig, produce, NULL);
	rig_step(rig, NULL);
	CHECK_INT(gb_channel_try_send(channel, &(int){ 0 }), -EAGAIN);
	CHECK_INT(gb__coro_start(&rig->streams, "test", consume, NULL, NULL), 0);
	run_out(rig);
	CHECK_INT(over, 2);
	gb_channel_destroy(channel);
	CHECK_INT(gb_channel_create(0, 2, &channel), -EINVAL);
	CHECK_INT(gb_channel_create(SIZE_MAX / 2, 4, &channel), -EINVAL);
}

/* The first of two receivers gives up when the value comes: the other gets it. */
static int impatient(struct gb_coro *coro, void *arg)
{
	int value = 0;

	GB_WITH_DEADLINE(coro, (uintptr_t)arg)
	outcome = gb_channel_receive(coro, channel, &value);
	over += outcome == 1;
	return 0;
}

NET_TEST(a_value_goes_to_who_still_waits_for_it)
{
	CHECK_INT(gb_channel_create(sizeof(int), 1, &channel), 0);
	start(rig, impatient, (void *)20);
	CHECK_INT(gb__coro_start(&rig->streams, "test", impatient, (void *)100000, NULL), 0);
	rig_step(rig, NULL);
	rig_step(rig, NULL);
	rig_pass(rig, 30); /* the first one's time is over, and the value comes before it was told */
	CHECK_INT(gb_channel_try_send(channel, &(int){ 7 }), 0);
	run_out(rig);
	CHECK_INT(over, 1);
	gb_channel_destroy(channel);
}

/* Operations of a kind of our own. */
static struct gb_operation operations[3];
static unsigned cancelled;

static void cancel(struct gb_operation *operation)
{
	cancelled++;
}

static const struct gb__operation_kind kind = { "test", cancel };

static int await_any(struct gb_coro *coro, void *arg)
{
	struct gb_operation *all[] = { &operations[0], &operations[1], &operations[2] };

	CHECK_INT(gb_await(coro, &operations[0]), -EINVAL); /* it was never begun */
	CHECK_INT(gb_await_any(coro, all, 0), -EINVAL);
	for (unsigned i = 0; i < 3; i++)
		gb__operation_begin(&operations[i], &kind, NULL, NULL, NULL);
	outcome = gb_await_any(coro, all, 3);
	CHECK_INT(gb_operation_result(&operations[outcome]), 40 + outcome);
	CHECK(gb_operation_pending(&operations[0]) && gb_operation_pending(&operations[2]));
	CHECK_INT(gb_await(coro, &operations[1]), 41); /* it is complete: no wait */
	GB_WITH_DEADLINE(coro, 10)
	CHECK_INT(gb_await_any(coro, (struct gb_operation *[]){ &operations[0] }, 1), -ETIMEDOUT);
	CHECK_INT(cancelled, 0); /* whoever waits for any cancels none */
	GB_WITH_DEADLINE(coro, 10)
	CHECK_INT(gb_await(coro, &operations[2]), -ETIMEDOUT);
	over++;
	return 0;
}

NET_TEST(of_several_operations_the_first_that_is_complete_ends_the_wait)
{
	cancelled = 0;
	memset(operations, 0, sizeof(operations));
	start(rig, await_any, NULL);
	rig_step(rig, NULL);
	rig_step(rig, NULL);
	CHECK_INT(outcome, 1); /* as start left it */
	outcome = -1;
	gb__operation_complete(&operations[1], 41);
	for (unsigned steps = 0; cancelled == 0; steps++) {
		rig_pass(rig, 5);
		rig_step(rig, NULL);
		CHECK(steps < 1000);
	}
	/* Its memory is the operation's until that is complete, however long it takes. */
	rig_pass(rig, 1000);
	rig_step(rig, NULL);
	CHECK_INT(over, 0);
	gb__operation_complete(&operations[2], -ECANCELED);
	run_out(rig);
	CHECK_INT(over, 1);
	CHECK_INT(outcome, 1);
}
