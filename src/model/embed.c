/* A server in a loop of somebody else's: gb_server_run, with its turns apart. */
#include "base/assert.h"
#include "base/macros.h"
#include "model/run.h"
#include "model/worker.h"

#include <errno.h>

static int check_model(const struct gb_server *server, struct gb_error *error)
{
	const enum gb__model_engine engine = server->model.engine;

	if (!gb__run_alone(server))
		return gb_error_set(error, -ENOTSUP,
			"%s: a server in another's loop is one loop on its thread, and this model has workers of its own; take "
			"model=reactor or model=proactor",
			gb_server_model(server));
	if (engine != GB__ENGINE_EPOLL && engine != GB__ENGINE_IO_URING)
		return gb_error_set(error, -ENOTSUP,
			"%s: a server in another's loop is woken by its engine's descriptor, and %s has none; take model=reactor "
			"with engine=epoll, or model=proactor",
			gb_server_model(server), gb__model_engine_name(engine));
	return 0;
}

static int begin(struct gb_server *server, struct gb_error *error)
{
	struct gb_worker *chief;
	struct gb__engine *engine;
	int result = gb__run_begin(server, &server->embedded, error);

	if (result < 0)
		return result;
	chief = gb__run_chief(server->embedded);
	engine = chief->loop.engine;
	result = engine->ops->polled ? engine->ops->polled->begin(engine) : -ENOTSUP;
	if (result < 0) {
		gb__run_end(server->embedded, NULL);
		server->embedded = NULL;
		return gb_error_set(error, result, "%s has no descriptor for another's loop: %s",
			engine->name, gb_strerror(result));
	}
	server->embedded_fd = result;
	gb__loop_sleeps_elsewhere(&chief->loop);
	chief->look = true;
	engine->awake = false;
	return 0;
}

int gb_server_begin(struct gb_server *server, struct gb_error *error)
{
	int result;

	if (!server)
		return gb_error_set(error, -EINVAL, "gb_server_begin: the server is NULL");
	result = check_model(server, error);
	if (result == 0)
		result = gb__run_enter(server, error);
	if (result < 0)
		return result;
	result = begin(server, error);
	if (result < 0)
		gb__run_leave(server);
	return result;
}

/* The worker, whose thread it is. */
static struct gb_worker *worker_of(const struct gb_server *server, const char *function)
{
	gb__rule_in(function, 66, server->embedded,
		"a server is stepped outside of gb_server_begin and gb_server_end");
	gb__rule_in(function, 66, gb__loop_here(&server->chief->loop),
		"a server in another's loop is used on another thread than the one that began it");
	return server->chief;
}

int gb_server_descriptor(const struct gb_server *server)
{
	return server->embedded ? server->embedded_fd : -EBADF;
}

int gb_server_timeout_ms(struct gb_server *server)
{
	int64_t sleep_ns = gb__worker_sleep_ns(worker_of(server, __func__));

	if (sleep_ns < 0)
		return -1;
	/* Rounded up, so that no timer is looked for early again and again. */
	return (int)gb__min((sleep_ns + 999999) / 1000000, INT32_MAX);
}

int gb_server_step(struct gb_server *server)
{
	struct gb_worker *worker = worker_of(server, __func__);
	struct gb__engine *engine = worker->loop.engine;
	bool goes_on;

	server->stepping = true;
	engine->ops->polled->heard(engine);
	goes_on = gb__worker_step(worker);
	server->stepping = false;
	return goes_on;
}

void gb_server_end(struct gb_server *server)
{
	struct gb_error error;

	(void)worker_of(server, __func__);
	gb__rule(66, !server->stepping, "a server is ended from inside its own step");
	(void)gb__run_end(server->embedded, &error);
	server->embedded = NULL;
	gb__run_leave(server);
}
