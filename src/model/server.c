/*
 * The public server: what is served where. run.c brings it to life.
 */
#include "model/server.h"
#include "model/signal_watch.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/macros.h"
#include "model/capacity.h"
#include "model/legality.h"
#include "model/naming.h"
#include "model/run.h"
#include "model/tally.h"
#include "model/tls.h"
#include "net/parts.h"
#include "net/route.h"
#include "os/cpu.h"
#include "os/limit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The engine that the model names must work here; `auto` takes the first that does, best first. */
static int resolve_engine(struct gb_server *server, struct gb_error *error)
{
	static const enum gb__model_engine best[] = { GB__ENGINE_IO_URING, GB__ENGINE_EPOLL, GB__ENGINE_POLL,
		GB__ENGINE_SELECT };
	const struct gb__engine_options options = { .os = &gb__os_linux };
	struct gb__engine *engine;
	int result = 0;

	if (server->model.engine != GB__ENGINE_AUTO) {
		result = gb__engine_create(
			gb__model_engine_name(server->model.engine), options, &engine, error);
		if (result == 0)
			engine->ops->destroy(engine);
		return result;
	}
	for (size_t i = 0; i < gb__countof(best); i++) {
		struct gb__model tried = server->model;

		tried.engine = best[i];
		if (!gb__model_legal(&tried))
			continue; /* with the other keys */
		result = gb__engine_create(gb__model_engine_name(best[i]), options, &engine, error);
		if (result < 0)
			continue;
		engine->ops->destroy(engine);
		server->model.engine = best[i];
		return 0;
	}
	return result;
}

/* Whether so many can be had at the same time. Without descriptors for all of them here other processes may have theirs. */
static int engines_at_once(enum gb__model_engine engine, unsigned count, struct gb_error *error)
{
	const struct gb__engine_options options = { .os = &gb__os_linux };
	struct gb__engine **engines = gb__alloc_zero(count * sizeof(struct gb__engine *));
	int result = engines ? 0 : -ENOMEM;

	for (unsigned i = 0; i < count && result == 0; i++)
		result = gb__engine_create(gb__model_engine_name(engine), options, &engines[i], error);
	for (unsigned i = 0; engines && i < count && engines[i]; i++)
		engines[i]->ops->destroy(engines[i]);
	gb__free(engines);
	return result == -EMFILE || result == -ENFILE ? 0 : result;
}

/* Locked memory may last for one ring, which was tried, and not for all workers': then none takes one. */
static int reduce_engine(struct gb_server *server, struct gb_error *error)
{
	const struct gb__model *model = &server->model;
	unsigned loops = model->workers == 1 && model->unit == GB__UNIT_THREAD ? 1 : server->seats_count + 1;
	struct gb_error reason = { 0 };

	if (server->options->model.engine != GB__ENGINE_AUTO || model->engine != GB__ENGINE_IO_URING ||
		loops == 1 || engines_at_once(model->engine, loops, &reason) == 0)
		return 0;
	/* What to take instead is taken already. */
	reason.text[strcspn(reason.text, ";")] = '\0';
	gb__log(GB__LOG_WARNING,
		"engine=auto: io_uring works here, but not %u at once, so all take epoll: %s", loops,
		reason.text);
	server->model.engine = GB__ENGINE_EPOLL;
	return resolve_engine(server, error);
}

/* Else each connection would tell of it. */
static int check_outgoing(const struct gb_options *options, struct gb_error *error)
{
	const struct gb__socket_options socket = gb__options_socket(options);

	return gb__socket_try_connect(&socket, error);
}

