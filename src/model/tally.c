#include "model/tally.h"

#include "base/macros.h"
#include "model/worker.h"
#include "net/route.h"
#include "os/process.h"
#include "pool/level.h"

#include <errno.h>

#define LINE 64u /* of the caches: places of several writers share none */

/* Of a place: the pool's levels, then routes. */
static size_t place_size(const struct gb_server *server)
{
	size_t size = GB__LEVELS * sizeof(struct gb__level_counters) +
		server->route_counts_count * sizeof(uint64_t);

	return (size + LINE - 1) / LINE * LINE;
}

static size_t tally_size(const struct gb_server *server)
{
	return server->shared->records_count * place_size(server);
}

struct gb__level_counters *gb__tally_levels(const struct gb_server *server, size_t place)
{
	return (struct gb__level_counters *)(server->tally + place * place_size(server));
}

static uint64_t *routes_of(const struct gb_server *server, size_t place)
{
	return (uint64_t *)(gb__tally_levels(server, place) + GB__LEVELS);
}

static void counters_drop(struct gb_server *server)
{
	if (server->tally)
		gb__shared_unmap(server->tally, tally_size(server));
	server->tally = NULL;
}

/* Its routes, and room for their counts. Nobody has counted anything yet, or not since a run that is over. */
static int add_router(struct gb_server *server, const struct gb_service *service)
{
	struct gb__router **link = &server->routers;

	for (; *link; link = &(*link)->next)
		if ((*link)->service == service)
			return 0;
	*link = gb__router_create(service);
	if (!*link)
		return -ENOMEM;
	counters_drop(server);
	(*link)->first_count = server->route_counts_count;
	server->route_counts_count += (*link)->entries_count;
	return 0;
}

int gb__tally_service(struct gb_server *server, const struct gb_service *service, struct gb_error *error)
{
	if (service->routes && add_router(server, service) < 0)
		return gb_error_set(error, -ENOMEM, "no memory for the routes of %s", service->name);
	if (server->tally || (!server->routers && server->model.compute == GB__COMPUTE_INLINE))
		return 0;
	server->tally = gb__shared_map(tally_size(server));
	if (!server->tally)
		return gb_error_set(
			error, -ENOMEM, "no memory for the counters of %s and its workers", service->name);
	return 0;
}

void gb__tally_finish(struct gb_server *server)
{
	counters_drop(server);
	while (server->routers) {
		struct gb__router *next = server->routers->next;

		gb__router_destroy(server->routers);
		server->routers = next;
	}
}

void gb__tally_join(struct gb_worker *worker)
{
	const struct gb_server *server = worker->server;

	if (!server->routers)
		return;
	worker->net.routers = server->routers;
	worker->net.route_counts = routes_of(server, (size_t)(worker->record - server->shared->records));
}

static uint64_t count_of(const struct gb_server *server, size_t at)
{
	uint64_t sum = 0;

	for (size_t place = 0; server->tally && place < server->shared->records_count; place++)
		sum += __atomic_load_n(&routes_of(server, place)[at], __ATOMIC_RELAXED);
	return sum;
}

/* The n-th row of all; what no row takes is not one. */
static const struct gb__router *row_find(const struct gb_server *server, size_t n, size_t *ret_entry)
{
	const struct gb__router *router = server->routers;

	while (router && n >= router->entries_count - 1) {
		n -= router->entries_count - 1;
		router = router->next;
	}
	*ret_entry = n + 1;
	return router;
}

int gb_server_route_stats(const struct gb_server *server, size_t n, struct gb_route_stats *ret)
{
	const struct gb__router *router;
	size_t entry;

	router = row_find(server, n, &entry);
	if (!router)
		return -ENOENT;
	*ret = (struct gb_route_stats){
		.service = router->service->name,
		.route = router->entries[entry].row->name,
		/* The default's are counted in entry 0. */
		.messages = count_of(
			server, router->first_count + (router->entries[entry].row->otherwise ? 0 : entry)),
	};
	return 0;
}

int gb_server_pool_stats(const struct gb_server *server, enum gb_priority priority, struct gb_pool_stats *ret)
{
	if (!gb__priority_known(priority))
		return -EINVAL;
	*ret = (struct gb_pool_stats){ 0 };
	if (server->model.compute == GB__COMPUTE_INLINE || !server->tally)
		return 0;
	for (size_t place = 0; place < server->shared->records_count; place++) {
		const struct gb__level_counters *from =
			&gb__tally_levels(server, place)[gb__level_of(priority)];
		uint64_t waiting_max = __atomic_load_n(&from->waiting_max, __ATOMIC_RELAXED);
		uint64_t wait_max_ns = __atomic_load_n(&from->wait_max_ns, __ATOMIC_RELAXED);

		ret->jobs += __atomic_load_n(&from->taken, __ATOMIC_RELAXED);
		ret->waiting += __atomic_load_n(&from->waiting, __ATOMIC_RELAXED);
		ret->waiting_max = gb__max(ret->waiting_max, waiting_max);
		ret->wait_ns += __atomic_load_n(&from->wait_ns, __ATOMIC_RELAXED);
		ret->wait_max_ns = gb__max(ret->wait_max_ns, wait_max_ns);
	}
	return 0;
}
