#include "model/worker.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "model/handover.h"
#include "model/offload.h"
#include "model/tally.h"
#include "net/tell.h"
#include "net/turn.h"
#include "os/socket.h"
#include "os/thread.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define WAIT_FAILED_REST_MS 10u
/* The end of a drain and its reports, orphans. */
#define TIMERS 3u

/* The kernel lacks memory, as a rule. What only a fault of ours explains ends the process. */
static void wait_failed(struct gb_worker *worker, int error)
{
	uint64_t held;

	if (error == -EBADF)
		gb__watches_blame(&worker->watches);
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

/* Those it is given, or takes; what it connected to is its own affair. */
bool gb__worker_full(const struct gb_worker *worker)
{
	uint64_t clients = gb__net_clients(&worker->net) + worker->accept_lock.count + worker->adopting;

	return clients >= (one_stream(worker) ? 1 : worker->server->worker_connections_max);
}

void gb__worker_fewer(struct gb_worker *worker)
{
	if ((worker->acceptance.bars & GB__BAR_FULL) && !gb__worker_full(worker))
		gb__acceptance_clear(&worker->acceptance, GB__BAR_FULL);
}

static void on_gone(struct gb__net *net, void *arg)
{
	struct gb_worker *worker = arg;

	worker->look |= worker->roles & GB__WORKER_ONCE; /* it may have been its client */
	if (gb__worker_stops(worker))
		return;
	gb__worker_fewer(worker);
	if (gb__net_clients(net) == 0 && worker->on_idle)
		worker->on_idle(worker);
}

static inline void adopt(struct gb_worker *worker, struct gb__handed handed)
{
	const struct gb__binding *binding = &worker->server->bindings[handed.binding];

	if (gb__worker_stops(worker))
		gb__worker_refuse(worker, handed, GB_CLOSE_DRAIN);
	else
		gb__net_adopt(
			&worker->net, handed.fd, binding->service, binding->user, gb__binding_front(binding));
}

static __attribute__((noinline)) void adopt_traced(struct gb_worker *worker, struct gb__handed handed)
{
	gb__ledger_accepted(&worker->net, handed.fd);
	adopt(worker, handed);
}

void gb__worker_adopt(struct gb_worker *worker, struct gb__handed handed)
{
	if (gb__unlikely(worker->net.tracing.on))
		adopt_traced(worker, handed);
	else
		adopt(worker, handed);
}

void gb__worker_refuse(struct gb_worker *worker, struct gb__handed handed, int reason)
{
	struct gb_stats *stats = &worker->record->counters.stats;

	gb__tell_refused(
		worker->loop.os, handed.fd, worker->server->bindings[handed.binding].service, reason, NULL);
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
	if (gb__net_clients(&worker->net) == 0 && worker->on_idle)
		worker->on_idle(worker); /* it was refused at once */
}

static void on_accepted(void *arg, int fd, size_t index)
{
	struct gb_worker *worker = arg;
	struct gb__handed handed = { fd, (uint32_t)index };

	if (worker->on_accepted) {
		worker->on_accepted(worker, handed);
		return;
	}
	if (worker->accept_lock.used)
		gb__accept_lock_keep(worker, handed);
	else
		gb__worker_adopt(worker, handed);
	if (gb__worker_full(worker))
		gb__acceptance_bar(&worker->acceptance, GB__BAR_FULL);
}

static void accept_finish(struct gb_worker *worker)
{
	gb__acceptance_finish(&worker->acceptance);
	gb__accept_lock_release(worker); /* others may still have to take in who waits */
}

/*
 * Once the engine has let go of the listening sockets. The last worker of a draining process closes them:
 * clients that come later are refused at once, rather than left to wait for what will never come.
 */
static void watching_ends(struct gb_worker *worker)
{
	if (!worker->watching || !gb__acceptance_gone(&worker->acceptance))
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

static bool has_shared_socket(const struct gb_server *server)
{
	for (size_t i = 0; i < server->bindings_count; i++)
		if (server->bindings[i].shared)
			return true;
	return false;
}

/* Whether others wait on the same listening sockets. */
static bool shares(const struct gb_worker *worker)
{
	const struct gb__model *model = &worker->server->model;

	if (!(worker->roles & GB__WORKER_SERVES) || model->workers == 1)
		return false;
	return model->accept == GB__ACCEPT_SHARED ||
		(model->accept == GB__ACCEPT_REUSEPORT && has_shared_socket(worker->server));
}

/* Unless told otherwise, one waiter is woken where the engine can do that. */
static bool wakes_one(const struct gb_worker *worker)
{
	enum gb__model_wake wake = worker->server->model.wake;

	return shares(worker) && (wake == GB__WAKE_EXCLUSIVE || wake == GB__WAKE_AUTO);
}

static bool wakes_by_lock(const struct gb_worker *worker)
{
	return shares(worker) && worker->server->model.wake == GB__WAKE_LOCK;
}

/* Blocking processes wait for connections on one channel. */
static bool pulls(const struct gb_worker *worker)
{
	const struct gb__model *model = &worker->server->model;

	return (worker->roles & GB__WORKER_SERVES) && gb__handover_of(model) == &gb__handover_channel &&
		model->engine == GB__ENGINE_BLOCKING && model->workers != 1;
}

/* A child would inherit what a ring has accepted and nobody was told of, and keep it. */
static bool accepts_beside_forks(const struct gb_worker *worker)
{
	return (worker->roles & GB__WORKER_ACCEPTS) && !(worker->roles & GB__WORKER_SERVES) &&
		worker->server->model.unit == GB__UNIT_PROCESS;
}

/* The chief that serves alone, whom gb_server_stop calls. */
static bool serves_alone(const struct gb_worker *worker)
{
	const struct gb__model *model = &worker->server->model;

	return (worker->roles & GB__WORKER_ACCEPTS) && (worker->roles & GB__WORKER_SERVES) &&
		model->unit == GB__UNIT_THREAD && model->workers == 1;
}

static int engine_make(struct gb_worker *worker, struct gb__engine **ret, struct gb_error *error)
{
	const struct gb__model *model = &worker->server->model;

	return gb__engine_create(gb__model_engine_name(model->engine),
		(struct gb__engine_options){
			.os = &gb__os_linux,
			.accept_batch = model->accept_batch,
			.copied = model->accept == GB__ACCEPT_ACCEPTOR && model->unit == GB__UNIT_PROCESS,
			.accept_when_ready = shares(worker) || accepts_beside_forks(worker),
			.accept_exclusive = wakes_one(worker) || pulls(worker),
			.accept_first = wakes_by_lock(worker),
			.tried = worker->server->options->model.engine == GB__ENGINE_AUTO,
			.receiver = serves_alone(worker) ? &worker->server->shared->receiver : NULL,
		},
		ret, error);
}

static void on_accepts_told(void *arg)
{
	gb__accept_lock_release(arg);
}

static int listeners_init(struct gb_worker *worker)
{
	struct gb_server *server = worker->server;
	size_t addresses = 0;
	int result;

	for (size_t i = 0; i < server->bindings_count; i++)
		addresses += server->bindings[i].fds_count > 0;
	result = gb__acceptance_init(&worker->acceptance, &worker->loop, addresses, on_accepted, worker);
	worker->acceptance.look = &worker->look;
	worker->watching = true;
	atomic_fetch_add(&server->watchers, 1);
	for (size_t i = 0; i < server->bindings_count && result == 0; i++)
		if (server->bindings[i].fds_count > 0)
			result = gb__acceptance_add(
				&worker->acceptance, binding_fd(worker, &server->bindings[i]), i);
	if (result == 0 && wakes_by_lock(worker))
		result = gb__accept_lock_init(worker);
	return result;
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

/* Whether anything of it runs on this worker: of straight-line handlers and of those without an address nothing does in a
 * process of the pool. */
static bool runs(const struct gb_worker *worker, const struct gb__binding *binding)
{
	return !worker->apart || (binding->fds_count > 0 && !binding->service->serve);
}

void gb__worker_services_stop(struct gb_worker *worker)
{
	while (worker->started > 0) {
		const struct gb__binding *binding = &worker->server->bindings[--worker->started];

		if (binding->service->on_stop && runs(worker, binding) &&
			!begun_already(worker, worker->started))
			binding->service->on_stop(worker, binding->user);
	}
}

int gb__worker_services_start(struct gb_worker *worker, struct gb_error *error)
{
	for (; worker->started < worker->server->bindings_count; worker->started++) {
		const struct gb__binding *binding = &worker->server->bindings[worker->started];
		int result = 0;

		if (binding->service->on_start && runs(worker, binding) &&
			!begun_already(worker, worker->started))
			result = binding->service->on_start(worker, binding->user);
		if (result < 0 && worker->apart)
			return gb_error_set(error, result,
				"%s: cannot start in a process of the compute pool: %s",
				binding->service->name, gb_strerror(result));
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
	while (worker->net.connections > 0 || worker->net.coroutines > 0 || worker->net.offloads > 0 ||
		worker->files.under_way > 0 || !gb__children_none(&worker->children))
		gb__worker_turn(worker, -1);
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

static void native_turn(void *arg);
static void on_change(void *arg);

int gb__worker_init(struct gb_worker *worker, struct gb_server *server, unsigned id, unsigned roles,
	struct gb__record *record, struct gb_error *error)
{
	struct gb__engine *engine;
	int result;

	/* All but the loop, whose memory late posters may look at. */
	memset(worker, 0, offsetof(struct gb_worker, loop));
	worker->server = server;
	worker->id = id;
	worker->roles = roles;
	worker->record = record;
	atomic_init(&worker->command, GB__COMMAND_RUN);
	result = gb__inbox_init(&worker->inbox, inbox_take);
	if (result < 0)
		return gb_error_set(error, result, "worker %u: %s", id, gb_strerror(result));
	result = engine_make(worker, &engine, error);
	if (result < 0)
		goto fail_inbox;
	engine->on_accepts_told = on_accepts_told;
	engine->on_accepts_told_arg = worker;
	gb__loop_init(&worker->loop, engine);
	gb__watches_init(&worker->watches, &worker->loop);
	gb__signal_watches_init(&worker->signals);
	gb__children_init(&worker->children);
	if (roles & GB__WORKER_SERVES)
		worker->loop.busy_poll_ns = server->options->busy_poll_us * 1000;
	gb__net_init(&worker->net, &worker->loop, &server->limits, &record->counters,
		&server->shared->connections);
	worker->net.worker = worker;
	worker->net.places = &server->places;
	worker->net.tracing.ledger = &server->shared->ledger;
	gb__ledger_look(&worker->net);
	gb__worker_files_init(worker);
	gb__worker_names_init(worker);
	gb__streams_init(&worker->streams, &worker->net, server->model.stack);
	gb__streams_belong(&worker->streams, native_turn, on_change, worker);
	gb__tally_join(worker);
	worker->net.on_gone = on_gone;
	worker->net.arg = worker;
	if (roles & GB__WORKER_SERVES) {
		result = gb__offload_join(worker);
		if (result < 0) {
			gb_error_set(error, result, "worker %u cannot use the compute pool: %s", id,
				gb_strerror(result));
			goto fail;
		}
	}
	if (!(roles & GB__WORKER_ONCE)) {
		result = gb__timers_reserve(&worker->loop.timers, TIMERS);
		if (result < 0) {
			gb_error_set(error, result, "no memory for worker %u", id);
			goto fail;
		}
	}
	if (roles & GB__WORKER_ACCEPTS)
		result = listeners_init(worker);
	if (result == 0 && (roles & GB__WORKER_SERVES)) {
		result = gb__worker_services_start(worker, error);
		if (result < 0)
			goto fail;
	}
	if (result == 0 && (roles & GB__WORKER_ACCEPTS))
		result = gb__acceptance_begin(&worker->acceptance);
	if (result < 0) {
		gb_error_set(error, result, "worker %u cannot watch a listening socket with %s: %s", id,
			engine->name, gb_strerror(result));
		goto fail;
	}
	gb__stall_join(worker);
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

	gb__accept_lock_finish(worker);
	gb_timer_stop(&worker->last_orders);
	run_down(worker);
	gb__signal_watches_end(worker);
	gb__worker_names_end(worker);
	gb__watches_end(&worker->watches);
	while (worker->watches.attached > 0)
		gb__worker_turn(worker, -1);
	while (!gb__acceptance_gone(&worker->acceptance))
		gb__worker_turn(worker, -1);
	watching_ends(worker);
	gb__channel_finish(&worker->channel);
	gb__worker_services_stop(worker); /* no turn, and so no callback, after it */
	gb__stall_leave(worker);
	gb__watches_finish(&worker->watches);
	gb__hub_leave(worker);
	gb__streams_finish(&worker->streams);
	gb__loop_finish(&worker->loop);
	gb__worker_names_finish(worker);
	gb__free(worker->hub);
	worker->hub = NULL;
	gb__net_finish(&worker->net);
	while (gb__inbox_left(&worker->inbox, &late))
		gb__worker_refuse(worker, late, GB_CLOSE_DRAIN);
	gb__inbox_finish(&worker->inbox);
	gb__acceptance_destroy(&worker->acceptance);
	gb__free(worker->data);
}

void gb__worker_command(struct gb_worker *worker, enum gb__command command)
{
	unsigned now = atomic_load(&worker->command);

	while (now < command && !atomic_compare_exchange_weak(&worker->command, &now, command))
		;
	worker->loop.engine->ops->wake(worker->loop.engine);
}

static unsigned backlog(const struct gb_worker *worker)
{
	return (unsigned)worker->server->options->backlog;
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
		gb__acceptance_drain(&worker->acceptance, backlog(worker));
	gb__net_drain(&worker->net);
	gb__children_drain(&worker->children);
	if (command == GB__COMMAND_STOP) {
		gb__children_end(&worker->children);
		accept_finish(worker);
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
	if (worker->net.connections > 0 || worker->adopting > 0 || (worker->roles & (GB__WORKER_SERVES)) == 0)
		return false;
	if (worker->net.coroutines > 0 && (worker->net.draining || (worker->roles & GB__WORKER_ONCE)))
		return false;
	if (gb__worker_stops(worker) || (worker->roles & GB__WORKER_ONCE))
		return true;
	return worker->obeyed == GB__COMMAND_DRAIN && !worker->net.drain_turns && !worker->watching &&
		!awaits_more(worker) && gb__inbox_empty(&worker->inbox) &&
		!(worker->take && worker->take(worker));
}

static void last_orders_over(struct gb_timer *timer, void *arg)
{
	gb__worker_command(arg, GB__COMMAND_STOP);
}

/* Upstreams that it was connected to for its client have an orderly end, within the time of a drain. */
static void drain_without_client(struct gb_worker *worker)
{
	gb__worker_command(worker, GB__COMMAND_DRAIN);
	if (gb_timer_start(worker, &worker->last_orders, worker->server->options->drain_timeout_ms,
		    last_orders_over, worker) < 0)
		gb__worker_command(worker, GB__COMMAND_STOP);
}

/* What becomes of accepting before the next turn, which `look` asks for. Returns how long that may sleep at most, or -1. */
static int64_t accept_turn(struct gb_worker *worker)
{
	int64_t left_ns = gb__acceptance_turn(&worker->acceptance);

	if (worker->accept_lock.used) {
		int64_t lock_ns = gb__accept_lock_enter(worker);

		if (lock_ns >= 0 && (left_ns < 0 || lock_ns < left_ns))
			left_ns = lock_ns;
	}
	return left_ns;
}

/* What there is to do between turns. Returns whether to go on. */
static bool look_around(struct gb_worker *worker)
{
	if ((worker->roles & GB__WORKER_ONCE) && gb__net_clients(&worker->net) == 0 &&
		(worker->net.connections > 0 || worker->net.coroutines > 0) && !worker->net.draining)
		drain_without_client(worker);
	obey(worker);
	/* The turns are for connections that the engine has accepted already. */
	if (worker->net.draining && worker->net.drain_turns <= 1 &&
		!gb__acceptance_takes_in(&worker->acceptance, backlog(worker)))
		accept_finish(worker);
	watching_ends(worker);
	worker->look = worker->net.draining || worker->attentive || worker->accept_lock.used ||
		(worker->acceptance.bars & GB__BARS_TIMED);
	return worker->on_turn ? worker->on_turn(worker) : !gb__worker_done(worker);
}

static inline bool wants_look(const struct gb_worker *worker)
{
	return worker->look || atomic_load(&worker->command) != worker->obeyed;
}

/* Whether there is something to do between turns. */
static inline unsigned called(const struct gb_worker *worker)
{
	return worker->look | (atomic_load_explicit(&worker->command, memory_order_relaxed) ^ worker->obeyed);
}

/* Whether there are only events to wait for: nearly always. */
static inline bool only_events(const struct gb_worker *worker)
{
	return !called(worker) && gb__net_turns_plainly(&worker->net);
}

static inline void turn_plain(struct gb_worker *worker)
{
	int result = gb__net_turn_plain(&worker->net);

	if (gb__unlikely(result < 0))
		wait_failed(worker, result);
}

/* Such turns for as long as there are only events: one question between two of them. */
static inline void turns_plain(struct gb_worker *worker)
{
	struct gb__net *net = &worker->net;
	uint64_t sleep_ns = gb__net_sleep_plain_ns(net);
	int result;

	do {
		result = gb__loop_sleep(net->loop, sleep_ns);
		gb__net_publish(net);
	} while (gb__likely(!(gb__net_came_up(net) | called(worker))) && gb__likely(result >= 0));
	gb__net_turn_rest(net);
	gb__net_publish(net);
	if (gb__unlikely(result < 0))
		wait_failed(worker, result);
}

/* While a handler waits on the worker's own stack: as long as it does there is something to go on for. */
static void native_turn(void *arg)
{
	struct gb_worker *worker = arg;

	if (gb__likely(only_events(worker))) {
		turn_plain(worker);
		return;
	}
	if (wants_look(worker))
		(void)look_around(worker);
	gb__worker_turn(worker, accept_turn(worker));
}

/* A handler is to run natively, or the last coroutine has ended. */
static void on_change(void *arg)
{
	struct gb_worker *worker = arg;

	worker->look = true;
}

/* As look_around, with the handler that waits to run on the worker's own stack, if there is one. */
static bool look(struct gb_worker *worker)
{
	bool goes_on = look_around(worker);

	while (worker->streams.native) {
		gb__streams_serve(&worker->streams);
		goes_on = look_around(worker);
	}
	return goes_on;
}

/* It sleeps at most so long, -1: as long as it may. */
static __attribute__((noinline)) bool turn(struct gb_worker *worker, int64_t timeout_ns)
{
	int64_t accept_ns;

	if (wants_look(worker) && !look(worker))
		return false;
	accept_ns = accept_turn(worker);
	gb__worker_turn(worker, timeout_ns == 0 ? 0 : accept_ns);
	return true;
}

void gb__worker_run(struct gb_worker *worker)
{
	worker->look = true;
	for (;;) {
		if (gb__likely(only_events(worker)))
			turns_plain(worker);
		else if (!turn(worker, -1))
			break;
	}
}

#define STEP_TURNS 4u /* of one step, so that the other loop has its turn */

bool gb__worker_step(struct gb_worker *worker)
{
	const struct gb__engine *engine = worker->loop.engine;

	for (unsigned i = 0; i < STEP_TURNS; i++) {
		if (!turn(worker, 0))
			return false;
		if (!engine->ops->polled->due(engine) && gb__net_sleep_ns(&worker->net) != 0)
			break;
	}
	if (wants_look(worker) && !look(worker))
		return false;
	worker->loop.engine->awake = false; /* what the other loop does is no stall of ours */
	return true;
}

int64_t gb__worker_sleep_ns(struct gb_worker *worker)
{
	const struct gb__engine *engine = worker->loop.engine;
	int64_t accept_ns = accept_turn(worker), sleep_ns = gb__net_sleep_ns(&worker->net);

	if (atomic_load(&worker->command) != worker->obeyed || engine->ops->polled->due(engine))
		return 0;
	return accept_ns >= 0 && (sleep_ns < 0 || accept_ns < sleep_ns) ? accept_ns : sleep_ns;
}
