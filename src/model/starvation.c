#include "model/starvation.h"

#include "base/log.h"
#include "base/macros.h"
#include "os/socket.h"

#define LOOK_MS 1000u /* between two looks: that long nobody was accepted */

static unsigned waiting(const struct gb_server *server)
{
	unsigned sum = 0;

	for (size_t i = 0; i < server->bindings_count; i++)
		for (size_t j = 0; j < server->bindings[i].fds_count; j++)
			sum += gb__socket_waiting(server->bindings[i].fds[j], 1);
	return sum;
}

void gb__starvation_tell(unsigned clients, unsigned workers)
{
	gb__log(GB__LOG_WARNING,
		"%u connection%s wait%s for one of %u workers, each of which serves one connection to its end: "
		"workers=%u serves so many at once, or take an event engine (engine=epoll)",
		clients, clients == 1 ? "" : "s", clients == 1 ? "s" : "", workers, workers + clients);
}

static void look(struct gb_timer *timer, void *arg)
{
	struct gb__starvation *starvation = arg;
	struct gb_worker *chief = starvation->chief;
	struct gb_stats stats;
	unsigned clients;

	if (chief->net.draining)
		return;
	clients = waiting(chief->server);
	gb_server_stats(chief->server, &stats);
	if (clients > 0 && starvation->waited && stats.accepted == starvation->accepted) {
		gb__starvation_tell(clients, starvation->workers);
		return;
	}
	starvation->waited = clients > 0;
	starvation->accepted = stats.accepted;
	gb__worker_timer(chief, timer, LOOK_MS, look, starvation);
}

void gb__starvation_watch(struct gb__starvation *starvation, struct gb_worker *chief, unsigned workers)
{
	const struct gb__model *model = &chief->server->model;

	*starvation = (struct gb__starvation){ .chief = chief, .workers = workers };
	if (model->engine != GB__ENGINE_BLOCKING || model->workers == GB__WORKERS_PER_CONNECTION ||
		(model->accept == GB__ACCEPT_ACCEPTOR && model->unit == GB__UNIT_THREAD))
		return;
	if (gb__timers_reserve(&chief->loop.timers, 1) == 0)
		gb__worker_timer(chief, &starvation->timer, LOOK_MS, look, starvation);
}

void gb__starvation_end(struct gb__starvation *starvation)
{
	gb_timer_stop(&starvation->timer);
}