int gb_server_create(const struct gb_options *options, struct gb_server **ret, struct gb_error *error)
{
	struct gb__model counted;
	struct gb_server *server;
	size_t records;
	int result;

	if (options)
		gb__model_region(&options->model);
	server = gb__alloc_zero(sizeof(*server));
	gb__alloc_region(GB__REGION_NONE);
	if (!server)
		return gb_error_set(error, -ENOMEM, "no memory for a server");
	server->wake_fd = server->report_fd = -1;
	gb__places_init(&server->places);
	gb__hubs_init(&server->hubs);
	server->pid = getpid();
	result = gb__descriptors_standard();
	if (result < 0) {
		gb_error_set(error, result,
			"standard input, output or error is closed, and /dev/null cannot be opened instead: %s",
			gb_strerror(result));
		goto fail;
	}
	result = options ? gb__options_copy(options, &server->options) : gb_options_create(&server->options);
	if (result < 0) {
		gb_error_set(error, result, "no memory for a server");
		goto fail;
	}
	gb__log_set_level((enum gb__log_level)server->options->log_level);
	result = gb__log_set_format(
		(enum gb__log_format)server->options->log_format, server->options->log_socket);
	if (result < 0) {
		gb_error_set(error, result, "log-socket %s: %s",
			server->options->log_socket ? server->options->log_socket : "", gb_strerror(result));
		goto fail;
	}
	server->model = server->options->model;
	result = check_outgoing(server->options, error);
	if (result == 0)
		result = gb__model_check(&server->model, error);
	if (result == 0)
		result = resolve_engine(server, error);
	if (result == 0)
		result = gb__capacity_resolve(server, error);
	if (result == 0)
		result = reduce_engine(server, error);
	if (result < 0)
		goto fail;
	counted = server->model;
	if (counted.workers == GB__WORKERS_DEFAULT)
		counted.workers = server->seats_count;
	gb__model_format(&counted, server->model_text, sizeof(server->model_text));
	records = (size_t)server->seats_count + 1; /* the last is the chief's */
	server->shared = gb__shared_create(records);
	if (!server->shared) {
		result = gb_error_set(error, -ENOMEM, "no memory for the counters of %zu workers", records);
		goto fail;
	}
	memcpy(server->shared->head.model, server->model_text, sizeof(server->model_text));
	server->shared->head.alone = gb__run_alone(server);
	server->shared->head.cpus = gb__cpus_allotted();
	server->wake_fd = gb__os_linux.ops->event_create(&gb__os_linux);
	if (server->wake_fd < 0) {
		result = gb_error_set(error, server->wake_fd, "cannot make a wake-up descriptor: %s",
			gb_strerror(server->wake_fd));
		goto fail;
	}
	*ret = server;
	return 0;

fail:
	gb_server_destroy(server);
	return result;
}

void gb_server_destroy(struct gb_server *server)
{
	if (!server)
		return;
	gb__rule(4, !server->chief, "the server runs: stop it, and wait until gb_server_run has returned");
	gb__server_unlisten(server);
	gb__bindings_destroy(server);
	gb__server_unsecure(server);
	if (server->wake_fd >= 0)
		gb__socket_close(server->wake_fd);
	gb__places_finish(&server->places);
	gb__naming_destroy(server);
	gb__tally_finish(server);
	gb__shared_destroy(server->shared);
	pthread_mutex_destroy(&server->hubs.lock);
	gb_options_destroy(server->options);
	gb__free(server);
}

static int check_handlers(const struct gb_service *service, struct gb_error *error)
{
	if (service->on_message && service->routes)
		return gb_error_set(error, -EINVAL,
			"service %s: .on_message and .routes are both set: what no route takes is for a route that is the "
			"default (.otherwise)",
			service->name);
	if (service->on_part && service->routes)
		return gb_error_set(error, -EINVAL,
			"service %s: .on_part and .routes are both set: each route has its own .on_part",
			service->name);
	if (gb__service_takes_parts(service) && gb__parts_objection(service))
		return gb_error_set(
			error, -EINVAL, "service %s: %s", service->name, gb__parts_objection(service));
	if (!service->serve && !service->on_message && !service->routes && !service->on_part)
		return gb_error_set(error, -EINVAL,
			"service %s: .on_message and .serve are NULL: nobody gets its messages",
			service->name);
	if (service->serve &&
		(service->on_message || service->on_open || service->on_writable || service->on_eof ||
			service->on_error || service->on_drain || service->on_part || service->on_cut))
		return gb_error_set(error, -EINVAL,
			"service %s: .serve handles its connections from beginning to end, so that none of its "
			"callbacks but .on_close may be set",
			service->name);
	return 0;
}

int gb__service_check(const struct gb_service *service, bool handles, struct gb_error *error)
{
	if (!service)
		return gb_error_set(error, -EINVAL, "the service is NULL");
	/* Without the first two fields no other can be trusted, the name included. */
	if (service->abi == 0 && service->struct_size == 0)
		return gb_error_set(error, -EINVAL,
			"a service without GB_SERVICE_INIT: write it first in the initializer, as in "
			"struct gb_service echo = { GB_SERVICE_INIT, .name = \"echo\", ... }");
	if (service->abi != GB_ABI || service->struct_size != sizeof(*service))
		return gb_error_set(error, -EINVAL,
			"a service made for another version of gearbox (ABI %u of %u bytes, this is %u of %zu): "
			"compile it again",
			service->abi, service->struct_size, GB_ABI, sizeof(*service));
	if (!service->name || !*service->name)
		return gb_error_set(
			error, -EINVAL, "a service without a name: set .name, a word for messages");
	if (service->routes) {
		int result = gb__routes_check(service, handles, error);

		if (result < 0)
			return result;
	}
	if (service->signals) {
		int result = gb__signals_check(service->signals, service->name, error);

		if (result < 0)
			return result;
	}
	return handles ? check_handlers(service, error) : 0;
}

