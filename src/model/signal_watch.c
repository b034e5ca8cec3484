/*
 * A signal is counted where it comes, in signal context, and its run's chief woken; he has every worker look at the counts
 * (gb__crew_ring). A watch knows the count that it has seen, so that nothing depends on how often a worker is told to look.
 */
#include "model/signal_watch.h"

#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "model/tls.h"
#include "model/worker.h"
#include "os/signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define HERE(worker, function) \
	gb__rule_in(function, 90, gb__loop_here(&(worker)->loop), \
		"a signal is watched on another thread than its worker's")

/* Of the C library: cancelling threads, and setuid for all of them. */
#define LIBRARY_FIRST 32
#define LIBRARY_LAST 33

static const struct {
	int number;
	const char *why;
} refused[] = {
	{ SIGKILL, "it cannot be caught" },
	{ SIGSTOP, "it cannot be caught" },
	{ SIGSEGV, "it tells of a fault" },
	{ SIGBUS, "it tells of a fault" },
	{ SIGFPE, "it tells of a fault" },
	{ SIGILL, "it tells of a fault" },
	{ SIGTRAP, "it tells of a fault" },
	{ SIGSYS, "it tells of a fault" },
	{ SIGABRT, "it tells of a fault" },
	{ SIGTERM, "it stops the server" },
	{ SIGINT, "it stops the server" },
	{ SIGUSR1, "it has the server print its counters" },
	{ SIGCHLD, "it tells the server of its worker processes" },
	{ SIGALRM, "it bounds the server's stop" },
	{ SIGURG, "it wakes blocking workers" },
	{ SIGPIPE, "a connection that broke is told by its close reason" },
};

static const char *why_refused(int number)
{
	for (size_t i = 0; i < gb__countof(refused); i++)
		if (refused[i].number == number)
			return refused[i].why;
	return number >= LIBRARY_FIRST && number <= LIBRARY_LAST ? "the C library uses it" : NULL;
}

int gb__signals_check(uint64_t signals, const char *service, struct gb_error *error)
{
	for (int i = 1; i <= GB__SIGNALS_MAX; i++) {
		const char *why = (signals & GB_SIGNAL_BIT(i)) ? why_refused(i) : NULL;

		if (why)
			return gb_error_set(error, -EINVAL,
				"%s: signal %d (%s) is not for services: %s; take SIGHUP, SIGUSR2 or a real-time one",
				service, i, strsignal(i), why);
	}
	return 0;
}

uint64_t gb__signals_wanted(const struct gb_server *server)
{
	uint64_t signals = 0;

	for (size_t i = 0; i < server->bindings_count; i++)
		signals |= server->bindings[i].service->signals;
	return signals;
}

uint64_t gb__signals_caught(const struct gb_server *server)
{
	const bool reloads = server->tls && !gb__signal_handled(SIGHUP);

	return gb__signals_wanted(server) | (reloads ? GB_SIGNAL_BIT(SIGHUP) : 0);
}

static void on_signal(void *arg)
{
	const struct gb__signal_catch *by = arg;

	atomic_fetch_add(&by->server->shared->signals[by->number - 1], 1);
	gb__server_signalled(by->server);
}

int gb__signals_catch(struct gb_server *server, struct gb__signal_catch *catches, struct gb_error *error)
{
	const uint64_t wanted = gb__signals_caught(server);

	for (int i = 0; i < GB__SIGNALS_MAX; i++)
		catches[i] = (struct gb__signal_catch){ server, i + 1, -1 };
	for (int i = 0; i < GB__SIGNALS_MAX; i++) {
		if (!(wanted & GB_SIGNAL_BIT(i + 1)))
			continue;
		catches[i].ticket = gb__signal_subscribe(i + 1, on_signal, &catches[i]);
		if (catches[i].ticket < 0) {
			const int result = catches[i].ticket;

			gb__signals_release(catches);
			return gb_error_set(
				error, result, "cannot handle signal %d: %s", i + 1, gb_strerror(result));
		}
	}
	return 0;
}

void gb__signals_release(struct gb__signal_catch *catches)
{
	for (int i = 0; i < GB__SIGNALS_MAX; i++)
		gb__signal_unsubscribe(catches[i].ticket);
}

void gb__signals_follow(const struct gb_server *server, void (*on_told)(void *arg))
{
	const uint64_t wanted = gb__signals_caught(server);

	/* What the table has no room for has no effect here (gb__signal_hold), and the next to come is seen instead. */
	for (int i = 1; i <= GB__SIGNALS_MAX; i++)
		if (wanted & GB_SIGNAL_BIT(i))
			(void)gb__signal_subscribe(i, on_told, NULL);
}

static struct gb_signal_watch *watch_of(struct gb__list *node)
{
	return gb__container_of((void **)node, struct gb_signal_watch, link[0]);
}

static struct gb__list *node_of(struct gb_signal_watch *watch)
{
	return (struct gb__list *)watch->link;
}

static_assert(sizeof(((struct gb_signal_watch *)NULL)->link) == sizeof(struct gb__list),
	"a watch is in its worker's list");

static uint64_t count_of(const struct gb_worker *worker, int number)
{
	return atomic_load(&worker->server->shared->signals[number - 1]);
}

