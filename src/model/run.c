/*
 * A run of a server: the composition. The calling thread's worker, the chief, exists under every model. By
 * the model's axes it serves alone (one worker thread, no acceptor), accepts and gives to a crew, or
 * only supervises a crew that accepts for itself. No model has code of its own.
 *
 * Stopping: the chief commands the crew to drain, gives it what the backlog holds and lets go of the
 * listening sockets; at the deadline it commands all to stop. It ends when nobody is left.
 */
#include "model/run.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/parse.h"
#include "model/bus.h"
#include "model/connected.h"
#include "model/crew.h"
#include "model/naming.h"
#include "model/notify.h"
#include "model/offload.h"
#include "model/stall.h"
#include "model/starvation.h"
#include "model/summary.h"
#include "model/tls.h"

#include "os/orphan.h"
#include "os/process.h"
#include "os/signal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define ORPHAN_MS 500u /* between two looks at children that nobody waits for */
#define NS_PER_S 1000000000u
#define REPORT_MS 3000u     /* between two lines about what a drain waits for */
#define KILL_GRACE_MS 1000u /* for worker processes that do not end although told to */

struct gb__run {
	struct gb_worker chief;
	struct gb__endpoint wakeup; /* of server->wake_fd */
	bool wakeup_gone;
	struct gb__crew *crew;    /* NULL: the chief serves alone */
	struct gb_timer deadline; /* of the drain, then of the grace */
	struct gb_timer report;   /* of what the drain waits for */
	unsigned stop;            /* what was acted upon */
	bool adopts;              /* as process 1: threads whose handlers may have children of their own */
	int child_signal;         /* ticket */
	_Atomic bool child_ended; /* one has, and was not looked for yet */
	struct gb__signal_catch catches[GB__SIGNALS_MAX];
	struct gb__orphans orphans; /* where handlers of this process may have children of their own */
	struct gb_timer look_after_orphans;
	struct gb__starvation starvation;
	struct gb__notifier notifier;
	uint64_t hangups; /* that were acted upon */
	struct gb__connected connected;
	struct gb__stall_watch *stalls; /* NULL: nobody watches */
	struct gb__cpus before;         /* of the calling thread */
};

static void wakeup_ready(struct gb__endpoint *watch, unsigned ready)
{
	gb__container_of(watch, struct gb__run, wakeup)->chief.look =
		true; /* chief_turn knows what it may mean */
	gb__os_linux.ops->event_clear(&gb__os_linux, watch->fd);
}

static void wakeup_detached(struct gb__endpoint *watch)
{
	gb__container_of(watch, struct gb__run, wakeup)->wakeup_gone = true;
}

static const struct gb__endpoint_ops wakeup_ops = { .on_ready = wakeup_ready,
	.on_detached = wakeup_detached };

static void on_child(void *arg)
{
	struct gb__run *run = arg;

	atomic_store(&run->child_ended, true);
	gb__os_linux.ops->event_signal(&gb__os_linux, run->chief.server->wake_fd);
}

static bool is_ours(pid_t pid, const void *children)
{
	return gb__children_have(children, pid);
}

static void look_after_orphans(struct gb_timer *timer, void *arg)
{
	struct gb__run *run = arg;

	atomic_store(&run->child_ended, false);
	if (gb__orphans_reap(&run->orphans, is_ours, &run->chief.children))
		atomic_store(&run->child_ended, true);
	if (atomic_load(&run->child_ended))
		gb__worker_timer(&run->chief, timer, ORPHAN_MS, look_after_orphans, run);
}

static void grace_over(struct gb_timer *timer, void *arg)
{
	struct gb__run *run = arg;

	if (run->crew)
		gb__crew_kill(run->crew);
	gb__offload_kill(run->chief.server);
}

static void stop_now(struct gb__run *run)
{
	gb__worker_command(&run->chief, GB__COMMAND_STOP);
	if (run->crew)
		gb__crew_command(run->crew, GB__COMMAND_STOP);
	else if (!run->chief.server->processes)
		return;
	gb__worker_timer(&run->chief, &run->deadline, KILL_GRACE_MS, grace_over, run);
}

