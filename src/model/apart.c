/*
 * In a process of the pool a handler has a worker as everywhere: with its data, its number and its services begun. It
 * has no loop that anybody turns, so what needs one is refused (gb_worker_computes).
 */
#include "model/apart.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "model/bus.h"
#include "model/crew.h"
#include "model/naming.h"
#include "model/tls.h"
#include "net/task.h"
#include "os/process.h"
#include "os/socket.h"
#include "pool/processes.h"

#include <errno.h>

/* Whoever holds these would keep clients waiting, others from seeing an end, and secrets. */
static void let_go(void *arg)
{
	struct gb_server *server = arg;
	const struct gb__channels *channels = server->crew ? &server->crew->channels : NULL;

	for (size_t i = 0; i < server->bindings_count; i++)
		gb__binding_close(&server->bindings[i]);
	for (unsigned i = 0; channels && i < channels->waiting_count; i++)
		gb__socket_close(channels->waiting[i].fd);
	for (unsigned i = 0; channels && i < channels->count; i++) {
		gb__socket_close(channels->pairs[i][0]);
		gb__socket_close(channels->pairs[i][1]);
	}
	gb__server_unsecure(server); /* no handler's fault is to tell of a key */
	gb__bus_join(server->bus);
	gb__naming_abandon(server);
	if (server->report_fd >= 0)
		gb__socket_close(server->report_fd);
	server->report_fd = -1;
	server->chief = NULL;
	server->crew = NULL;
}

static int begin(void *arg, unsigned index, struct gb__net **ret_net, struct gb__terms **ret_terms,
	struct gb_error *error)
{
	struct gb_server *server = arg;
	struct gb_worker *worker = gb__alloc_zero(sizeof(*worker));
	struct gb__engine *engine = gb__alloc_zero(sizeof(*engine));
	struct gb__terms *terms = gb__alloc_zero(server->bindings_count * sizeof(*terms));

	if (!worker || !engine || !terms)
		return gb_error_set(error, -ENOMEM, "no memory for a process of the compute pool");
	engine->os = &gb__os_linux;
	engine->name = gb__model_engine_name(server->model.engine);
	engine->now_ms = gb__os_now_ms(&gb__os_linux);
	gb__pool_init(&engine->pool);
	worker->server = server;
	worker->id = server->seats_count + index;
	worker->apart = true;
	worker->loop.engine = engine;
	worker->loop.os = engine->os;
	worker->loop.thread =
		worker; /* no thread's: what is for the worker's breaks a rule, as on a pool's thread */
	worker->net.loop = &worker->loop;
	worker->net.engine = engine;
	worker->net.limits = &server->limits;
	worker->net.worker = worker;
	for (size_t i = 0; i < server->bindings_count; i++) {
		terms[i].service = terms[i].calls = server->bindings[i].service;
		terms[i].on_message = terms[i].service->on_message;
		terms[i].user = server->bindings[i].user;
	}
	server->chief = worker;
	*ret_net = &worker->net;
	*ret_terms = terms;
	return gb__worker_services_start(worker, error);
}

static void end(void *arg)
{
	gb__worker_services_stop(((struct gb_server *)arg)->chief);
}

int gb__apart_start(struct gb_server *server, unsigned count, unsigned loops, struct gb_error *error)
{
	return gb__processes_create(
		(struct gb__processes_options){
			.count = count,
			.sources = loops,
			.let_go = let_go,
			.begin = begin,
			.end = end,
			.arg = server,
		},
		&server->processes, error);
}

static unsigned source_of(const struct gb_worker *worker)
{
	return worker->server->model.unit == GB__UNIT_PROCESS ? 0 : worker->id;
}

static int number_of(const void *arg, const struct gb_service *service, const void *user)
{
	const struct gb_server *server = ((const struct gb_worker *)arg)->server;

	for (size_t i = 0; i < server->bindings_count; i++)
		if (server->bindings[i].service == service && server->bindings[i].user == user)
			return (int)i;
	return -1;
}

static void submit(void *arg, struct gb__job *job)
{
	const struct gb_worker *worker = arg;
	struct gb__task *task = gb__container_of(job, struct gb__task, job);

	gb__processes_submit(
		worker->server->processes, source_of(worker), (unsigned)task->facade.terms->apart, task);
}

static void cancel(void *arg, struct gb__task *task)
{
	const struct gb_worker *worker = arg;

	gb__processes_cancel(worker->server->processes, task);
}

static void bell_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	const struct gb_worker *worker = user;

	gb__processes_collect(worker->server->processes, source_of(worker));
}

/* Without the process that forks them there is nobody to run handlers. */
static void forker_gone(struct gb_worker *worker, struct gb_watch *control)
{
	struct gb_server *server = worker->server;
	static const char text[] =
		"the process that starts those of the compute pool ended unexpectedly: no handler can run any more";

	gb__watch_remove(control);
	if (server->model.unit == GB__UNIT_PROCESS) {
		gb__log(GB__LOG_ERROR, "worker %u: %s", worker->id, text);
		gb__process_end(1);
	}
	gb_error_set(&server->failure, -ECHILD, "%s", text);
	gb_server_stop(server);
}

static void control_ready(struct gb_watch *watch, unsigned ready, void *worker)
{
	if (gb__processes_look(((struct gb_worker *)worker)->server->processes) < 0)
		forker_gone(worker, watch);
}

/* Until the worker ends. */
static int watch(struct gb_worker *worker, int fd, gb_watch_ready *on_ready)
{
	struct gb_watch *watch;

	return gb__watch_add(&worker->watches, fd, GB_READY_IN, on_ready, worker, &watch);
}

int gb__apart_join(struct gb_worker *worker, unsigned tasks_max)
{
	const struct gb__processes *processes = worker->server->processes;

	gb__net_submit_to(&worker->net, submit, worker, tasks_max);
	worker->net.apart = cancel;
	worker->net.apart_number = number_of;
	return watch(worker, gb__processes_bell(processes, source_of(worker)), bell_ready);
}

int gb__apart_supervise(struct gb_worker *worker)
{
	return watch(worker, gb__processes_control(worker->server->processes), control_ready);
}
