/* What handlers, and other threads, may ask of a worker: data, timers, tasks, handles, outgoing connections. */
#include "base/assert.h"
#include "base/macros.h"
#include "model/worker.h"

#include "base/alloc.h"
#include "net/dial.h"
#include "net/race.h"
#include "net/task.h"
#include "net/upstream.h"
#include "os/socket.h"
#include "stream/stream.h"

#include <gearbox/worker.h>

#include <errno.h>

unsigned gb_worker_id(const struct gb_worker *worker)
{
	return worker->id;
}

bool gb_worker_computes(const struct gb_worker *worker)
{
	return worker->apart;
}

struct gb_server *gb_worker_server(const struct gb_worker *worker)
{
	return worker->server;
}

const char *gb_worker_engine(const struct gb_worker *worker)
{
	return worker->loop.engine->name;
}

uint64_t gb_worker_now_ms(const struct gb_worker *worker)
{
	return gb__loop_now_ms(&worker->loop);
}

uint64_t gb_worker_clock_ns(const struct gb_worker *worker)
{
	return worker->loop.os->ops->now_ns(worker->loop.os);
}

size_t gb_worker_connections(const struct gb_worker *worker)
{
	return worker->net.connections;
}

size_t gb_worker_clients(const struct gb_worker *worker)
{
	return gb__net_clients(&worker->net);
}

static struct gb__worker_data *data_find(const struct gb_worker *worker, const void *key)
{
	for (size_t i = 0; i < worker->data_count; i++)
		if (worker->data[i].key == key)
			return &worker->data[i];
	return NULL;
}

int gb_worker_set_data(struct gb_worker *worker, const void *key, void *data)
{
	struct gb__worker_data *found;

	gb__rule(31, worker->apart || gb__loop_here(&worker->loop),
		"a worker's data is set on another thread than its own: post to it");
	found = data_find(worker, key);
	if (!found) {
		struct gb__worker_data *grown =
			gb__realloc(worker->data, (worker->data_count + 1) * sizeof(*worker->data));

		if (!grown)
			return -ENOMEM;
		worker->data = grown;
		found = &worker->data[worker->data_count++];
		found->key = key;
	}
	found->data = data;
	return 0;
}

void *gb_worker_data(const struct gb_worker *worker, const void *key)
{
	struct gb__worker_data *found = data_find(worker, key);

	return found ? found->data : NULL;
}

int gb_timer_start_at(struct gb_worker *worker, struct gb_timer *timer, uint64_t deadline_ns,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg)
{
	if (worker->apart)
		return -EOPNOTSUPP;
	gb__rule_in("gb_timer_start", 23, gb__loop_here(&worker->loop),
		"a timer is started on another thread than its worker's");
	timer->worker = worker;
	timer->on_expire = on_expire;
	timer->arg = arg;
	timer->deadline_ns = deadline_ns;
	return gb__timers_start(&worker->loop.timers, timer);
}

/* Longer than the clock goes: it never comes. */
static uint64_t clock_after(const struct gb_worker *worker, uint64_t delay_ms)
{
	return gb__add_capped(gb_worker_clock_ns(worker), gb__multiply_capped(delay_ms, 1000000u));
}

int gb_timer_start(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg)
{
	return gb_timer_start_at(worker, timer, clock_after(worker, delay_ms), on_expire, arg);
}

void gb__worker_timer(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg)
{
	timer->worker = worker;
	timer->on_expire = on_expire;
	timer->arg = arg;
	timer->deadline_ns = clock_after(worker, delay_ms);
	gb__timers_start_reserved(&worker->loop.timers, timer);
}

void gb_timer_stop(struct gb_timer *timer)
{
	if (!timer->heap_index)
		return;
	gb__rule(23, gb__loop_here(&timer->worker->loop),
		"a timer is stopped on another thread than its worker's");
	gb__timers_stop(&timer->worker->loop.timers, timer);
}

struct worker_task {
	struct gb__post post;
	struct gb_worker *worker;
	void (*run)(struct gb_worker *worker, void *arg);
	void *arg;
};

static void worker_task_run(struct gb__post *post, bool alive)
{
	struct worker_task task = *(struct worker_task *)post;

	gb__free(post);
	task.run(alive ? task.worker : NULL, task.arg);
}