/* What workers wait for, as they said last. One that is inside a handler may not have seen yet that all drain. */
static void census_log(
	const struct gb__run *run, enum gb__log_level level, const char *what, const char *when, uint64_t ms)
{
	const struct gb__shared *shared = run->chief.server->shared;
	struct gb__census census;
	char parts[256] = "", time[32];
	uint64_t all, counted;
	size_t used = 0;

	gb__shared_census(shared, &census);
	all = gb__max(atomic_load(&shared->connections), census.connections);
	counted = census.output + census.held + census.pooled + census.message;
	if (all == 0)
		return;
	const struct {
		uint64_t count;
		const char *text;
	} rows[] = { { census.output, "with output left" }, { census.held, "held by their handlers" },
		{ census.pooled, "in the compute pool" }, { census.message, "amid a message" },
		{ census.connections - gb__min(census.connections, counted), "about to end" },
		{ all - census.connections, "of workers inside a handler" } };

	for (size_t i = 0; i < gb__countof(rows); i++)
		if (rows[i].count > 0)
			used += (size_t)snprintf(parts + used, sizeof(parts) - used, "%s%" PRIu64 " %s",
				used ? ", " : "", rows[i].count, rows[i].text);
	gb__format_units(ms, gb__duration_units, time, sizeof(time));
	gb__log(level, "%s %" PRIu64 " connection%s (%s)%s%s", what, all, all == 1 ? "" : "s", parts, when,
		time);
}

static void report(struct gb_timer *timer, void *arg)
{
	struct gb__run *run = arg;
	uint64_t now_ns = gb_worker_clock_ns(&run->chief), end_ns = run->deadline.deadline_ns;

	census_log(run, GB__LOG_NOTICE, "draining: waiting for", ", for another ",
		end_ns > now_ns ? (end_ns - now_ns + NS_PER_S - 1) / NS_PER_S * 1000 : 0);
	gb__worker_timer(&run->chief, timer, REPORT_MS, report, run);
}

static void deadline_over(struct gb_timer *timer, void *arg)
{
	struct gb__run *run = arg;

	census_log(run, GB__LOG_WARNING, "draining: cutting off", ": still there after ",
		run->chief.server->options->drain_timeout_ms);
	gb_timer_stop(&run->report);
	stop_now(arg);
}

static void drain(struct gb__run *run)
{
	struct gb_server *server = run->chief.server;

	gb__worker_command(&run->chief, GB__COMMAND_DRAIN);
	gb__worker_timer(&run->chief, &run->deadline, server->options->drain_timeout_ms, deadline_over, run);
	gb__worker_timer(&run->chief, &run->report, REPORT_MS, report, run);
	gb__notifier_stopping(&run->notifier, server->options->drain_timeout_ms);
	if (!run->crew)
		return;
	gb__crew_command(run->crew, GB__COMMAND_DRAIN);
	/* Worker processes that accept for themselves have their own. */
	if (server->model.unit == GB__UNIT_PROCESS && !(run->chief.roles & GB__WORKER_ACCEPTS))
		gb__server_unlisten(server);
}

static void obey_stop(struct gb__run *run)
{
	unsigned stop = atomic_load(&run->chief.server->shared->stop);

	/* First its names go: whoever comes by them meanwhile is served. A second request does not wait for it. */
	if (stop > run->stop && (stop > 1 || gb__naming_ended(&run->chief))) {
		/* A program of outgoing connections alone, or of one that was passed, ends when it has what it came for: no news. */
		if (stop > 1)
			gb__log(GB__LOG_NOTICE, "told to stop at once");
		else if (gb_server_address(run->chief.server, 0) && !run->connected.chief)
			gb__log(GB__LOG_NOTICE, "told to stop: draining for at most %" PRIu64 " ms",
				run->chief.server->options->drain_timeout_ms);
		if (run->stop == 0)
			drain(run);
		if (stop > 1) {
			gb_timer_stop(&run->report);
			stop_now(run);
		}
		run->stop = stop;
	}
}

/* Workers stay until all that was in the backlog has been given to them. */
static bool all_given(const struct gb__run *run)
{
	return run->chief.net.draining && !run->chief.net.drain_turns && !run->chief.watching &&
		!run->crew->channels.waiting_count;
}