int gb__service_check_type(
	const struct gb_service *service, bool packets, const char *where, struct gb_error *error)
{
	const bool of_packets = service->codec == &gb_codec_packet;

	if (!packets && of_packets)
		return gb_error_set(error, -EPROTOTYPE,
			"%s: service %s has the codec of packets, and this is a stream: write unix-seqpacket:PATH",
			where, service->name);
	if (packets && service->codec && !of_packets)
		return gb_error_set(error, -EPROTOTYPE,
			"%s: service %s finds its messages in a stream (codec %s), and this is a socket of packets: "
			"write unix:PATH, or give it gb_codec_packet",
			where, service->name, service->codec->name ? service->codec->name : "?");
	if (packets && service->traits & GB_TRAIT_STREAM)
		return gb_error_set(error, -EPROTOTYPE,
			"%s: service %s needs a stream, and this is a socket of packets: write unix:PATH",
			where, service->name);
	if (packets && service->tls)
		return gb_error_set(error, -EPROTOTYPE,
			"%s: service %s has .tls, which needs a stream, and this is a socket of packets",
			where, service->name);
	return 0;
}

const char *gb_server_model(const struct gb_server *server)
{
	return server->model_text;
}

int gb_server_on_ready(
	struct gb_server *server, void (*on_ready)(struct gb_server *server, void *arg), void *arg)
{
	if (atomic_load(&server->running))
		return -EBUSY;
	server->on_ready = on_ready;
	server->on_ready_arg = arg;
	return 0;
}

void gb__server_ask(struct gb_server *server)
{
	atomic_store(&server->asked, true);
	gb__os_linux.ops->event_signal(&gb__os_linux, server->wake_fd);
}

static void wake(struct gb_server *server)
{
	gb__os_linux.ops->event_signal(&gb__os_linux, server->wake_fd);
	gb__receiver_call(&server->shared->receiver);
}

void gb_server_stop(struct gb_server *server)
{
	atomic_fetch_add(&server->shared->stop, 1);
	wake(server);
}

void gb__server_signalled(struct gb_server *server)
{
	atomic_store(&server->shared->signalled, true);
	wake(server);
}

void gb_server_stats(const struct gb_server *server, struct gb_stats *ret)
{
	uint64_t *sum = (uint64_t *)ret;

	*ret = (struct gb_stats){ 0 };
	for (size_t i = 0; i < server->shared->records_count; i++) {
		struct gb__counters counters;

		gb__record_sum(server->shared, server->shared->records_count, i, &counters);
		for (size_t j = 0; j < sizeof(*ret) / sizeof(*sum); j++)
			sum[j] += ((const uint64_t *)&counters.stats)[j];
	}
}

void gb_server_tls_stats(const struct gb_server *server, struct gb_tls_stats *ret)
{
	*ret = (struct gb_tls_stats){ 0 };
	for (size_t i = 0; i < server->shared->records_count; i++) {
		struct gb__counters counters;

		gb__record_sum(server->shared, server->shared->records_count, i, &counters);
		ret->handshakes += counters.tls.handshakes;
		ret->resumed += counters.tls.resumed;
		ret->failed += counters.tls.failed;
		ret->under_way += counters.tls.under_way;
	}
}

void gb_server_coro_stats(const struct gb_server *server, struct gb_coro_stats *ret)
{
	*ret = (struct gb_coro_stats){ 0 };
	for (size_t i = 0; i < server->shared->records_count; i++) {
		struct gb__counters counters;

		gb__record_sum(server->shared, server->shared->records_count, i, &counters);
		ret->alive += counters.coroutines.alive;
		ret->ended += counters.coroutines.ended;
		ret->alive_max = gb__max(ret->alive_max, counters.coroutines.alive_max);
		ret->stack_used_max = gb__max(ret->stack_used_max, counters.coroutines.stack_used_max);
	}
}

void gb_server_stall_stats(const struct gb_server *server, struct gb_stall_stats *ret)
{
	*ret = (struct gb_stall_stats){ 0 };
	for (size_t i = 0; i < server->shared->records_count; i++)
		gb__record_add_stalls(&server->shared->records[i], ret);
}

size_t gb_server_workers(const struct gb_server *server)
{
	return server->shared->records_count;
}

void gb_server_worker_stats(const struct gb_server *server, size_t n, struct gb_worker_stats *ret)
{
	struct gb__counters counters = { 0 };

	if (n < server->shared->records_count)
		gb__record_sum(server->shared, server->shared->records_count, n, &counters);
	*ret = (struct gb_worker_stats){ counters.stats, counters.waits, counters.events, 0 };
	if (n < server->shared->records_count)
		ret->stalls = gb__seen_count(server->shared->records[n].stalls.count);
}
