#include "model/worker.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "model/handover.h"
#include "model/offload.h"
#include "net/tell.h"
#include "os/socket.h"
#include "os/thread.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define INTAKE_NS \
	10000000 /* while draining: how long the backlog may have been emptied by others unnoticed */

#define WAIT_FAILED_REST_MS 10u
/* Besides one for each listening socket: to accept again, to pass again, the end of a drain and its reports, orphans. */
#define TIMERS 5u

/* The kernel lacks memory, as a rule. What only a fault of ours explains ends the process. */
static void wait_failed(struct gb_worker *worker, int error)
{
	uint64_t held;

	gb__assert(error != -EBADF && error != -EINVAL && error != -EFAULT);
	if (gb__log_allowed(&worker->wait_failures, gb__loop_now_ms(&worker->loop), &held))
		gb__log(GB__LOG_ERROR,
			"worker %u cannot wait for events: %s (%" PRIu64 " more since the last report)",
			worker->id, gb_strerror(error), held);
	gb__thread_rest(WAIT_FAILED_REST_MS);
}

void gb__worker_turn(struct gb_worker *worker, int64_t timeout_ns)
{
	int result = gb__net_turn(&worker->net, timeout_ns);

	if (gb__unlikely(result < 0))
		wait_failed(worker, result);
}

/* An engine that serves one connection at a time must not take a second one while the first lives. */
static bool one_stream(const struct gb_worker *worker)
{
	return worker->loop.engine->ops->caps & GB__ENGINE_ONE_STREAM;
}

static void on_gone(struct gb__net *net, void *arg)
{
	struct gb_worker *worker = arg;

	if (gb__worker_stops(worker))
		return;
	if (worker->full && gb__worker_could_accept(worker)) {
		worker->full = false;
		gb__worker_accept_start(worker);
	}
	if (net->connections == 0 && worker->on_idle)
		worker->on_idle(worker);
}

void gb__worker_adopt(struct gb_worker *worker, struct gb__handed handed)
{
	const struct gb__binding *binding = &worker->server->bindings[handed.binding];

	if (gb__worker_stops(worker))
		gb__worker_refuse(worker, handed, GB_CLOSE_DRAIN);
	else
		gb__net_adopt(&worker->net, handed.fd, binding->service, binding->user);
}

void gb__worker_refuse(struct gb_worker *worker, struct gb__handed handed, int reason)
{
	struct gb_stats *stats = &worker->record->counters.stats;

	gb__tell_refused(handed.fd, worker->server->bindings[handed.binding].service, reason);
	if (handed.fd >= 0)
		gb__socket_close(handed.fd);
	gb__count(stats->accepted, 1);
	gb__count(stats->closed[reason], 1);
}

static void inbox_take(struct gb__inbox *inbox, struct gb__handed handed)
{
	struct gb_worker *worker = gb__container_of(inbox, struct gb_worker, inbox);

	worker->offered = false;
	gb__worker_adopt(worker, handed);
	if (worker->net.connections == 0 && worker->on_idle)
		worker->on_idle(worker); /* it was refused at once */
}

static void on_accepted(struct gb__listener *listener, int fd)
{
	struct gb_worker *worker = listener->arg;
	struct gb__handed handed = { fd, (uint32_t)listener->index };

	worker->intake -= worker->intake > 0;
	if (worker->on_accepted) {
		worker->on_accepted(worker, handed);
		return;
	}
	gb__worker_adopt(worker, handed);
	if (!gb__worker_could_accept(worker)) {
		worker->full = true;
		gb__worker_accept_stop(worker);
	}
}

bool gb__worker_could_accept(const struct gb_worker *worker)
{
	if (worker->listeners_count == 0 || worker->listeners[0].closed)
		return false;
	if (!(worker->roles & GB__WORKER_SERVES))
		return true;
	return worker->net.connections < (one_stream(worker) ? 1 : worker->server->worker_connections_max);
}

/* Under wake=lock only the holder does. */
static bool may_accept(const struct gb_worker *worker)
{
	return !worker->accept_lock.used || worker->accept_lock.holding;
}