/* Nobody serves any more, perhaps without having been told to stop. */
static bool may_end(struct gb__run *run)
{
	return run->stop > 1 || gb__naming_ended(&run->chief);
}

/* SIGHUP is caught for services, or because there are certificates to read again; these come first. */
static void obey_hangup(struct gb__run *run)
{
	struct gb_server *server = run->chief.server;
	const uint64_t hangups = atomic_load(&server->shared->signals[SIGHUP - 1]);

	if (hangups == run->hangups)
		return;
	run->hangups = hangups;
	if (!server->tls)
		return;
	gb__notifier_reloading(&run->notifier);
	gb__server_reload(server);
	gb__notifier_reloaded(&run->notifier);
}

static void obey_signals(struct gb__run *run)
{
	struct gb_server *server = run->chief.server;

	if (!atomic_load(&server->shared->signalled) || !atomic_exchange(&server->shared->signalled, false))
		return;
	obey_hangup(run);
	if (!run->crew)
		gb__signal_watches_ring(&run->chief);
	else if (gb__signals_wanted(server) || server->model.workers != GB__WORKERS_PER_CONNECTION)
		gb__crew_ring(run->crew); /* who has one connection begins no other session */
}

static bool chief_turn(struct gb_worker *chief)
{
	struct gb__run *run = gb__container_of(chief, struct gb__run, chief);

	if (run->crew)
		gb__crew_flush(run->crew);
	obey_stop(run);
	if (atomic_load(&chief->server->asked) && atomic_exchange(&chief->server->asked, false))
		gb__summary_log(chief->server);
	obey_signals(run);
	if (run->adopts && atomic_load(&run->child_ended) && !run->look_after_orphans.heap_index)
		gb__worker_timer(chief, &run->look_after_orphans, ORPHAN_MS, look_after_orphans, run);
	if (run->crew) {
		/* Before it looks: who ends meanwhile sets it again. */
		if (atomic_load(&run->crew->left) ||
			(!run->adopts && atomic_load(&run->child_ended) &&
				atomic_exchange(&run->child_ended, false)))
			gb__crew_reap(run->crew);
		if (gb__crew_deserted(run->crew))
			gb__channels_desert(run->crew);
		if (all_given(run))
			gb__crew_given(run->crew);
		return !gb__crew_gone(run->crew) || !may_end(run);
	}
	return !gb__worker_done(chief) || !may_end(run);
}

static void give(struct gb_worker *chief, struct gb__handed handed)
{
	struct gb__crew *crew = gb__container_of(chief, struct gb__run, chief)->crew;

	if (crew->commanded == GB__COMMAND_STOP || gb__crew_deserted(crew))
		gb__worker_refuse(chief, handed, GB_CLOSE_DRAIN); /* there may be nobody any more */
	else
		gb__crew_give(crew, handed);
}

static int wakeup_watch(struct gb__run *run, bool alone, struct gb_error *error)
{
	struct gb__engine *engine = run->chief.loop.engine;
	int result;

	run->wakeup = (struct gb__endpoint){
		.ops = &wakeup_ops, .fd = run->chief.server->wake_fd, .kind = GB__ENDPOINT_WATCH
	};
	run->wakeup_gone = true;
	result = engine->ops->attach(engine, &run->wakeup);
	if (result == 0) {
		run->wakeup_gone = false;
		/* Children of a crew's chief end without a call. */
		result = engine->ops->watch(
			engine, &run->wakeup, alone ? GB__READY_IN | GB__READY_WAKES : GB__READY_IN);
	}
	return result < 0 ? gb_error_set(error, result, "cannot watch for signals: %s", gb_strerror(result))
			  : 0;
}

static void wakeup_unwatch(struct gb__run *run)
{
	struct gb__engine *engine = run->chief.loop.engine;

	if (run->wakeup_gone)
		return;
	if (engine->ops->detach(engine, &run->wakeup) == 0)
		return;
	while (!run->wakeup_gone)
		gb__worker_turn(&run->chief, -1);
}

static unsigned chief_roles(const struct gb__model *model)
{
	if (model->accept == GB__ACCEPT_ACCEPTOR)
		return GB__WORKER_ACCEPTS;
	if (model->unit == GB__UNIT_THREAD && model->workers == 1)
		return GB__WORKER_ACCEPTS | GB__WORKER_SERVES;
	return 0;
}

