#include "model/stall.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"
#include "model/run.h"
#include "model/worker.h"
#include "net/proxied.h"
#include "net/route.h"
#include "os/process.h"
#include "os/symbol.h"
#include "os/thread.h"
#include "stream/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define NS_PER_MS 1000000u
#define LOOKS 2u /* in the time of the limit */
#define LOOK_NS_MIN 1000000u
#define ANSWER_LOOK_NS 2000000u
#define ANSWER_NS \
	1000000000u /* until then a thread has answered, or does not: it waits in the kernel for a disk */
#define WATCHER_STACK (256u << 10)
#define LINE 768u
#define OUTERMOST "gb__worker_run+" /* further out all backtraces are the same */

/* What is known of the worker of one record. */
struct seen {
	pid_t thread;
	unsigned begun; /* the same worker as before, or another */
	bool awake;
	bool told; /* it has been held for longer than the limit */
	uint64_t waits, messages;
	uint64_t since_ns; /* that it has got nowhere */
	bool times_known;
	struct gb__thread_times times; /* of then */
	struct gb__log_limit limit;
	bool silent; /* its report was held back, so its end is not told either */
};

struct gb__stall_watch {
	struct gb_worker *chief;
	struct gb__shared *shared;
	uint64_t limit_ns, look_ns;
	uint64_t looked_ns; /* when it last did; 0: never */
	uint64_t due_ns;    /* when it was to look then */
	bool backtraces;
	bool blind;   /* it may not look into workers, which was told */
	size_t asked; /* record whose thread was asked, or SIZE_MAX */
	uint64_t asked_ns;
	struct gb_timer timer; /* process models */
	const struct gb__cpus *cpus;
	bool threaded, ends;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct seen seen[];
};

void gb__stall_join(struct gb_worker *worker)
{
	struct gb__watched *watched = &worker->record->watched;

	watched->process = gb__process_self();
	watched->worker = (uintptr_t)worker;
	watched->engine = (uintptr_t)worker->loop.engine;
	atomic_fetch_add(&watched->begun, 1);
	atomic_store(&watched->thread, gb__thread_id());
}

void gb__stall_leave(struct gb_worker *worker)
{
	atomic_store(&worker->record->watched.thread, 0);
}

/* On the thread that is held, in signal context. */

static void note_text(char *into, const char *text)
{
	size_t i = 0;

	for (; text && text[i] && i < GB__STALL_NAME - 1; i++)
		into[i] = text[i];
	into[i] = '\0';
}

static const struct gb_conn *at_work_for(const struct gb_worker *worker)
{
	const struct gb_coro *coro = worker->streams.running;

	if (coro)
		return coro->stream ? coro->stream->conn : NULL;
	return worker->net.burst.conn ? worker->net.burst.conn : worker->net.delivering;
}

static void look_around(struct gb__backtrace *backtrace)
{
	struct gb__stall *stall = (struct gb__stall *)backtrace;
	const struct gb_worker *worker = (const struct gb_worker *)stall->worker;
	const struct gb_conn *conn = at_work_for(worker);
	struct gb__os *os = worker->loop.os;
	const struct gb__terms *terms = conn ? conn->terms : NULL;
	const struct gb_route *row = terms && terms->router && terms->route ? terms->route->row : NULL;

	stall->delivering = conn;
	note_text(stall->service, terms ? terms->service->name : NULL);
	note_text(stall->route, row ? row->name : NULL);
	stall->peer.size = 0;
	if (conn && gb__proxied_end(conn, true))
		stall->peer = *gb__proxied_end(conn, true);
	else if (conn && os->ops->address(os, conn->stream.endpoint.fd, true, &stall->peer) < 0)
		stall->peer.size = 0;
}

/* The rest is on the watching thread. */

static uint64_t now_ns(const struct gb__stall_watch *watch)
{
	struct gb__os *os = watch->chief->loop.os;

	return os->ops->now_ns(os);
}

/* "1250 ms" */
static const char *time_text(uint64_t ns, char *text, size_t size)
{
	snprintf(text, size, "%" PRIu64 " ms", ns / NS_PER_MS);
	return text;
}

static void peer_text(const struct gb__stall *stall, char *text, size_t size)
{
	if (stall->peer.size == 0 || gb__address_format(&stall->peer, text, size) < 0)
		text[0] = '\0';
}

/* As its handlers know it: the chief that serves alone is the first. */
static size_t number_of(const struct gb__stall_watch *watch, size_t n)
{
	return gb__run_alone(watch->chief->server) ? 0 : n;
}