/* Whoever is told may stop or start any of them: those that are due wait in a list of their own. */
static void look(struct gb_worker *worker)
{
	struct gb__signal_watches *watches = &worker->signals;
	struct gb__list due;
	struct gb__list *next;

	gb__list_init(&due);
	for (struct gb__list *node = watches->list.next; node != &watches->list; node = next) {
		struct gb_signal_watch *watch = watch_of(node);

		next = node->next;
		if (count_of(worker, watch->number) != watch->seen) {
			gb__list_remove(node);
			gb__list_append(&due, node);
		}
	}
	while (!gb__list_empty(&due)) {
		struct gb_signal_watch *watch = watch_of(due.next);
		const uint64_t count = count_of(worker, watch->number), times = count - watch->seen;

		gb__list_remove(node_of(watch));
		gb__list_append(&watches->list, node_of(watch));
		watch->seen = count;
		if (times)
			watch->on_signal(watch, times, watch->user);
	}
}

static void ring_run(struct gb__post *post, bool alive)
{
	struct gb_worker *worker = gb__container_of(post, struct gb_worker, signals.ring);

	/* Before it looks: what comes meanwhile rings again. */
	atomic_store(&worker->signals.rung, false);
	if (!alive)
		return;
	gb__server_refresh(worker->server); /* of certificates, where the chief has been told to */
	look(worker);
}

void gb__signal_watches_init(struct gb__signal_watches *watches)
{
	gb__list_init(&watches->list);
	watches->ring.run = ring_run;
	atomic_init(&watches->rung, false);
}

void gb__signal_watches_ring(struct gb_worker *worker)
{
	if (!atomic_exchange(&worker->signals.rung, true) &&
		gb__loop_post(&worker->loop, &worker->signals.ring) < 0)
		atomic_store(&worker->signals.rung, false);
}

void gb__signal_watches_begin(struct gb_worker *worker)
{
	if (gb__signals_wanted(worker->server))
		gb__signal_watches_ring(worker);
}

static int start(struct gb_worker *worker, struct gb_signal_watch *watch, int number, gb_signal_told *on_told,
	void *user, struct gb_error *error)
{
	if (!on_told || number < 1 || number > GB__SIGNALS_MAX)
		return gb_error_set(error, -EINVAL,
			"cannot watch signal %d: it takes a signal, and a function to call", number);
	if (worker->apart)
		return gb_error_set(error, -EOPNOTSUPP,
			"cannot watch signal %d: a process of the compute pool has no loop; watch it on the worker",
			number);
	if (!(gb__signals_wanted(worker->server) & GB_SIGNAL_BIT(number)))
		return gb_error_set(error, -EINVAL,
			"cannot watch signal %d: no service of the server has it in .signals", number);
	if (gb__worker_ends(worker))
		return gb_error_set(error, -ESHUTDOWN, "cannot watch signal %d: the worker ends", number);
	gb_signal_watch_stop(watch);
	watch->on_signal = on_told;
	watch->user = user;
	watch->worker = worker;
	watch->number = number;
	watch->seen = count_of(worker, number);
	gb__list_append(&worker->signals.list, node_of(watch));
	return 0;
}

int gb_signal_watch_start(struct gb_worker *worker, struct gb_signal_watch *watch, int number,
	gb_signal_told *on_told, void *user, struct gb_error *error)
{
	if (!worker->apart)
		HERE(worker, __func__);
	return start(worker, watch, number, on_told, user, error);
}

void gb_signal_watch_stop(struct gb_signal_watch *watch)
{
	if (!watch->link[0])
		return;
	HERE(watch->worker, __func__);
	gb__list_remove(node_of(watch));
	watch->link[0] = watch->link[1] = NULL;
}

static void signal_told(struct gb_signal_watch *watch, uint64_t times, void *user)
{
	struct gb_signal *signal = user;

	gb_signal_watch_stop(watch);
	gb__operation_complete(&signal->operation, (int)gb__min(times, (uint64_t)INT32_MAX));
}

static void signal_cancel(struct gb_operation *operation)
{
	struct gb_signal *signal = gb__container_of(operation, struct gb_signal, operation);

	if (!signal->watch.link[0])
		return; /* it is about to be told already */
	gb_signal_watch_stop(&signal->watch);
	(void)gb__operation_complete_later(&operation->worker->loop, operation, -ECANCELED);
}

static const struct gb__operation_kind signal_kind = { "signal", signal_cancel };

struct gb_operation *gb_signal_begin(struct gb_worker *worker, struct gb_signal *signal, int number,
	gb_operation_done *on_done, void *user)
{
	const bool again = signal->watch.worker == worker && signal->watch.number == number;
	const uint64_t seen = signal->watch.seen;
	int result;

	HERE(worker, __func__);
	gb__operation_begin(&signal->operation, &signal_kind, worker, on_done, user);
	result = start(worker, &signal->watch, number, signal_told, signal, NULL);
	if (result == 0 && again)
		signal->watch.seen = seen;
	if (result < 0)
		(void)gb__operation_complete_later(&worker->loop, &signal->operation, result);
	else if (count_of(worker, number) != signal->watch.seen)
		gb__signal_watches_ring(worker);
	return &signal->operation;
}

int gb_wait_signal(struct gb_coro *coro, int number)
{
	struct gb_signal signal = { 0 };
	int result = gb__coro_may_wait(coro, __func__);

	if (result < 0)
		return result;
	return gb_await(coro, gb_signal_begin(gb_coro_worker(coro), &signal, number, NULL, NULL));
}

void gb__signal_watches_end(struct gb_worker *worker)
{
	while (!gb__list_empty(&worker->signals.list)) {
		struct gb_signal_watch *watch = watch_of(worker->signals.list.next);

		gb_signal_watch_stop(watch);
		if (watch->on_signal == signal_told)
			gb__operation_complete(
				&gb__container_of(watch, struct gb_signal, watch)->operation, -ECANCELED);
	}
}