/* Wait for the crew to end after a failed start or a run; it has been told to. */
static void crew_await(struct gb__run *run)
{
	while (run->crew->alive > 0) {
		gb__worker_turn(&run->chief, -1);
		gb__crew_reap(run->crew);
	}
}

/* Worker processes are; as process 1, so are those of others. */
static int watch_children(struct gb__run *run, struct gb_error *error)
{
	bool processes = run->chief.server->model.unit == GB__UNIT_PROCESS;

	run->adopts = !processes && gb__orphans_come();
	if (!processes && !run->adopts)
		return 0;
	run->child_ended = true; /* perhaps: before anybody watched */
	run->child_signal = gb__signal_subscribe(SIGCHLD, on_child, run);
	return run->child_signal < 0 ? gb_error_set(error, run->child_signal, "cannot watch for children: %s",
					       gb_strerror(run->child_signal))
				     : 0;
}

static int run_crew(struct gb__run *run, struct gb_error *error)
{
	struct gb_server *server = run->chief.server;
	int result = gb__crew_create(server, &run->chief, &run->crew, error);

	if (result < 0 && run->crew) {
		gb__crew_command(run->crew, GB__COMMAND_STOP);
		gb__worker_timer(&run->chief, &run->deadline, KILL_GRACE_MS, grace_over, run);
		crew_await(run);
	}
	return result;
}

static bool forks(const struct gb_server *server)
{
	return server->model.unit == GB__UNIT_PROCESS || server->model.compute == GB__COMPUTE_PROCESSES;
}

/* What other processes publish goes through the chief: before there are any. */
static int bus_create(struct gb_server *server, struct gb_error *error)
{
	int result = 0;

	if (forks(server))
		result = gb__bus_create(&server->bus);
	return result < 0 ? gb_error_set(error, result, "cannot connect processes with each other: %s",
				    gb_strerror(result))
			  : 0;
}

static int bus_watch(struct gb__run *run, struct gb_error *error)
{
	struct gb_server *server = run->chief.server;
	int result = 0;

	if (server->bus)
		result = gb__bus_watch(server->bus, &run->chief,
			server->model.unit == GB__UNIT_PROCESS ? NULL : &server->hubs);
	return result < 0
		? gb_error_set(error, result, "cannot watch what is published: %s", gb_strerror(result))
		: 0;
}

static void bus_destroy(struct gb_server *server)
{
	gb__bus_destroy(server->bus);
	server->bus = NULL;
}

static int start(struct gb__run *run, bool alone, struct gb_error *error)
{
	struct gb_server *server = run->chief.server;
	int result = wakeup_watch(run, alone, error);

	if (result == 0)
		result = watch_children(run, error);
	if (result == 0 && gb__offload_supervise(&run->chief) < 0)
		result = gb_error_set(error, -ENOMEM, "cannot watch the compute pool");
	if (result == 0)
		result = bus_watch(run, error);
	if (result == 0 && !alone) {
		run->chief.on_accepted = give;
		run->chief.attentive = true; /* workers that are threads end without a word */
		result = run_crew(run, error);
		if (result == 0)
			gb__starvation_watch(&run->starvation, &run->chief, run->crew->seats_count);
	}
	if (result < 0)
		return result;
	gb__stall_watch_begin(run->stalls); /* first: who is told has all threads */
	if (server->on_ready)
		server->on_ready(server, server->on_ready_arg);
	gb__naming_begin(&run->chief);
	gb__notifier_ready(&run->notifier, &run->chief);
	gb__connected_begin(&run->connected, &run->chief);
	if (run->crew)
		gb__crew_courtesy(run->crew, true);
	return 0;
}