void gb__worker_accept_start(struct gb_worker *worker)
{
	for (size_t i = 0; i < worker->listeners_count && may_accept(worker); i++)
		if (!worker->listeners[i].closed)
			gb__listener_resume(&worker->listeners[i]);
}

void gb__worker_accept_stop(struct gb_worker *worker)
{
	for (size_t i = 0; i < worker->listeners_count; i++)
		gb__listener_stop(&worker->listeners[i]);
}

bool gb__worker_exhausted(const struct gb_worker *worker)
{
	for (size_t i = 0; i < worker->listeners_count; i++)
		if (worker->listeners[i].rest.heap_index)
			return true;
	return false;
}

void gb__worker_accept_finish(struct gb_worker *worker)
{
	for (size_t i = 0; i < worker->listeners_count; i++)
		gb__listener_finish(&worker->listeners[i]);
	gb__accept_lock_release(worker); /* others may still have to take in who waits */
}

/* How many clients wait in its backlogs. */
static unsigned backlog(const struct gb_worker *worker)
{
	unsigned waiting = 0;

	for (size_t i = 0; i < worker->listeners_count; i++)
		if (!worker->listeners[i].closed)
			waiting += gb__socket_waiting(
				worker->listeners[i].endpoint.fd, (unsigned)worker->server->options->backlog);
	return waiting;
}

/*
 * Whether who was in the backlog when draining began still has to be accepted. Others may take them, and
 * those who come later are not waited for: their number is not known, but that of the first ones is.
 */
static bool takes_in(struct gb_worker *worker)
{
	if (worker->intake > 0 && backlog(worker) == 0)
		worker->intake = 0;
	return worker->intake > 0;
}

/*
 * Once the engine has let go of the listening sockets. The last worker of a draining process closes them:
 * clients that come later are refused at once, rather than left to wait for what will never come.
 */
static void watching_ends(struct gb_worker *worker)
{
	if (!worker->watching)
		return;
	for (size_t i = 0; i < worker->listeners_count; i++)
		if (!worker->listeners[i].gone)
			return;
	worker->watching = false;
	if (atomic_fetch_sub(&worker->server->watchers, 1) == 1 && worker->net.draining)
		gb__server_unlisten(worker->server);
}

/* Its own where each worker has one (accept=reuseport). */
static int binding_fd(const struct gb_worker *worker, const struct gb__binding *binding)
{
	return binding->fds[binding->fds_count > 1 ? worker->id : 0];
}

static int listeners_init(struct gb_worker *worker)
{
	struct gb_server *server = worker->server;

	worker->listeners = gb__alloc_zero(gb__max(server->bindings_count, 1) * sizeof(*worker->listeners));
	if (!worker->listeners)
		return -ENOMEM;
	worker->watching = true;
	atomic_fetch_add(&server->watchers, 1);
	for (size_t i = 0; i < server->bindings_count; i++) {
		struct gb__listener *listener = &worker->listeners[worker->listeners_count];
		int result;

		if (server->bindings[i].fds_count == 0)
			continue;
		result = gb__listener_init(listener, &worker->loop, binding_fd(worker, &server->bindings[i]),
			on_accepted, worker);
		if (result < 0)
			return result;
		listener->index = i;
		worker->listeners_count++;
		if (may_accept(worker))
			result = gb__listener_start(listener);
		if (result < 0)
			return result;
	}
	return 0;
}

/* A service on several addresses begins and ends once per worker. */
static bool begun_already(const struct gb_worker *worker, size_t n)
{
	const struct gb__binding *bindings = worker->server->bindings;

	for (size_t i = 0; i < n; i++)
		if (bindings[i].service == bindings[n].service && bindings[i].user == bindings[n].user)
			return true;
	return false;
}

static void services_stop(struct gb_worker *worker)
{
	while (worker->started > 0) {
		const struct gb__binding *binding = &worker->server->bindings[--worker->started];

		if (binding->service->on_stop && !begun_already(worker, worker->started))
			binding->service->on_stop(worker, binding->user);
	}
}

