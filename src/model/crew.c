#include "model/crew.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/tell.h"
#include "os/limit.h"
#include "os/orphan.h"
#include "os/process.h"
#include "os/socket.h"
#include "os/thread.h"

#include <errno.h>
#include <stdio.h>

#define SEAT_NONE UINT32_MAX
#define RESTART_MS 100u /* after the first crash; doubled with each further one */
#define RESTART_MS_MAX 10000u
#define CRASHES_MAX 9u /* in a row; one more and the server gives up */
#define SERVED_TEXT 128u
#define CRASH_FORGOTTEN_MS 10000u /* a worker that lived so long did not crash in a row */

static const struct gb__handed nothing = { .fd = -1 };

static bool per_connection(const struct gb__crew *crew)
{
	return crew->server->model.workers == GB__WORKERS_PER_CONNECTION;
}

int gb__seat_init_worker(struct gb__seat *seat, struct gb_worker *worker, struct gb_error *error)
{
	struct gb__crew *crew = seat->crew;
	struct gb_server *server = crew->server;
	int result;

	gb__worker_bind(server, seat->id);
	result = gb__worker_init(
		worker, server, seat->id, crew->worker_roles, &server->shared->records[seat->id], error);
	if (result < 0)
		return result;
	if (crew->handover) {
		result = crew->handover->join(seat, worker);
		if (result < 0) {
			gb__worker_end(worker);
			return gb_error_set(error, result, "worker %u cannot be given connections: %s",
				seat->id, gb_strerror(result));
		}
	}
	return 0;
}

void gb__seat_refuse(struct gb__seat *seat, struct gb__handed handed, int reason)
{
	struct gb_stats *stats = &seat->crew->server->shared->records[seat->id].counters.stats;

	gb__tell_refused(seat->crew->chief->loop.os, handed.fd,
		seat->crew->server->bindings[handed.binding].service, reason, NULL);
	gb__socket_close(handed.fd);
	gb__count(stats->accepted, 1);
	gb__count(stats->closed[reason], 1);
}

int gb__seat_reason(int error)
{
	return error == -ENOMEM ? GB_CLOSE_NO_MEMORY : GB_CLOSE_REFUSED;
}

static int seat_start(struct gb__seat *seat, struct gb__handed handed, bool await, struct gb_error *error)
{
	struct gb__crew *crew = seat->crew;
	int result;

	seat->taken = true;
	seat->started_ms = gb__loop_now_ms(&crew->chief->loop);
	seat->given = 0;
	if (crew->courteous)
		gb__thread_courteous(false); /* it would be inherited */
	result = crew->unit->start(seat, handed, await, error);
	if (crew->courteous)
		gb__thread_courteous(true);
	if (result < 0) {
		seat->taken = false;
		return result;
	}
	crew->alive++;
	return 0;
}

static void restart(struct gb_timer *timer, void *arg)
{
	struct gb__seat *seat = arg;
	struct gb_error error;

	if (seat->crew->commanded != GB__COMMAND_RUN)
		return;
	/* The others go on meanwhile: it tells when it is there, or what came of it is told by its end. */
	atomic_store(&seat->crew->server->shared->records[seat->id].away, true);
	if (seat_start(seat, nothing, false, &error) < 0)
		gb__seat_ended(seat, error.text);
}

/* Whose handlers it ran: a person looks there first. */
static const char *served(const struct gb_server *server, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < server->bindings_count && at < size; i++) {
		const char *name = server->bindings[i].service->name;
		int added = snprintf(text + at, size - at, "%s%s", i ? ", " : "", name ? name : "a service");

		at += (size_t)gb__max(added, 0);
	}
	return text;
}

/* One of many whose connection goes with it. */
static void report_crash(struct gb__seat *seat, const char *crash)
{
	char services[SERVED_TEXT];
	static struct gb__log_limit limit; /* the chief's thread alone */
	uint64_t held;

	if (gb__log_allowed(&limit, gb__loop_now_ms(&seat->crew->chief->loop), &held))
		gb__log(GB__LOG_WARNING, "worker %u ended unexpectedly: %s; it served %s", seat->id, crash,
			served(seat->crew->server, services, sizeof(services)));
}

static void seat_give(struct gb__crew *crew, struct gb__seat *seat)
{
	uint32_t *first = seat->rests ? &crew->resting : &crew->free;

	seat->next = *first;
	*first = seat->id;
	if (seat->rests) /* processes: not written for each, for they share that page */
		crew->resting_count++;
}

struct gb__seat *gb__crew_seat_take(struct gb__crew *crew)
{
	uint32_t *first = crew->resting_count > 0 ? &crew->resting : &crew->free;
	struct gb__seat *seat;

	if (*first == SEAT_NONE)
		return NULL;
	seat = &crew->seats[*first];
	*first = seat->next;
	if (seat->rests) {
		crew->resting_count--;
		crew->resting_least = gb__min(crew->resting_least, crew->resting_count);
	}
	return seat;
}

