#include "model/summary.h"
#include "model/run.h"

#include "base/alloc.h"
#include "base/log.h"
#include "model/naming.h"
#include "model/server.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define OWN_COUNTERS_GROWTH 256u /* while they are asked for: digits */

static json_t *seat(const struct gb_server *server, size_t place)
{
	struct gb_worker_stats worker;

	gb_server_worker_stats(server, place, &worker);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "accepted", (json_int_t)worker.stats.accepted, "waits",
		(json_int_t)worker.waits, "events", (json_int_t)worker.events, "messages",
		(json_int_t)worker.stats.messages, "stalls", (json_int_t)worker.stalls);
}

static uint64_t accepted_by(const struct gb_server *server, size_t place)
{
	struct gb_worker_stats worker;

	gb_server_worker_stats(server, place, &worker);
	return worker.stats.accepted;
}

/* Places before the main thread's that somebody worked in. */
static size_t places_used(const struct gb_server *server)
{
	size_t count = gb_server_workers(server) - 1;

	for (; count > 0; count--) {
		struct gb_worker_stats worker;

		gb_server_worker_stats(server, count - 1, &worker);
		if (worker.waits > 0 || worker.stats.accepted > 0)
			break;
	}
	return count;
}

/* In thousandths: more digits would say more than is known. */
static json_t *imbalance(const struct gb_server *server, size_t workers)
{
	uint64_t most = 0, sum = 0;

	for (size_t i = 0; i < workers; i++) {
		uint64_t accepted = accepted_by(server, i);

		sum += accepted;
		most = most > accepted ? most : accepted;
	}
	if (workers < 2 || sum == 0 || server->model.workers == GB__WORKERS_PER_CONNECTION)
		return json_null();
	return json_real(
		(double)(uint64_t)((double)most * (double)workers / (double)sum * 1000 + 0.5) / 1000);
}

static json_t *closed(const struct gb_stats *stats)
{
	json_t *object = json_object();

	for (int i = 0; i < GB_CLOSE_REASON_COUNT; i++)
		json_object_set_new(
			object, gb_close_reason_name(i), json_integer((json_int_t)stats->closed[i]));
	return object;
}

/* What a service counts itself, or NULL. */
static json_t *own_counters(const struct gb__binding *binding)
{
	const struct gb_service *service = binding->service;
	int size = service->on_summary ? service->on_summary(binding->user, NULL, 0) : -1;
	json_t *object = NULL;
	char *text;

	if (size < 0)
		return NULL;
	text = gb__alloc((size_t)size + OWN_COUNTERS_GROWTH);
	if (!text)
		return NULL;
	size = service->on_summary(binding->user, text, (size_t)size + OWN_COUNTERS_GROWTH);
	if (size >= 0)
		object = json_loads(text, 0, NULL);
	gb__free(text);
	return object;
}

/* By their names; of several addresses with the same settings the counters are the same. */
static void add_own_counters(json_t *summary, const struct gb_server *server)
{
	json_t *services = json_object();

	for (size_t i = 0; i < server->bindings_count; i++) {
		json_t *own = own_counters(&server->bindings[i]);

		if (own)
			json_object_set_new(services, server->bindings[i].service->name, own);
	}
	if (json_object_size(services) > 0)
		json_object_set(summary, "services", services);
	json_decref(services);
}

/* One for each: service, route, messages. */
static json_t *routes(const struct gb_server *server)
{
	json_t *array = json_array();
	struct gb_route_stats route;

	for (size_t i = 0; gb_server_route_stats(server, i, &route) == 0; i++)
		json_array_append_new(array,
			json_pack("{s:s, s:s, s:I}", "service", route.service, "route", route.route,
				"messages", (json_int_t)route.messages));
	return array;
}

/* Of each priority; null without a pool. */
static json_t *pool(const struct gb_server *server)
{
	static const char *const names[] = { "high", "normal", "low" };
	json_t *object;

	if (server->model.compute == GB__COMPUTE_INLINE)
		return json_null();
	object = json_object();
	for (int priority = GB_PRIORITY_HIGH; priority >= GB_PRIORITY_LOW; priority--) {
		struct gb_pool_stats level;

		gb_server_pool_stats(server, (enum gb_priority)priority, &level);
		json_object_set_new(object, names[GB_PRIORITY_HIGH - priority],
			json_pack("{s:I, s:I, s:I, s:I, s:I}", "jobs", (json_int_t)level.jobs, "waiting",
				(json_int_t)level.waiting, "waiting_max", (json_int_t)level.waiting_max,
				"wait_us", (json_int_t)(level.wait_ns / 1000), "wait_max_us",
				(json_int_t)(level.wait_max_ns / 1000)));
	}
	return object;
}

static json_t *coroutines(const struct gb_server *server)
{
	struct gb_coro_stats stats;

	gb_server_coro_stats(server, &stats);
	return json_pack("{s:I, s:I, s:I, s:I}", "alive", (json_int_t)stats.alive, "alive_max",
		(json_int_t)stats.alive_max, "ended", (json_int_t)stats.ended, "stack_used_max",
		(json_int_t)stats.stack_used_max);
}

static json_t *stalls(const struct gb_server *server)
{
	struct gb_stall_stats stats;

	gb_server_stall_stats(server, &stats);
	return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)stats.stalls, "now",
		(json_int_t)stats.now, "total_us", (json_int_t)(stats.ns / 1000), "longest_us",
		(json_int_t)(stats.longest_ns / 1000));
}