static int services_start(struct gb_worker *worker, struct gb_error *error)
{
	for (; worker->started < worker->server->bindings_count; worker->started++) {
		const struct gb__binding *binding = &worker->server->bindings[worker->started];
		int result = 0;

		if (binding->service->on_start && !begun_already(worker, worker->started))
			result = binding->service->on_start(worker, binding->user);
		if (result < 0)
			return gb_error_set(error, result, "%s: cannot start on worker %u: %s",
				binding->service->name, worker->id, gb_strerror(result));
	}
	return 0;
}

static void obey(struct gb_worker *worker);

/* Everything that holds an endpoint must be gone before the engine is. */
static void run_down(struct gb_worker *worker)
{
	gb__worker_command(worker, GB__COMMAND_STOP);
	obey(worker);
	while (worker->net.connections > 0)
		gb__worker_turn(worker, -1);
}

/* Unless told otherwise, one waiter is woken where the engine can do that. */
static bool wakes_one(const struct gb__model *model)
{
	return model->wake == GB__WAKE_EXCLUSIVE || model->wake == GB__WAKE_AUTO;
}

void gb__worker_bind(struct gb_server *server, unsigned id)
{
	int result = gb__cpus_use_one(&server->options->affinity, id);
	uint64_t held;

	if (result < 0 && gb__log_allowed(&server->shared->misplaced, gb__os_now_ms(&gb__os_linux), &held))
		gb__log(GB__LOG_WARNING,
			"worker %u cannot have its CPU of affinity %s: %s (%" PRIu64
			" more since the last report)",
			id, server->options->affinity_text, gb_strerror(result), held);
}

int gb__worker_init(struct gb_worker *worker, struct gb_server *server, unsigned id, unsigned roles,
	struct gb__record *record, struct gb_error *error)
{
	const struct gb__model *model = &server->model;
	const bool shared =
		(roles & GB__WORKER_SERVES) && model->accept == GB__ACCEPT_SHARED && model->workers != 1;
	const bool pulls = (roles & GB__WORKER_SERVES) && gb__handover_of(model) == &gb__handover_channel &&
		model->engine == GB__ENGINE_BLOCKING && model->workers != 1;
	struct gb__engine_options options = {
		.os = &gb__os_linux,
		.accept_batch = model->accept_batch,
		.copied = model->accept == GB__ACCEPT_ACCEPTOR && model->unit == GB__UNIT_PROCESS,
		.accept_shared = shared,
		.accept_exclusive = (shared && wakes_one(model)) || pulls,
	};
	struct gb__engine *engine;
	int result;

	/* Of its own thread: gb_server_stop calls it. */
	if ((roles & GB__WORKER_ACCEPTS) && (roles & GB__WORKER_SERVES) && model->unit == GB__UNIT_THREAD &&
		model->workers == 1)
		options.receiver = &server->shared->receiver;
	/* All but the loop, whose memory late posters may look at. */
	memset(worker, 0, offsetof(struct gb_worker, loop));
	worker->server = server;
	worker->id = id;
	worker->roles = roles;
	worker->record = record;
	atomic_init(&worker->command, GB__COMMAND_RUN);
	worker->accept_lock.used = shared && model->wake == GB__WAKE_LOCK;
	worker->attentive = roles & GB__WORKER_ONCE;
	result = gb__inbox_init(&worker->inbox, inbox_take);
	if (result < 0)
		return gb_error_set(error, result, "worker %u: %s", id, gb_strerror(result));
	result = gb__engine_create(gb__model_engine_name(model->engine), options, &engine, error);
	if (result < 0)
		goto fail_inbox;
	gb__loop_init(&worker->loop, engine);
	if (roles & GB__WORKER_SERVES)
		worker->loop.busy_poll_ns = server->options->busy_poll_us * 1000;
	gb__net_init(&worker->net, &worker->loop, &server->limits, &record->counters,
		&server->shared->connections);
	worker->net.worker = worker;
	if (roles & GB__WORKER_SERVES)
		gb__offload_join(worker);
	worker->net.on_gone = on_gone;
	worker->net.arg = worker;
	if (!(roles & GB__WORKER_ONCE)) {
		result = gb__timers_reserve(&worker->loop.timers, server->bindings_count + TIMERS);
		if (result < 0) {
			gb_error_set(error, result, "no memory for worker %u", id);
			goto fail;
		}
	}
	if (roles & GB__WORKER_ACCEPTS) {
		result = listeners_init(worker);
		if (result < 0) {
			gb_error_set(error, result, "worker %u cannot watch a listening socket with %s: %s",
				id, engine->name, gb_strerror(result));
			goto fail;
		}
	}
	if (roles & GB__WORKER_SERVES) {
		result = services_start(worker, error);
		if (result < 0)
			goto fail;
	}
	return 0;

fail:
	gb__worker_end(worker);
	return result;
fail_inbox:
	gb__inbox_finish(&worker->inbox);
	return result;
}