/* ", service work, route slow, connection 127.0.0.1:4711" */
static void log_held(const struct gb__stall_watch *watch, size_t n, const char *held, const char *times)
{
	const struct gb__stall *stall = &watch->shared->stall;
	const bool answered = atomic_load(&stall->backtrace.state) == GB__BACKTRACE_DONE;
	char peer[GB__ADDRESS_TEXT], where[LINE] = "";
	size_t fields_count = 0, at = 0;
	struct gb__log_field fields[3];

	peer[0] = '\0';
	if (answered)
		peer_text(stall, peer, sizeof(peer));
	const struct {
		const char *text, *key, *value;
	} parts[] = { { "service", "service", stall->service }, { "route", "route", stall->route },
		{ "connection", "peer", peer } };

	for (size_t i = 0; answered && i < gb__countof(parts); i++) {
		if (!parts[i].value[0])
			continue;
		fields[fields_count++] = (struct gb__log_field){ parts[i].key, parts[i].value };
		at += (size_t)snprintf(where + at, sizeof(where) - at, "%s%s %s", at ? ", " : ": ",
			parts[i].text, parts[i].value);
	}
	gb__log_with(GB__LOG_WARNING, fields, fields_count, "worker %zu: %s has held its loop for %s%s%s",
		number_of(watch, n),
		answered && !stall->delivering ? "something besides messages" : "a handler", held, times,
		where);
}

static void log_frames(const struct gb__stall_watch *watch, size_t n)
{
	const struct gb__backtrace *backtrace = &watch->shared->stall.backtrace;
	char text[GB__SYMBOL_TEXT];

	if (!watch->backtraces) {
		gb__log(GB__LOG_WARNING, "worker %zu: no backtrace: the program has a use for SIGWINCH",
			number_of(watch, n));
		return;
	}
	if (atomic_load(&backtrace->state) != GB__BACKTRACE_DONE) {
		gb__log(GB__LOG_WARNING, "worker %zu: no backtrace: its thread does not answer",
			number_of(watch, n));
		return;
	}
	for (unsigned i = 0; i < backtrace->frames_count; i++) {
		gb__symbol_text(backtrace->frames[i], text, sizeof(text));
		gb__log(GB__LOG_WARNING, "worker %zu: #%u %s", number_of(watch, n), i, text);
		if (strncmp(text, OUTERMOST, sizeof(OUTERMOST) - 1) == 0)
			break;
	}
}

/* " (1000 ms of it on a CPU)" */
static void times_text(const struct gb__watched *watched, const struct seen *seen, char *text, size_t size)
{
	struct gb__thread_times times;
	char ran[32];

	text[0] = '\0';
	if (seen->times_known && gb__thread_times(watched->process, seen->thread, &times))
		snprintf(text, size, " (%s of it on a CPU)",
			time_text(times.ran_ns - seen->times.ran_ns, ran, sizeof(ran)));
}

/* Its thread has answered, or is not waited for any longer. */
static void report(struct gb__stall_watch *watch, size_t n, uint64_t now)
{
	struct gb__record *record = &watch->shared->records[n];
	struct seen *seen = &watch->seen[n];
	char held[32], times[128];
	uint64_t unseen;

	seen->silent = !gb__log_allowed(&seen->limit, now / NS_PER_MS, &unseen);
	if (!seen->silent) {
		times_text(&record->watched, seen, times, sizeof(times));
		log_held(watch, n, time_text(now - seen->since_ns, held, sizeof(held)), times);
		log_frames(watch, n);
	}
	gb__backtrace_forget(&watch->shared->stall.backtrace);
	watch->asked = SIZE_MAX;
}

/* Returns how long it took. */
static uint64_t count_over(struct gb__stall_watch *watch, size_t n, uint64_t now)
{
	struct gb__stall_counters *counters = &watch->shared->records[n].stalls;
	const uint64_t took = now - watch->seen[n].since_ns;

	watch->seen[n].told = false;
	gb__count(counters->ns, took);
	if (took > counters->longest_ns)
		__atomic_store_n(&counters->longest_ns, took, __ATOMIC_RELAXED);
	atomic_store(&watch->shared->records[n].held, false);
	return took;
}