void gb__seat_ended(struct gb__seat *seat, const char *crash)
{
	struct gb__crew *crew = seat->crew;
	uint64_t delay_ms = 0, now_ms = gb__loop_now_ms(&crew->chief->loop);

	/* Told to end at once, it is killed when it does not. */
	gb__record_retire(crew->server->shared, &crew->server->shared->records[seat->id],
		crew->commanded == GB__COMMAND_STOP ? GB_CLOSE_DRAIN : GB_CLOSE_CRASHED);
	if (seat->taken)
		crew->alive--;
	seat->taken = false;
	if (per_connection(crew)) {
		if (crash && crew->commanded != GB__COMMAND_STOP)
			report_crash(seat, crash);
		seat_give(crew, seat);
		return;
	}
	if (crew->handover && crew->handover->ended && atomic_load(&crew->server->shared->giving))
		crew->handover->ended(crew, seat);
	if (crew->commanded != GB__COMMAND_RUN)
		return;
	if (now_ms - seat->started_ms > CRASH_FORGOTTEN_MS)
		seat->crashes = 0;
	/* One that was told to end by a person is replaced as well, at once. */
	if (crash && seat->crashes == CRASHES_MAX) {
		gb_error_set(&crew->failure, -ECHILD,
			"worker %u ended unexpectedly %u times in a row and is given up (%s): see its messages above",
			seat->id, CRASHES_MAX + 1, crash);
		gb_server_stop(crew->server);
		return;
	}
	if (crash) {
		char services[SERVED_TEXT];

		delay_ms = gb__min((uint64_t)RESTART_MS << gb__min(seat->crashes, 16u), RESTART_MS_MAX);
		seat->crashes++;
		gb__log(GB__LOG_WARNING,
			"worker %u ended unexpectedly: %s; it served %s; starting it again in %u ms",
			seat->id, crash, served(crew->server, services, sizeof(services)),
			(unsigned)delay_ms);
	}
	gb__worker_timer(crew->chief, &seat->restart, delay_ms, restart, seat);
}

static void give_new_worker(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__seat *seat;
	struct gb_error error;

	if (atomic_load_explicit(&crew->left, memory_order_relaxed))
		gb__crew_reap(crew);
	/* What is told here needs no worker that tells it. */
	if (!gb__crew_has_seat(crew) ||
		atomic_load(&crew->server->shared->connections) >= crew->server->limits.connections_max) {
		gb__worker_refuse(crew->chief, handed, GB_CLOSE_OVER_LIMIT);
		return;
	}
	seat = gb__crew_seat_take(crew);
	if (seat_start(seat, handed, false, &error) < 0) {
		static struct gb__log_limit limit; /* the chief's thread alone */
		uint64_t held;

		if (gb__log_allowed(&limit, gb__loop_now_ms(&crew->chief->loop), &held))
			gb__log(GB__LOG_WARNING, "a connection was refused: %s", error.text);
		seat_give(crew, seat);
	}
}

static int spawn_init(struct gb__crew *crew)
{
	return 0;
}

static void spawn_finish(struct gb__crew *crew)
{
}

/* Its one connection comes with its start. */
static int spawn_join(struct gb__seat *seat, struct gb_worker *worker)
{
	return 0;
}

const struct gb__handover_ops gb__handover_spawn = {
	.init = spawn_init, .finish = spawn_finish, .give = give_new_worker, .join = spawn_join
};

bool gb__crew_has_seat(const struct gb__crew *crew)
{
	return crew->resting_count > 0 || crew->free != SEAT_NONE;
}

void gb__crew_give(struct gb__crew *crew, struct gb__handed handed)
{
	crew->handover->give(crew, handed);
}

void gb__crew_flush(struct gb__crew *crew)
{
	if (crew->handover && crew->handover->flush)
		crew->handover->flush(crew);
}

void gb__crew_courtesy(struct gb__crew *crew, bool courteous)
{
	if (courteous && (!crew->handover || crew->server->model.engine == GB__ENGINE_BLOCKING))
		return; /* who blocks in accept or waits for a connection is not at work */
	if (courteous != crew->courteous && gb__thread_courteous(courteous))
		crew->courteous = courteous;
}

void gb__crew_command(struct gb__crew *crew, enum gb__command command)
{
	if (crew->commanded >= command)
		return;
	crew->commanded = command;
	atomic_store(&crew->server->shared->command, command);
	gb_timer_stop(&crew->rest);
	for (unsigned i = 0; i < crew->seats_count; i++) {
		gb_timer_stop(&crew->seats[i].restart);
		if (crew->seats[i].taken)
			crew->unit->command(&crew->seats[i], command);
	}
}