int gb_worker_post(struct gb_worker *worker, void (*run)(struct gb_worker *, void *arg), void *arg)
{
	struct worker_task *task = gb__alloc(sizeof(*task));
	int result;

	if (worker->apart || !task) {
		gb__free(task);
		return worker->apart ? -EOPNOTSUPP : -ENOMEM;
	}
	*task = (struct worker_task){ { .run = worker_task_run }, worker, run, arg };
	result = gb__loop_post(&worker->loop, &task->post);
	if (result < 0)
		gb__free(task);
	return result;
}

struct gb_conn *gb_handle_conn(struct gb_handle handle)
{
	const struct gb__engine *engine = handle.worker->loop.engine;

	gb__rule(28, gb__loop_here(&handle.worker->loop),
		"a connection is looked up on another thread than its worker's: post to it");
	/* It may be from the engine that was here before, which had given out more slots. */
	if (handle.slot >= engine->slots_used)
		return NULL;
	return (struct gb_conn *)gb__engine_find(engine, handle.slot, handle.generation);
}

struct handle_task {
	struct gb__post post;
	struct gb_handle handle;
	void (*run)(struct gb_conn *conn, int status, void *arg);
	void *arg;
};

static void handle_task_run(struct gb__post *post, bool alive)
{
	struct handle_task task = *(struct handle_task *)post;
	struct gb_conn *conn = alive ? gb_handle_conn(task.handle) : NULL;

	if (conn && gb__task_defer(conn, post))
		return;

	gb__free(post);
	task.run(conn, conn ? 0 : -ESTALE, task.arg);
}

int gb_handle_post(
	struct gb_handle handle, void (*run)(struct gb_conn *conn, int status, void *arg), void *arg)
{
	struct handle_task *task = gb__alloc(sizeof(*task));
	int result;

	if (handle.worker->apart || !task) {
		gb__free(task);
		return handle.worker->apart ? -EOPNOTSUPP : -ENOMEM;
	}
	*task = (struct handle_task){ { .run = handle_task_run }, handle, run, arg };
	result = gb__loop_post(&handle.worker->loop, &task->post);
	if (result < 0)
		gb__free(task);
	return result;
}

/* What holds of every connection that is made: the thread, the service, and that the worker does not end. */
static int may_connect(const struct gb_worker *worker, const char *to, const struct gb_service *service,
	enum gb__for who, struct gb_error *error)
{
	int result = gb__service_check(service, who == GB__FOR_HANDLER, error);

	if (result < 0)
		return result;
	/* Or a handler that connects whenever it lost a connection would keep it for ever. */
	if (gb__worker_ends(worker))
		return gb_error_set(error, -ESHUTDOWN, "cannot connect to %s: the worker ends", to);
	return gb__limits_check(&worker->server->limits, service, error);
}

static int parse(const char *text, struct gb__target *ret, struct gb_error *error)
{
	if (!text)
		return gb_error_set(error, -EINVAL, "gb_connect: the address is NULL");
	return gb__target_parse(text, ret, error);
}

/* A socket of packets, or a stream, as the service can have it. */
static int check_types(const char *const *texts, const struct gb__target *targets, size_t count,
	const struct gb_service *service, struct gb_error *error)
{
	int result = 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = gb__service_check_type(service,
			targets[i].kind == GB__TARGET_ADDRESS && targets[i].address.packets, texts[i], error);
	return result;
}

static int connect_to(struct gb_worker *worker, const struct gb__target *target,
	const struct gb_service *service, void *user, enum gb__for who, struct gb_conn **ret_conn)
{
	struct gb__socket_options options = gb__options_socket(worker->server->options);

	return target->kind == GB__TARGET_ADDRESS
		? gb__net_connect(&worker->net, &target->address, &options, service, user, who, ret_conn)
		: gb__net_dial(&worker->net, target, &options, service, user, who, ret_conn);
}

int gb__worker_connect(struct gb_worker *worker, const char *text, const struct gb_service *service,
	void *user, enum gb__for who, struct gb_conn **ret_conn, struct gb_error *error)
{
	struct gb__target target;
	int result;

	if (worker->apart)
		return gb_error_set(error, -EOPNOTSUPP,
			"cannot connect to %s: a process of the compute pool has no loop; connect on the worker",
			text ? text : "nowhere");
	gb__rule_in("gb_connect", 31, gb__loop_here(&worker->loop),
		"connections are made on their worker's thread: post to it");
	result = parse(text, &target, error);
	if (result == 0)
		result = may_connect(worker, text, service, who, error);
	if (result == 0)
		result = check_types(&text, &target, 1, service, error);
	if (result < 0)
		return result;
	result = connect_to(worker, &target, service, user, who, ret_conn);
	if (result < 0)
		gb_error_set(error, result, "cannot connect to %s: %s", text, gb_strerror(result));
	return result;
}