static void over(struct gb__stall_watch *watch, size_t n, uint64_t now)
{
	char text[32];
	uint64_t took;

	if (watch->asked == n)
		report(watch, n, now);
	took = count_over(watch, n, now);
	if (!watch->seen[n].silent)
		gb__log(GB__LOG_WARNING, "worker %zu: its loop goes on, after %s", number_of(watch, n),
			time_text(took, text, sizeof(text)));
}

static void tell(struct gb__stall_watch *watch, size_t n, uint64_t now)
{
	struct gb__record *record = &watch->shared->records[n];
	struct gb__stall *stall = &watch->shared->stall;

	watch->seen[n].told = true;
	gb__count(record->stalls.count, 1);
	atomic_store(&record->held, true);
	watch->asked = n;
	watch->asked_ns = now;
	if (!watch->backtraces || !gb__backtrace_free(&stall->backtrace)) {
		report(watch, n, now);
		return;
	}
	stall->worker = record->watched.worker;
	stall->backtrace.look = look_around;
	if (gb__backtrace_ask(&stall->backtrace, record->watched.process, watch->seen[n].thread) < 0)
		report(watch, n, now);
}

/* What a worker says of itself. Returns 0 or a negative errno. */
static int peek(const struct gb__watched *watched, pid_t thread, struct seen *ret)
{
	const struct gb__engine *engine = (const struct gb__engine *)watched->engine;
	const struct gb_worker *worker = (const struct gb_worker *)watched->worker;
	const struct iovec into[] = { { &ret->awake, sizeof(ret->awake) },
		{ &ret->waits, sizeof(ret->waits) }, { &ret->messages, sizeof(ret->messages) } };
	const struct iovec from[] = { { (void *)&engine->awake, sizeof(engine->awake) },
		{ (void *)&engine->stats.waits, sizeof(engine->stats.waits) },
		{ (void *)&worker->net.tally.messages, sizeof(worker->net.tally.messages) } };

	ret->thread = thread;
	ret->begun = atomic_load(&watched->begun);
	return gb__process_peek(watched->process, into, from, gb__countof(into));
}

/* It got somewhere, or it is another: begin anew. */
static void remember(
	struct seen *seen, const struct gb__watched *watched, const struct seen *found, uint64_t now)
{
	seen->thread = found->thread;
	seen->begun = found->begun;
	seen->awake = found->awake;
	seen->waits = found->waits;
	seen->messages = found->messages;
	seen->since_ns = now;
	seen->times_known = found->awake && gb__thread_times(watched->process, found->thread, &seen->times);
}

/* Whether it is the handler that takes the time: what its thread has waited for a CPU is others', and who was stopped, or is
 * debugged, begins anew. */
static bool holds(const struct gb__stall_watch *watch, const struct gb__watched *watched, struct seen *seen,
	uint64_t now)
{
	uint64_t held_ns = now - seen->since_ns;
	struct gb__thread_times times;

	if (held_ns < watch->limit_ns)
		return false;
	if (gb__thread_stopped(watched->process, seen->thread)) {
		seen->since_ns = now;
		return false;
	}
	if (!seen->times_known || !gb__thread_times(watched->process, seen->thread, &times))
		return true;
	held_ns -= gb__min(times.waited_ns - seen->times.waited_ns, held_ns);
	return held_ns >= watch->limit_ns;
}

static void look_at(struct gb__stall_watch *watch, size_t n, pid_t thread, uint64_t now)
{
	struct gb__record *record = &watch->shared->records[n];
	struct seen *seen = &watch->seen[n], found = { 0 };
	int result = thread ? peek(&record->watched, thread, &found) : 0;

	if ((result == -EPERM || result == -ENOSYS) && !watch->blind) {
		watch->blind = true;
		gb__log(GB__LOG_NOTICE,
			"handlers that hold their loop are not seen here: process_vm_readv: %s",
			gb_strerror(result));
	}
	if (result < 0)
		found = (struct seen){ 0 };
	if (found.awake && seen->awake && found.thread == seen->thread && found.begun == seen->begun &&
		found.waits == seen->waits && found.messages == seen->messages) {
		if (!seen->told && watch->asked == SIZE_MAX && holds(watch, &record->watched, seen, now))
			tell(watch, n, now);
		return;
	}
	if (seen->told)
		over(watch, n, now);
	remember(seen, &record->watched, &found, now);
}

/* Who watches was held up itself: the whole process was, or the machine. */
static bool was_late(const struct gb__stall_watch *watch, uint64_t now)
{
	return watch->looked_ns && now > watch->due_ns + watch->limit_ns;
}