void gb__crew_ring(struct gb__crew *crew)
{
	for (unsigned i = 0; i < crew->seats_count; i++)
		if (crew->seats[i].taken)
			crew->unit->ring(&crew->seats[i]);
}

bool gb__crew_gone(const struct gb__crew *crew)
{
	if (crew->commanded == GB__COMMAND_RUN || crew->alive > 0)
		return false;
	return crew->commanded == GB__COMMAND_STOP || !atomic_load(&crew->server->shared->giving);
}

bool gb__crew_deserted(const struct gb__crew *crew)
{
	return crew->commanded != GB__COMMAND_RUN && crew->alive == 0 && !per_connection(crew);
}

void gb__crew_given(struct gb__crew *crew)
{
	if (!atomic_exchange(&crew->server->shared->giving, false))
		return;
	for (unsigned i = 0; i < crew->seats_count; i++)
		if (crew->seats[i].taken)
			crew->unit->command(&crew->seats[i], crew->commanded);
}

void gb__crew_kill(struct gb__crew *crew)
{
	for (unsigned i = 0; i < crew->seats_count; i++)
		if (crew->seats[i].taken && crew->unit->kill)
			crew->unit->kill(&crew->seats[i]);
}

void gb__crew_reap(struct gb__crew *crew)
{
	crew->unit->reap(crew);
}

static int crew_init(struct gb__crew *crew, struct gb_server *server, struct gb_worker *chief)
{
	const struct gb__model *model = &server->model;

	crew->server = server;
	crew->chief = chief;
	crew->adopts = gb__orphans_come();
	crew->unit = model->unit == GB__UNIT_PROCESS ? &gb__unit_process : &gb__unit_thread;
	crew->worker_roles = GB__WORKER_SERVES;
	if (model->accept != GB__ACCEPT_ACCEPTOR)
		crew->worker_roles |= GB__WORKER_ACCEPTS;
	crew->free = crew->resting = SEAT_NONE;
	if (per_connection(crew))
		crew->worker_roles |= GB__WORKER_ONCE;
	crew->seats_count = server->seats_count;
	for (crew->by_pid_mask = 1; crew->by_pid_mask < 2 * crew->seats_count;)
		crew->by_pid_mask *= 2;
	crew->by_pid = gb__unforked_map(crew->by_pid_mask * sizeof(*crew->by_pid));
	crew->seats = gb__unforked_map(crew->seats_count * sizeof(*crew->seats));
	if (!crew->seats || !crew->by_pid)
		return -ENOMEM;
	for (uint32_t i = 0; i < crew->by_pid_mask; i++)
		crew->by_pid[i] = SEAT_NONE;
	crew->by_pid_mask--;
	for (unsigned i = crew->seats_count; i-- > 0;) {
		crew->seats[i].crew = crew;
		crew->seats[i].id = i;
		crew->seats[i].next = crew->free;
		pthread_mutex_init(&crew->seats[i].lock, NULL);
		crew->free = i;
	}
	if (gb__timers_reserve(&chief->loop.timers, per_connection(crew) ? 1 : crew->seats_count) < 0)
		return -ENOMEM;
	crew->random = chief->loop.os->ops->now_ns(chief->loop.os) | 1;
	crew->handover = gb__handover_of(model);
	atomic_store(&server->shared->giving, crew->handover != NULL);
	return crew->handover ? crew->handover->init(crew) : 0;
}

int gb__crew_create(
	struct gb_server *server, struct gb_worker *chief, struct gb__crew **ret, struct gb_error *error)
{
	struct gb__crew *crew = gb__alloc_zero(sizeof(*crew));
	int result = crew ? crew_init(crew, server, chief) : -ENOMEM;
	char hint[128];

	if (result < 0) {
		gb__crew_destroy(crew);
		return gb_error_set(error, result, "cannot start workers: %s%s", gb_strerror(result),
			gb__limit_hint(result, hint, sizeof(hint)));
	}
	server->crew = *ret = crew;
	if (per_connection(crew))
		return 0;
	for (unsigned i = 0; i < crew->seats_count; i++) {
		result = seat_start(&crew->seats[i], nothing, true, error);
		if (result < 0)
			return result;
	}
	return 0;
}

void gb__crew_destroy(struct gb__crew *crew)
{
	if (!crew)
		return;
	if (crew->handover)
		crew->handover->finish(crew);
	if (crew->unit->finish)
		crew->unit->finish(crew);
	for (unsigned i = 0; crew->seats && i < crew->seats_count; i++) {
		pthread_mutex_destroy(&crew->seats[i].lock);
		gb__free(crew->seats[i].memory);
	}
	gb__shared_unmap(crew->seats, crew->seats_count * sizeof(*crew->seats));
	gb__shared_unmap(crew->by_pid, (crew->by_pid_mask + 1) * sizeof(*crew->by_pid));
	gb__free(crew);
}
