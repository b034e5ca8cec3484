/*
 * Workers as processes. The child lets go of what is its parent's (loop, descriptors, signals), makes an
 * engine of its own and never returns from here. SIGCHLD tells the parent of its end.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "model/bus.h"
#include "model/crew.h"
#include "model/naming.h"
#include "model/offload.h"
#include "model/tls.h"

#include "base/alloc.h"
#include "os/limit.h"
#include "os/process.h"
#include "os/signal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* This process's, while it can be commanded. */
static GB__PER_PROCESS _Atomic(struct gb_worker *) serving;
static GB__PER_PROCESS _Atomic bool terminated; /* perhaps before there was one */

static void command(struct gb_worker *worker)
{
	unsigned told = atomic_load(&worker->server->shared->command);

	gb__worker_command(worker, gb__max(told, GB__COMMAND_DRAIN));
}

/* From the chief, or from a person who wants this one worker to end. */
static void on_terminate(void *arg)
{
	struct gb_worker *worker;

	atomic_store(&terminated, true);
	worker = atomic_load(&serving);
	if (worker)
		command(worker);
}

/* The counts have changed, or somebody has signalled this process, which means nothing. */
static void on_rung(void *arg)
{
	struct gb_worker *worker = atomic_load(&serving);

	(void)arg;
	if (worker)
		gb__signal_watches_ring(worker);
}

static void serve(struct gb_worker *worker, struct gb__handed handed)
{
	worker->server->chief = worker;
	gb__server_refresh_on(worker);
	atomic_store(&worker->record->away, false);
	atomic_store(&serving, worker);
	/* A command may have been given before this process was there to be told. */
	if (atomic_load(&terminated) || atomic_load(&worker->server->shared->command) != GB__COMMAND_RUN)
		command(worker);
	gb__signal_watches_begin(worker);
	if (handed.fd >= 0)
		gb__worker_adopt(worker, handed);
	gb__worker_run(worker);
	atomic_store(&serving, NULL);
	gb__signal_await();
	gb__worker_end(worker);
}

static uint64_t coarse_ms(void)
{
	return gb__os_now_ms(&gb__os_linux);
}

_Noreturn static void child_main(struct gb__seat *seat, struct gb__handed handed, int report_fd)
{
	struct gb_server *server = seat->crew->server;
	struct gb_error error = { 0 };
	struct gb_worker *worker;
	uint64_t held;
	int result;

	server->report_fd = report_fd;
	gb__alloc_region(GB__REGION_WORKER);
	worker = gb__alloc_zero(sizeof(*worker));
	gb__signal_quiet(SIGINT); /* a terminal sends it to us as well; the parent decides */
	gb__signal_subscribe(SIGTERM, on_terminate, NULL);
	gb__signals_follow(server, on_rung);
	gb__signal_release();
	gb__naming_abandon(server);
	gb__names_abandon(server->chief->net.names);
	gb__watches_abandon(&server->chief->watches);
	gb__loop_abandon(&server->chief->loop);
	gb__hubs_init(&server->hubs); /* its lock may have been another thread's at the fork */
	gb__bus_join(server->bus);
	/* Of the listening sockets it keeps those that it accepts on itself. */
	for (size_t i = 0; i < server->bindings_count; i++) {
		struct gb__binding *binding = &server->bindings[i];

		if (!(seat->crew->worker_roles & GB__WORKER_ACCEPTS))
			gb__binding_close(binding);
		for (unsigned j = 0; binding->fds_count > 1 && j < binding->fds_count; j++)
			if (j != seat->id && binding->fds[j] >= 0) {
				gb__socket_close(binding->fds[j]);
				binding->fds[j] = -1;
			}
	}
	/* From here on there may be threads, which fork would not have copied. */
	result = gb__offload_start(server, seat->id, &error);
	if (result == 0)
		result = worker ? gb__seat_init_worker(seat, worker, &error)
				: gb_error_set(&error, -ENOMEM, "no memory for worker %u", seat->id);
	if (result == 0 && gb__offload_supervise(worker) < 0)
		result = gb_error_set(&error, -ENOMEM, "worker %u cannot watch the compute pool", seat->id);
	if (result == 0)
		error = (struct gb_error){ 0 }; /* of what was tried before what worked: engine=auto */
	if (report_fd >= 0)
		gb__report_send(report_fd, &error, sizeof(error));
	else if (result < 0 && gb__log_allowed(&server->shared->failures, coarse_ms(), &held))
		gb__log(GB__LOG_ERROR, "%s", error.text);
	server->report_fd = -1;
	if (result == 0) {
		serve(worker, handed);
		gb__offload_stop(server);
		atomic_store(&server->shared->records[seat->id].ended, true);
	} else if (handed.fd >= 0) {
		gb__seat_refuse(seat, handed, gb__seat_reason(result));
	}
	gb__process_end(result == 0 ? 0 : 1);
}

