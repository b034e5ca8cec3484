/* Descriptors of handlers in their worker's loop. */
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "model/worker.h"
#include "os/descriptor.h"

#include <errno.h>

#define HERE(worker, function) \
	gb__rule_in(function, 64, gb__loop_here(&(worker)->loop), \
		"a watch is used on another thread than its worker's")

static struct gb_worker *worker_of(const struct gb_watch *watch)
{
	return gb__container_of(watch->watches, struct gb_worker, watches);
}

static int add(struct gb_worker *worker, int fd, unsigned ready, gb_watch_ready *on_ready, void *user,
	struct gb_watch **ret, struct gb_error *error)
{
	int result;

	if (!on_ready || (ready & ~(unsigned)(GB_READY_IN | GB_READY_OUT)))
		return gb_error_set(error, -EINVAL,
			"cannot watch descriptor %d: it takes GB_READY_IN, GB_READY_OUT, both or 0, and a function to call",
			fd);
	if (gb__worker_ends(worker))
		return gb_error_set(error, -ESHUTDOWN, "cannot watch descriptor %d: the worker ends", fd);
	result = gb__descriptor_watchable(fd);
	if (result == 0)
		result = gb__watch_add(&worker->watches, fd, ready, on_ready, user, ret);
	if (result == -EPERM)
		return gb_error_set(error, result,
			"cannot watch descriptor %d: it is none whose readiness changes (a file or directory, as a rule)",
			fd);
	return result < 0 ? gb_error_set(error, result, "cannot watch descriptor %d with %s: %s", fd,
				    worker->loop.engine->name, gb_strerror(result))
			  : 0;
}

int gb_watch_add(struct gb_worker *worker, int fd, unsigned ready, gb_watch_ready *on_ready, void *user,
	struct gb_watch **ret, struct gb_error *error)
{
	HERE(worker, __func__);
	return add(worker, fd, ready, on_ready, user, ret, error);
}

int gb_watch_change(struct gb_watch *watch, unsigned ready)
{
	HERE(worker_of(watch), __func__);
	if (ready & ~(unsigned)(GB_READY_IN | GB_READY_OUT))
		return -EINVAL;
	return gb__watch_change(watch, ready);
}

int gb_watch_descriptor(const struct gb_watch *watch)
{
	return watch->fd;
}

void gb_watch_remove(struct gb_watch *watch)
{
	if (!watch)
		return;
	HERE(worker_of(watch), __func__);
	gb__watch_remove(watch);
}

static void readiness_end(struct gb_readiness *readiness)
{
	gb__watch_remove(readiness->watch);
	readiness->watch = NULL;
}

static void readiness_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	struct gb_readiness *readiness = user;

	readiness_end(readiness);
	gb__operation_complete(&readiness->operation, (int)ready);
}

static void readiness_ended(struct gb_watch *watch, void *user)
{
	struct gb_readiness *readiness = user;

	readiness_end(readiness);
	gb__operation_complete(&readiness->operation, -ECANCELED);
}

static void readiness_cancel(struct gb_operation *operation)
{
	struct gb_readiness *readiness = gb__container_of(operation, struct gb_readiness, operation);

	if (!readiness->watch)
		return; /* it is about to be told already */
	readiness_end(readiness);
	(void)gb__operation_complete_later(&operation->worker->loop, operation, -ECANCELED);
}

static const struct gb__operation_kind readiness_kind = { "readiness", readiness_cancel };

struct gb_operation *gb_readiness_begin(struct gb_worker *worker, struct gb_readiness *readiness, int fd,
	unsigned ready, gb_operation_done *on_done, void *user)
{
	int result;

	HERE(worker, __func__);
	gb__operation_begin(&readiness->operation, &readiness_kind, worker, on_done, user);
	readiness->watch = NULL;
	result =
		ready ? add(worker, fd, ready, readiness_ready, readiness, &readiness->watch, NULL) : -EINVAL;
	if (result == 0)
		readiness->watch->on_ended = readiness_ended;
	else
		(void)gb__operation_complete_later(&worker->loop, &readiness->operation, result);
	return &readiness->operation;
}

int gb_wait_ready(struct gb_coro *coro, int fd, unsigned ready)
{
	struct gb_readiness readiness;
	int result = gb__coro_may_wait(coro, __func__);

	if (result < 0)
		return result;
	return gb_await(coro, gb_readiness_begin(gb_coro_worker(coro), &readiness, fd, ready, NULL, NULL));
}
