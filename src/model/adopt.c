/*
 * Clients that a handler gives its worker. They become connections in the worker's turn, not inside the call, since no
 * function calls a handler; from the call on they count for who serves one at a time.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "model/worker.h"
#include "net/tell.h"
#include "os/socket.h"

#include <gearbox/worker.h>

#include <errno.h>

struct adoption {
	struct gb__post post;
	struct gb_worker *worker;
	const struct gb_service *service;
	void *user;
	int fd;
	bool packets;
};

static const struct gb__front of_packets = { .packets = true };

static void refuse(const struct adoption *adoption)
{
	struct gb_worker *worker = adoption->worker;
	struct gb_stats *stats = &worker->record->counters.stats;

	gb__tell_refused(worker->loop.os, adoption->fd, adoption->service, GB_CLOSE_DRAIN, NULL);
	gb__socket_close(adoption->fd);
	gb__count(stats->accepted, 1);
	gb__count(stats->closed[GB_CLOSE_DRAIN], 1);
}

static void adopt(struct gb__post *post, bool alive)
{
	const struct adoption adoption = *gb__container_of(post, struct adoption, post);
	struct gb_worker *worker = adoption.worker;

	gb__free(post);
	worker->adopting--;
	if (!alive || gb__worker_stops(worker)) {
		refuse(&adoption);
		return;
	}
	gb__net_adopt(&worker->net, adoption.fd, adoption.service, adoption.user,
		adoption.packets ? &of_packets : NULL);
	gb__worker_fewer(worker); /* it may have been refused at once */
}

/* Whether it could have a client besides those it is given. */
static int check_room(const struct gb_worker *worker, struct gb_error *error)
{
	const struct gb_server *server = worker->server;
	const bool one = worker->loop.engine->ops->caps & GB__ENGINE_ONE_STREAM;

	if (gb__worker_ends(worker) || worker->net.draining)
		return gb_error_set(
			error, -ESHUTDOWN, "cannot adopt a connection: the worker drains or ends");
	if (one && server->model.accept == GB__ACCEPT_ACCEPTOR && server->model.workers != 1)
		return gb_error_set(error, -ENOTSUP,
			"cannot adopt a connection: a worker of %s serves the one client that it is given; take an event "
			"engine, as model multi-reactor",
			gb_server_model(server));
	if (gb__worker_full(worker))
		return one
			? gb_error_set(error, -EBUSY,
				  "cannot adopt a connection: the worker serves one client at a time, and has one; "
				  "take an event engine, as model reactor")
			: gb_error_set(error, -GB_ELIMIT,
				  "cannot adopt a connection: the worker has all that it may serve");
	if (atomic_load_explicit(&server->shared->connections, memory_order_relaxed) >=
		server->limits.connections_max)
		return gb_error_set(
			error, -GB_ELIMIT, "cannot adopt a connection: there are max-connections already");
	return 0;
}

/* A socket of packets, or a stream, as the service can have it. */
static int check_type(const struct gb_worker *worker, int fd, const struct gb_service *service,
	bool *ret_packets, struct gb_error *error)
{
	struct gb__address address;
	int result = gb__socket_local(fd, &address);

	if (result < 0)
		return gb_error_set(error, result, "cannot adopt a connection: %s", gb_strerror(result));
	result = gb__service_check_type(service, address.packets, "cannot adopt a connection", error);
	if (result == 0 && address.packets && worker->server->model.compute == GB__COMPUTE_PROCESSES)
		return gb_error_set(error, -EPROTOTYPE,
			"cannot adopt a connection: packets do not go to compute=processes");
	*ret_packets = address.packets;
	return result;
}

static int check(const struct gb_worker *worker, int fd, const struct gb_service *service, bool *ret_packets,
	struct gb_error *error)
{
	int result = gb__service_check(service, true, error);

	if (result == 0)
		result = gb__limits_check(&worker->server->limits, service, error);
	if (result == 0)
		result = gb__socket_check_connected(fd, error);
	if (result == 0)
		result = check_type(worker, fd, service, ret_packets, error);
	return result < 0 ? result : check_room(worker, error);
}

int gb_worker_adopt(struct gb_worker *worker, int fd, const struct gb_service *service, void *user,
	struct gb_error *error)
{
	const struct gb__socket_options options = gb__options_socket(worker->server->options);
	struct adoption *adoption;
	bool packets = false;
	int result;

	gb__rule(65, gb__loop_here(&worker->loop),
		"a connection is adopted on another thread than its worker's: post to it");
	result = check(worker, fd, service, &packets, error);
	if (result < 0)
		return result;
	adoption = gb__alloc(sizeof(*adoption));
	if (!adoption)
		return gb_error_set(error, -ENOMEM, "cannot adopt a connection: no memory");
	*adoption = (struct adoption){ { .run = adopt }, worker, service, user, fd, packets };
	result = gb__loop_post(&worker->loop, &adoption->post);
	if (result < 0) {
		gb__free(adoption);
		return gb_error_set(error, result, "cannot adopt a connection: the worker has ended");
	}
	gb__socket_take_over(fd, &options);
	worker->adopting++;
	if (gb__worker_full(worker))
		gb__acceptance_bar(&worker->acceptance, GB__BAR_FULL);
	return 0;
}