static void look_at_all(struct gb__stall_watch *watch, uint64_t now)
{
	const bool late = was_late(watch, now);

	for (size_t i = 0; i < watch->shared->records_count; i++) {
		pid_t thread = atomic_load(&watch->shared->records[i].watched.thread);

		if (!thread && !watch->seen[i].thread)
			continue;
		if (late && !watch->seen[i].told)
			watch->seen[i].since_ns = now;
		look_at(watch, i, thread, now);
	}
}

/* Returns how long it may rest. */
static uint64_t look(struct gb__stall_watch *watch)
{
	const uint64_t now = now_ns(watch);
	uint64_t rest = watch->look_ns;

	if (watch->asked != SIZE_MAX) {
		if (atomic_load(&watch->shared->stall.backtrace.state) == GB__BACKTRACE_DONE ||
			now - watch->asked_ns > ANSWER_NS)
			report(watch, watch->asked, now);
	}
	look_at_all(watch, now);
	if (watch->asked != SIZE_MAX)
		rest = gb__min(rest, ANSWER_LOOK_NS);
	watch->looked_ns = now;
	watch->due_ns = now + rest;
	return rest;
}

static void *watch_main(void *arg)
{
	struct gb__stall_watch *watch = arg;

	gb__thread_courteous(false);
	gb__cpus_use(watch->cpus);
	pthread_mutex_lock(&watch->lock);
	while (!watch->ends)
		gb__cond_wait_ns(&watch->wake, &watch->lock, look(watch));
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

static void on_time(struct gb_timer *timer, void *arg)
{
	struct gb__stall_watch *watch = arg;
	const uint64_t ms = (look(watch) + NS_PER_MS - 1) / NS_PER_MS;

	gb__worker_timer(watch->chief, timer, ms, on_time, watch);
}

static uint64_t limit_of(const struct gb_server *server)
{
	/* A handler that blocks holds up its own client alone there. */
	if (server->model.engine == GB__ENGINE_BLOCKING && !server->options->stall_limit_set)
		return 0;
	return server->options->stall_limit_ms * NS_PER_MS;
}

struct gb__stall_watch *gb__stall_watch_create(struct gb_worker *chief, const struct gb__cpus *cpus)
{
	struct gb__shared *shared = chief->server->shared;
	const uint64_t limit_ns = limit_of(chief->server);
	struct gb__stall_watch *watch;

	if (limit_ns == 0)
		return NULL;
	watch = gb__alloc_zero(sizeof(*watch) + shared->records_count * sizeof(watch->seen[0]));
	if (!watch || gb__timers_reserve(&chief->loop.timers, 1) < 0) {
		gb__free(watch);
		gb__log(GB__LOG_WARNING, "no memory to watch for handlers that hold their loop");
		return NULL;
	}
	watch->chief = chief;
	watch->shared = shared;
	watch->cpus = cpus;
	watch->limit_ns = limit_ns;
	watch->look_ns = gb__max(limit_ns / LOOKS, LOOK_NS_MIN);
	watch->asked = SIZE_MAX;
	watch->backtraces = gb__backtrace_begin(&shared->stall.backtrace);
	pthread_mutex_init(&watch->lock, NULL);
	gb__cond_init(&watch->wake);
	return watch;
}

void gb__stall_watch_begin(struct gb__stall_watch *watch)
{
	int result;

	if (!watch)
		return;
	if (watch->chief->server->model.unit == GB__UNIT_PROCESS) {
		on_time(&watch->timer, watch);
		return;
	}
	result = gb__thread_start(&watch->thread, WATCHER_STACK, watch_main, watch);
	if (result < 0)
		gb__log(GB__LOG_WARNING, "cannot watch for handlers that hold their loop: %s",
			gb_strerror(result));
	watch->threaded = result == 0;
}

void gb__stall_unwatch(struct gb__stall_watch *watch)
{
	if (!watch)
		return;
	gb_timer_stop(&watch->timer);
	pthread_mutex_lock(&watch->lock);
	watch->ends = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
	if (watch->threaded)
		pthread_join(watch->thread, NULL);
	/* What went on, or was killed, since the last look. */
	for (size_t i = 0; i < watch->shared->records_count; i++)
		if (watch->seen[i].told)
			count_over(watch, i, now_ns(watch));
	gb__backtrace_end(&watch->shared->stall.backtrace);
	pthread_cond_destroy(&watch->wake);
	pthread_mutex_destroy(&watch->lock);
	gb__free(watch);
}