static json_t *tls(const struct gb_server *server)
{
	struct gb_tls_stats stats;

	gb_server_tls_stats(server, &stats);
	return json_pack("{s:I, s:I, s:I, s:I}", "handshakes", (json_int_t)stats.handshakes, "resumed",
		(json_int_t)stats.resumed, "failed", (json_int_t)stats.failed, "under_way",
		(json_int_t)stats.under_way);
}

static json_t *announced_in(const struct gb__announce *announce, json_t *all)
{
	struct gb__announce_status status;
	json_t *names = json_array();
	const char *name;

	gb__announce_status(announce, &status);
	for (size_t i = 0; (name = gb__announce_name(announce, i)); i++)
		json_array_append_new(names, json_string(name));
	json_array_extend(all, names);
	return json_pack("{s:o, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:b, s:s?}", "names", names, "server",
		status.server, "zone", *status.zone ? status.zone : NULL, "state", status.state, "updates",
		(json_int_t)status.updates, "failures", (json_int_t)status.failures, "expired",
		(json_int_t)status.expired, "life_s", (json_int_t)status.life_s, "leased", status.leased,
		"error", *status.error ? status.error : NULL);
}

static json_int_t sum_of(const json_t *zones, const char *key)
{
	json_int_t sum = 0;

	for (size_t i = 0; i < json_array_size(zones); i++)
		sum += json_integer_value(json_object_get(json_array_get(zones, i), key));
	return sum;
}

/* What became of its names, in all zones and in each; null: it has none. */
static json_t *announced(const struct gb_server *server)
{
	struct gb__announce_status worst;
	json_t *names, *zones;

	if (server->zones_count == 0)
		return json_null();
	names = json_array();
	zones = json_array();
	for (size_t i = 0; i < server->zones_count; i++)
		json_array_append_new(zones, announced_in(server->zones[i].announce, names));
	gb__announce_status(gb__naming_worst(server), &worst);
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:b, s:s?, s:o}", "names", names, "state",
		worst.state, "updates", sum_of(zones, "updates"), "failures", sum_of(zones, "failures"),
		"expired", sum_of(zones, "expired"), "life_s", (json_int_t)worst.life_s, "leased",
		worst.leased, "error", *worst.error ? worst.error : NULL, "zones", zones);
}

static json_t *announced_locally(const struct gb_server *server)
{
	struct gb__local_status status;
	char name[2 * GB__LOCAL_NAME];
	json_t *names;

	if (!server->local)
		return json_null();
	gb__local_status(server->local, &status);
	names = json_array();
	for (size_t i = 0; gb__local_name(server->local, i, name, sizeof(name)); i++)
		json_array_append_new(names, json_string(name));
	return json_pack("{s:o, s:s, s:s?}", "names", names, "state", status.state, "error",
		*status.error ? status.error : NULL);
}

static json_t *names(const struct gb_server *server)
{
	const struct gb__names_counters *counters = &server->shared->names;

	return json_pack("{s:I, s:I, s:I}", "asked", (json_int_t)counters->queries, "known",
		(json_int_t)counters->hits, "failed", (json_int_t)counters->failures);
}

/* Those of the ready line. */
static json_t *addresses(const struct gb_server *server)
{
	json_t *array = json_array();

	for (size_t i = 0; i < server->bindings_count; i++) {
		const struct gb__binding *binding = &server->bindings[i];
		const struct gb__front *front = gb__binding_front(binding);

		if (binding->options)
			json_array_append_new(array,
				json_pack("{s:s, s:s, s:b, s:b}", "service", binding->service->name,
					"address", binding->text, "tls", front && front->tls,
					"proxy_protocol", front && front->proxies));
	}
	return array;
}

int gb__summary_print(FILE *stream, const struct gb_server *server)
{
	const bool alone = gb__run_alone(server);
	const size_t last = gb_server_workers(server) - 1, workers = alone ? 0 : places_used(server);
	json_t *seats = json_array(), *object;
	struct gb_stats stats;
	int result;

	gb_server_stats(server, &stats);
	for (size_t i = 0; i < workers; i++)
		json_array_append_new(seats, seat(server, i));
	if (alone)
		json_array_append_new(seats, seat(server, last));
	object = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"model", gb_server_model(server), "accepted", (json_int_t)stats.accepted, "connections",
		(json_int_t)stats.connections, "connected", (json_int_t)stats.connected, "outgoing",
		(json_int_t)stats.outgoing, "messages", (json_int_t)stats.messages, "bytes_in",
		(json_int_t)stats.bytes_in, "bytes_out", (json_int_t)stats.bytes_out, "closed",
		closed(&stats), "workers", seats, "main", alone ? json_null() : seat(server, last),
		"imbalance", imbalance(server, workers), "routes", routes(server), "pool", pool(server),
		"coroutines", coroutines(server), "stalls", stalls(server), "tls", tls(server), "announce",
		announced(server), "announce_local", announced_locally(server));
	if (object) {
		json_object_set_new(object, "addresses", addresses(server));
		json_object_set_new(object, "names", names(server));
		add_own_counters(object, server);
	}
	result = object ? json_dumpf(object, stream, JSON_REAL_PRECISION(12)) : -1;
	json_decref(object);
	if (result == 0)
		fputc('\n', stream);
	return object ? 0 : -ENOMEM;
}

void gb__summary_log(const struct gb_server *server)
{
	char *line = NULL;
	size_t size;
	FILE *stream = open_memstream(&line, &size);

	if (!stream)
		return;
	gb__summary_print(stream, server);
	if (fclose(stream) == 0)
		gb__log_line(line, size);
	free(line);
}
