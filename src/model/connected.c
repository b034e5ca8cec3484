#include "model/connected.h"

#include "model/run.h"
#include "model/server.h"
#include "model/worker.h"

#include <errno.h>

#define LOOK_MS 20u /* until its end is seen */

int gb__connected_check(const struct gb_server *server, struct gb_error *error)
{
	if (gb__run_alone(server) || server->model.accept == GB__ACCEPT_ACCEPTOR)
		return 0;
	return gb_error_set(error, -GB_EILLEGAL,
		"a connection that was passed in is for models with one worker or an acceptor, whose others accept for "
		"themselves: take model reactor, iterative, or fork");
}

static const struct gb__binding *find(const struct gb_server *server)
{
	for (size_t i = 0; i < server->bindings_count; i++)
		if (server->bindings[i].connected)
			return &server->bindings[i];
	return NULL;
}

int gb__connected_check_alone(const struct gb_server *server, struct gb_error *error)
{
	size_t others = 0;

	for (size_t i = 0; i < server->bindings_count; i++)
		others += server->bindings[i].connected || server->bindings[i].fds_count > 0;
	if (!find(server) || others == 1)
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"%s is a connection that was passed in, with which the server ends: serve it alone, without other addresses",
		find(server)->text);
}

/* Counted in its worker, which may be another process. */
static void look(struct gb_timer *timer, void *arg)
{
	struct gb__connected *connected = arg;
	struct gb_stats stats;

	gb_server_stats(connected->chief->server, &stats);
	if (stats.accepted > 0 && stats.connections == 0)
		gb_server_stop(connected->chief->server);
	else
		gb__worker_timer(connected->chief, timer, LOOK_MS, look, connected);
}

static void give(struct gb_timer *timer, void *arg)
{
	struct gb__connected *connected = arg;
	struct gb_worker *chief = connected->chief;
	struct gb__binding *binding = &chief->server->bindings[connected->binding];
	const struct gb__handed handed = { binding->connection, (uint32_t)connected->binding };

	binding->connection = -1;
	if (chief->on_accepted)
		chief->on_accepted(chief, handed);
	else
		gb__worker_adopt(chief, handed);
	gb__worker_timer(chief, timer, LOOK_MS, look, connected);
}

void gb__connected_begin(struct gb__connected *connected, struct gb_worker *chief)
{
	const struct gb__binding *binding = find(chief->server);

	connected->chief = NULL;
	if (!binding || binding->connection < 0)
		return;
	if (gb__timers_reserve(&chief->loop.timers, 1) < 0) {
		gb_server_stop(chief->server);
		return;
	}
	connected->chief = chief;
	connected->binding = (size_t)(binding - chief->server->bindings);
	/* In a turn, as if it had been accepted. */
	gb__worker_timer(chief, &connected->timer, 0, give, connected);
}

void gb__connected_end(struct gb__connected *connected)
{
	gb_timer_stop(&connected->timer);
	connected->chief = NULL;
}