static void end(struct gb__run *run)
{
	struct gb_server *server = run->chief.server;

	gb__naming_end(server);
	gb_timer_stop(&run->deadline);
	gb_timer_stop(&run->look_after_orphans);
	gb__starvation_end(&run->starvation);
	gb__notifier_end(&run->notifier);
	gb__connected_end(&run->connected);
	gb__stall_unwatch(run->stalls);
	run->stalls = NULL;
	gb__orphans_finish(&run->orphans);
	gb_timer_stop(&run->report);
	gb__signal_unsubscribe(run->child_signal);
	wakeup_unwatch(run);
	gb__worker_end(&run->chief);
	gb__server_unlisten(server); /* done already, unless it could not start */
	gb__offload_stop(server);
	server->chief = NULL;
	gb__crew_destroy(run->crew);
	server->crew = NULL;
	bus_destroy(server);
	gb__record_retire(server->shared, run->chief.record, GB_CLOSE_DRAIN);
	atomic_store(&server->shared->head.process, 0);
	atomic_store(&server->shared->stop, 0);
	atomic_store(&server->shared->command, GB__COMMAND_RUN);
	atomic_store(&server->shared->giving, false);
}

static int serve(struct gb_server *server, struct gb__run *run, struct gb_error *error)
{
	const unsigned roles = chief_roles(&server->model);
	bool alone = roles & GB__WORKER_SERVES;
	struct gb__record *record = &server->shared->records[server->shared->records_count - 1];
	int result;

	server->failure = (struct gb_error){ 0 };
	atomic_store(&server->shared->head.process, gb__process_self());
	result = gb__naming_prepare(server, error);
	if (result == 0)
		result = bus_create(server, error);
	if (result == 0 && server->model.unit == GB__UNIT_THREAD)
		result = gb__offload_start(server, server->shared->records_count - 1, error);
	if (result < 0) {
		bus_destroy(server);
		return result;
	}
	/* Behind the start of other threads, which would inherit it. */
	if (alone)
		gb__worker_bind(server, 0);
	result = gb__worker_init(&run->chief, server, alone ? 0 : (unsigned)server->shared->records_count - 1,
		roles, record, error);
	if (result < 0) {
		gb__offload_stop(server);
		bus_destroy(server);
		return result;
	}
	run->chief.on_turn = chief_turn;
	server->chief = &run->chief;
	gb__server_refresh_on(&run->chief);
	run->stalls = gb__stall_watch_create(&run->chief, &run->before);
	result = start(run, alone, error);
	if (result < 0)
		end(run);
	return result;
}

/* Once nobody else runs it, and so nothing of it changes any more. */
static int check_run(const struct gb_server *server, struct gb_error *error)
{
	if (server->bindings_count == 0)
		return gb_error_set(error, -GB_EUSAGE, "nothing to serve: call gb_server_listen first");
	if (server->unlistened)
		return gb_error_set(error, -GB_EUSAGE,
			"the server has run and its listening sockets are closed: make another one");
	if (gb__connected_check_alone(server, error) < 0)
		return -GB_EUSAGE;
	if (server->model.workers == GB__WORKERS_PER_CONNECTION && !gb_server_address(server, 0))
		return gb_error_set(error, -GB_EILLEGAL,
			"%s: without an address there is no connection to start a worker for; take model reactor",
			server->bindings[0].service->name);
	return 0;
}

bool gb__run_alone(const struct gb_server *server)
{
	return chief_roles(&server->model) & GB__WORKER_SERVES;
}

struct gb_worker *gb__run_chief(struct gb__run *run)
{
	return &run->chief;
}

/* The thread is the caller's, and has its CPUs back if we took them. */
static void give_back(const struct gb_server *server, const struct gb__cpus *before)
{
	if (server->model.engine == GB__ENGINE_BLOCKING)
		gb__receivers_end();
	if (gb__run_alone(server) && gb__cpus_count(&server->options->affinity))
		gb__cpus_use(before);
}

int gb__run_begin(struct gb_server *server, struct gb__run **ret, struct gb_error *error)
{
	struct gb__run *run;
	int result;

	gb__model_region(&server->model);
	run = gb__alloc_zero(sizeof(*run));
	if (!run) {
		gb__alloc_region(GB__REGION_NONE);
		return gb_error_set(error, -ENOMEM, "no memory for a server");
	}
	run->child_signal = -1;
	gb__cpus_get(&run->before);
	if (server->model.engine == GB__ENGINE_BLOCKING)
		gb__receivers_begin();
	run->hangups = atomic_load(&server->shared->signals[SIGHUP - 1]);
	/* Before the first process is forked, which then does not end by them. */
	result = gb__signals_catch(server, run->catches, error);
	if (result == 0) {
		result = serve(server, run, error);
		if (result < 0)
			gb__signals_release(run->catches);
	}
	gb__alloc_region(GB__REGION_NONE); /* what comes while it serves does not stay */
	if (result < 0) {
		give_back(server, &run->before);
		gb__free(run);
		return result;
	}
	*ret = run;
	return 0;
}