void gb__worker_end(struct gb_worker *worker)
{
	struct gb__handed late;

	gb__accept_lock_release(worker);
	run_down(worker);
	for (size_t i = 0; i < worker->listeners_count; i++)
		while (!worker->listeners[i].gone)
			gb__worker_turn(worker, -1);
	watching_ends(worker);
	gb__channel_finish(&worker->channel);
	services_stop(worker); /* no turn, and so no callback, after it */
	gb__loop_finish(&worker->loop);
	gb__net_finish(&worker->net);
	while (gb__inbox_left(&worker->inbox, &late))
		gb__worker_refuse(worker, late, GB_CLOSE_DRAIN);
	gb__inbox_finish(&worker->inbox);
	gb__free(worker->listeners);
	gb__free(worker->data);
}

void gb__worker_command(struct gb_worker *worker, enum gb__command command)
{
	unsigned now = atomic_load(&worker->command);

	while (now < command && !atomic_compare_exchange_weak(&worker->command, &now, command))
		;
	worker->loop.engine->ops->wake(worker->loop.engine);
}

static void obey(struct gb_worker *worker)
{
	unsigned command = atomic_load(&worker->command);

	if (worker->obeyed == command)
		return;
	worker->obeyed = command;
	/* By a person, while the others go on. */
	if (atomic_load(&worker->server->shared->command) == GB__COMMAND_RUN)
		atomic_store(&worker->record->away, true);
	if (!worker->net.draining)
		worker->intake = backlog(worker);
	gb__net_drain(&worker->net);
	if (command == GB__COMMAND_STOP) {
		gb__worker_accept_finish(worker);
		worker->intake = 0;
		worker->net.drain_turns = 0;
		gb__net_abort_all(&worker->net, GB_CLOSE_DRAIN);
	}
}

/* Whether the acceptor still takes in who waited when all began to drain. */
static bool awaits_more(const struct gb_worker *worker)
{
	const struct gb__shared *shared = worker->server->shared;

	return atomic_load(&shared->giving) && atomic_load(&shared->command) != GB__COMMAND_RUN;
}

bool gb__worker_done(struct gb_worker *worker)
{
	if (worker->net.connections > 0 || (worker->roles & (GB__WORKER_SERVES)) == 0)
		return false;
	if (gb__worker_stops(worker) || (worker->roles & GB__WORKER_ONCE))
		return true;
	return worker->obeyed == GB__COMMAND_DRAIN && !worker->net.drain_turns && !worker->watching &&
		!awaits_more(worker) && gb__inbox_empty(&worker->inbox) &&
		!(worker->take && worker->take(worker));
}

/* Returns whether to go on. */
static bool look(struct gb_worker *worker)
{
	obey(worker);
	/* The turns are for connections that the engine has accepted already. */
	if (worker->net.draining && worker->net.drain_turns <= 1 && !takes_in(worker))
		gb__worker_accept_finish(worker);
	watching_ends(worker);
	worker->look = worker->net.draining || worker->attentive;
	return worker->on_turn ? worker->on_turn(worker) : !gb__worker_done(worker);
}

void gb__worker_run(struct gb_worker *worker)
{
	worker->look = true;
	for (;;) {
		if (gb__unlikely(worker->look ||
			    atomic_load_explicit(&worker->command, memory_order_relaxed) != worker->obeyed) &&
			!look(worker))
			break;
		if (gb__unlikely(worker->accept_lock.used))
			gb__accept_lock_enter(worker);
		gb__worker_turn(worker, gb__unlikely(worker->intake > 0) ? INTAKE_NS : -1);
		if (gb__unlikely(worker->accept_lock.used))
			gb__accept_lock_leave(worker);
	}
}