/* For gb__free: they are too much for a coroutine's stack. */
static int parse_all(const char *const *texts, size_t count, struct gb__target **ret, struct gb_error *error)
{
	struct gb__target *targets = gb__alloc(count * sizeof(*targets));
	int result = targets ? 0 : gb_error_set(error, -ENOMEM, "no memory to connect to %s", texts[0]);

	for (size_t i = 0; i < count && result == 0; i++)
		result = parse(texts[i], &targets[i], error);
	if (result == 0)
		*ret = targets;
	else
		gb__free(targets);
	return result;
}

static int check_count(size_t count, struct gb_error *error)
{
	if (count > 0 && count <= GB_CONNECT_ANY_MAX)
		return 0;
	return gb_error_set(
		error, -EINVAL, "cannot connect to one of %zu addresses: 1 to %u", count, GB_CONNECT_ANY_MAX);
}

int gb__worker_connect_any(struct gb_worker *worker, struct gb_connecting_any *connecting,
	const char *const *texts, size_t count, const struct gb__race_terms *terms,
	gb_operation_done *on_done, void *on_done_user, struct gb_error *error)
{
	struct gb__socket_options options = gb__options_socket(worker->server->options);
	struct gb__race_terms race = *terms;
	struct gb__target *targets = NULL;
	int result;

	gb__rule_in("gb_connect_any_begin", 31, gb__loop_here(&worker->loop),
		"connections are made on their worker's thread: post to it");
	result = check_count(count, error);
	if (result == 0)
		result = parse_all(texts, count, &targets, error);
	if (result == 0)
		result = may_connect(worker, texts[0], terms->service, terms->who, error);
	if (result == 0)
		result = check_types(texts, targets, count, terms->service, error);
	if (result == 0) {
		race.options = &options;
		result = gb__race_begin_any(
			&worker->net, connecting, targets, count, &race, on_done, on_done_user);
		if (result < 0)
			gb_error_set(
				error, result, "cannot connect to %s: %s", texts[0], gb_strerror(result));
	}
	gb__free(targets);
	return result;
}

int gb_connect(struct gb_worker *worker, const char *address, const struct gb_service *service, void *user,
	struct gb_conn **ret_conn, struct gb_error *error)
{
	return gb__worker_connect(worker, address, service, user, GB__FOR_HANDLER, ret_conn, error);
}

static bool no_more(const struct gb__net *net)
{
	return gb__worker_ends(net->worker);
}

static const struct gb_service plain = { GB_SERVICE_INIT, .name = "upstream" };

int gb_upstream_create(struct gb_worker *worker, const char *const *texts, size_t count,
	const struct gb_upstream_options *options, struct gb_upstream **ret, struct gb_error *error)
{
	struct gb__socket_options socket = gb__options_socket(worker->server->options);
	struct gb_upstream_options own = options ? *options : (struct gb_upstream_options){ 0 };
	struct gb__target *targets = NULL;
	struct gb__upstream_terms terms = { .count = count,
		.socket = &socket,
		.options = &own,
		.style = own.streams ? &gb__upstream_streams : NULL,
		.ends = no_more };
	int result = check_count(count, error);

	gb__rule(58, gb__loop_here(&worker->loop), "a pool is made on its worker's thread: post to it");
	if (!own.service && own.streams)
		own.service = &plain;
	if (result == 0)
		result = gb__service_check(own.service, !own.streams, error);
	if (result == 0)
		result = gb__limits_check(&worker->server->limits, own.service, error);
	if (result == 0)
		result = parse_all(texts, count, &targets, error);
	if (result == 0)
		result = check_types(texts, targets, count, own.service, error);
	if (result < 0) {
		gb__free(targets);
		return result;
	}
	terms.targets = targets;
	result = gb__upstream_create(&worker->net, &terms, ret);
	gb__free(targets);
	return result < 0 ? gb_error_set(error, result, "no memory for a pool of connections") : 0;
}