static uint32_t *hash_of(struct gb__crew *crew, pid_t pid)
{
	return &crew->by_pid[((uint32_t)pid * 2654435761u >> 7) & crew->by_pid_mask];
}

/* What the child reports of its start, or that it died before it could. */
static int await_report(int fd, struct gb_error *error)
{
	struct gb_error reported;

	if (gb__report_receive(fd, &reported, sizeof(reported)) < 0)
		return gb_error_set(error, -ECHILD, "a worker process ended before it served");
	if (reported.code < 0 && error)
		*error = reported;
	return reported.code;
}

static int process_start(struct gb__seat *seat, struct gb__handed handed, bool await, struct gb_error *error)
{
	struct gb__seat own = *seat; /* the child's: it does not have the others */
	int pipe_fds[2] = { -1, -1 }, result;
	char hint[128];
	uint32_t *first;
	pid_t pid;

	if (await) {
		result = gb__report_pipe(pipe_fds);
		if (result < 0)
			return gb_error_set(error, result, "cannot start a process: %s%s",
				gb_strerror(result), gb__limit_hint(result, hint, sizeof(hint)));
	}
	gb__server_refresh(seat->crew->server);
	gb__signal_hold();
	pid = gb__process_fork();
	if (pid == 0) {
		if (pipe_fds[0] >= 0)
			gb__socket_close(pipe_fds[0]);
		child_main(&own, handed, pipe_fds[1]);
	}
	gb__signal_release();
	if (pipe_fds[1] >= 0)
		gb__socket_close(pipe_fds[1]);
	if (pid < 0) {
		if (pipe_fds[0] >= 0)
			gb__socket_close(pipe_fds[0]);
		if (handed.fd >= 0)
			gb__seat_refuse(seat, handed, GB_CLOSE_OVER_LIMIT);
		return gb_error_set(error, pid,
			"cannot start a process: %s; see `ulimit -u` and kernel.pid_max", gb_strerror(pid));
	}
	if (handed.fd >= 0)
		gb__socket_close(handed.fd);
	result = pipe_fds[0] >= 0 ? await_report(pipe_fds[0], error) : 0;
	if (result < 0) {
		gb__process_await(pid);
		return result;
	}
	seat->pid = pid;
	first = hash_of(seat->crew, pid);
	seat->next = *first;
	*first = seat->id;
	return 0;
}

static void process_command(struct gb__seat *seat, enum gb__command command)
{
	gb__process_signal(seat->pid, SIGTERM);
}

static void process_ring(struct gb__seat *seat)
{
	const uint64_t caught = gb__signals_caught(seat->crew->server);

	gb__process_signal(seat->pid, __builtin_ctzll(caught) + 1);
}

static void process_kill(struct gb__seat *seat)
{
	gb__process_signal(seat->pid, SIGKILL);
}

static void process_ended(struct gb__crew *crew, pid_t pid, int status)
{
	uint32_t *link = hash_of(crew, pid);
	struct gb__seat *seat;
	bool in_order;
	char crash[64];

	while (*link != UINT32_MAX && crew->seats[*link].pid != pid)
		link = &crew->seats[*link].next;
	gb__assert(*link != UINT32_MAX);
	seat = &crew->seats[*link];
	*link = seat->next;
	seat->pid = 0;
	gb__process_end_text(status, crash, sizeof(crash));
	in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
		atomic_load(&crew->server->shared->records[seat->id].ended);
	gb__seat_ended(seat, in_order ? NULL : crash);
}

static struct gb__seat *seat_of(struct gb__crew *crew, pid_t pid)
{
	uint32_t at = *hash_of(crew, pid);

	while (at != UINT32_MAX && crew->seats[at].pid != pid)
		at = crew->seats[at].next;
	return at == UINT32_MAX ? NULL : &crew->seats[at];
}

/*
 * Ours are looked up one by one as they end; only behind a stranger's child are all asked. Orphans that come to this
 * process are nobody's, since no handler runs in it: else each of them would stay, and stand before ours.
 */
static void process_reap(struct gb__crew *crew)
{
	int status;
	pid_t pid;

	while ((pid = gb__process_ended()) > 0) {
		if (!seat_of(crew, pid) && crew->adopts) {
			gb__process_reap(pid, &status);
		} else if (!seat_of(crew, pid)) {
			for (unsigned i = 0; i < crew->seats_count; i++)
				if (crew->seats[i].pid > 0 &&
					gb__process_reap(crew->seats[i].pid, &status) > 0)
					process_ended(crew, crew->seats[i].pid, status);
			return;
		} else if (gb__process_reap(pid, &status) > 0) {
			process_ended(crew, pid, status);
		}
	}
}

const struct gb__unit_ops gb__unit_process = {
	.start = process_start,
	.command = process_command,
	.ring = process_ring,
	.kill = process_kill,
	.reap = process_reap,
};