int gb__run_end(struct gb__run *run, struct gb_error *error)
{
	const struct gb_server *server = run->chief.server;
	int result = 0;

	if (run->crew)
		gb__crew_courtesy(run->crew, false);
	if (run->crew && run->crew->failure.code < 0)
		result = gb_error_set(error, run->crew->failure.code, "%s", run->crew->failure.text);
	if (result == 0 && server->failure.code < 0)
		result = gb_error_set(error, server->failure.code, "%s", server->failure.text);
	end(run);
	gb__signals_release(run->catches);
	give_back(server, &run->before);
	gb__free(run);
	return result;
}

/*
 * Servers that run in this process: a fork of worker processes copies no thread but its own, and holds signals of all of
 * them, so a process model runs alone. The process goes with the number: in a child none runs yet.
 */
static _Atomic uint64_t running_here; /* pid, then 32 bits of how many, RUNS_ALONE for one that forks */
#define RUNS_ALONE UINT32_MAX

static int enter_process(const struct gb_server *server, struct gb_error *error)
{
	const uint64_t process = (uint64_t)getpid() << 32;
	const bool alone = forks(server);
	uint64_t seen = atomic_load(&running_here), count;

	do {
		count = (seen & ~(uint64_t)UINT32_MAX) == process ? seen & UINT32_MAX : 0;
		if (alone && count > 0)
			return gb_error_set(error, -EBUSY,
				"worker processes cannot be started beside another server that runs in this process: "
				"run them in processes of their own, or take unit=thread and no compute=processes");
		if (count == RUNS_ALONE)
			return gb_error_set(error, -EBUSY,
				"a server with worker processes runs in this process, and so no other can: run this one "
				"in a process of its own, or that one with unit=thread and no compute=processes");
	} while (!atomic_compare_exchange_weak(
		&running_here, &seen, process | (alone ? RUNS_ALONE : count + 1)));
	return 0;
}

static void leave_process(const struct gb_server *server)
{
	if (forks(server))
		atomic_store(&running_here, 0);
	else
		atomic_fetch_sub(&running_here, 1);
}

/* Once no other server of this process may run: those have a reason of their own. */
static int check_threads(const struct gb_server *server, struct gb_error *error)
{
	const unsigned threads = forks(server) ? gb__process_threads() : 1;

	if (threads == 1)
		return 0;
	return gb_error_set(error, -EBUSY,
		"worker processes are forked, and this program has %u threads, of which they would have one, with whatever "
		"locks the others hold: run the server before they start, or take unit=thread without compute=processes (model multi-reactor)",
		threads);
}

int gb__run_enter(struct gb_server *server, struct gb_error *error)
{
	int result;

	if (atomic_exchange(&server->running, true))
		return gb_error_set(error, -EBUSY, "the server runs already");
	result = check_run(server, error);
	if (result == 0)
		result = enter_process(server, error);
	if (result == 0) {
		result = check_threads(server, error);
		if (result < 0)
			leave_process(server);
	}
	if (result < 0)
		atomic_store(&server->running, false);
	return result;
}

void gb__run_leave(struct gb_server *server)
{
	leave_process(server);
	atomic_store(&server->running, false);
}

int gb_server_run(struct gb_server *server, struct gb_error *error)
{
	struct gb__run *run;
	int result;

	if (!server)
		return gb_error_set(error, -EINVAL, "gb_server_run: the server is NULL");
	result = gb__run_enter(server, error);
	if (result < 0)
		return result;
	result = gb__run_begin(server, &run, error);
	if (result == 0) {
		gb__worker_run(gb__run_chief(run));
		result = gb__run_end(run, error);
	}
	gb__run_leave(server);
	return result;
}
