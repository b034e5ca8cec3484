/* What takes a worker's time besides bytes: operations of each kind, coroutines, streams of outgoing connections. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "model/worker.h"
#include "net/job.h"
#include "net/outgoing.h"
#include "net/proxied.h"
#include "net/secure.h"
#include "stream/stream.h"

#include <errno.h>

#define HERE(worker, function) \
	gb__rule_in(function, 49, gb__loop_here(&(worker)->loop), \
		"an operation is begun on another thread than its worker's")

int gb_coro_start(struct gb_worker *worker, const char *name, gb_coro_run *run, void *arg)
{
	if (worker->apart)
		return -EOPNOTSUPP;
	return gb__coro_start(&worker->streams, name, run, arg, NULL);
}

static void timer_cancel(struct gb_operation *operation)
{
	struct gb_timer *timer = gb__container_of(operation, struct gb_timer, operation);

	gb__timers_stop(&timer->worker->loop.timers, timer);
	(void)gb__operation_complete_later(&timer->worker->loop, operation, -ECANCELED);
}

static const struct gb__operation_kind timer_kind = { "timer", timer_cancel };

static void timer_expired(struct gb_timer *timer, void *arg)
{
	(void)arg;
	gb__operation_complete(&timer->operation, 0);
}

struct gb_operation *gb_timer_begin(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	gb_operation_done *on_done, void *user)
{
	int result;

	HERE(worker, __func__);
	gb__operation_begin(&timer->operation, &timer_kind, worker, on_done, user);
	result = gb_timer_start(worker, timer, delay_ms, timer_expired, NULL);
	if (result < 0)
		(void)gb__operation_complete_later(&worker->loop, &timer->operation, result);
	return &timer->operation;
}

/* Whoever has the result still points to it. */
static void posted_cancel(struct gb_operation *operation)
{
	(void)operation;
}

static const struct gb__operation_kind posted_kind = { "posted", posted_cancel };

struct gb_operation *gb_posted_begin(
	struct gb_worker *worker, struct gb_posted *posted, gb_operation_done *on_done, void *user)
{
	HERE(worker, __func__);
	gb__operation_begin(&posted->operation, &posted_kind, worker, on_done, user);
	return &posted->operation;
}

int gb_posted_finish(struct gb_posted *posted, int result)
{
	return gb__operation_complete_later(&posted->operation.worker->loop, &posted->operation, result);
}

static void offload_cancel(struct gb_operation *operation)
{
	struct gb_offload *offload = gb__container_of(operation, struct gb_offload, operation);

	__atomic_store_n(&offload->cancelled, true, __ATOMIC_RELAXED);
}

static const struct gb__operation_kind offload_kind = { "offload", offload_cancel };

bool gb_offload_cancelled(const struct gb_offload *offload)
{
	return __atomic_load_n(&offload->cancelled, __ATOMIC_RELAXED);
}

static_assert(sizeof(((struct gb_offload *)NULL)->job) == sizeof(struct gb__job) &&
		sizeof(struct gb__job) >= sizeof(struct gb__post),
	"it waits for a thread as a job, and for its loop as a post");

static int offload_call(struct gb_offload *offload)
{
	return gb_offload_cancelled(offload) ? -ECANCELED : offload->run(offload, offload->arg);
}

static void offload_back(struct gb__post *post, bool alive)
{
	struct gb_offload *offload = gb__container_of((void **)post, struct gb_offload, job[0]);

	gb__assert(alive); /* its worker waits for it */
	offload->operation.worker->net.offloads--;
	gb__operation_complete(&offload->operation, offload->operation.result);
}

static void offload_run(struct gb__job *job)
{
	struct gb_offload *offload = gb__container_of((void **)job, struct gb_offload, job[0]);
	struct gb__post *post = (struct gb__post *)offload->job;

	offload->operation.result = offload_call(offload);
	post->run = offload_back;
	gb__assert(gb__loop_post(&offload->operation.worker->loop, post) == 0);
}

/* There is no pool: on the worker's thread, but not inside the function that begins it. */
static void offload_here(struct gb__post *post, bool alive)
{
	struct gb_offload *offload = gb__container_of((void **)post, struct gb_offload, job[0]);

	gb__operation_complete(&offload->operation, alive ? offload_call(offload) : -ECANCELED);
}

struct gb_operation *gb_offload_begin(struct gb_worker *worker, struct gb_offload *offload,
	int (*run)(struct gb_offload *offload, void *arg), void *arg, gb_operation_done *on_done, void *user)
{
	HERE(worker, __func__);
	gb__operation_begin(&offload->operation, &offload_kind, worker, on_done, user);
	offload->run = run;
	offload->arg = arg;
	offload->cancelled = false;
	if (!gb__priority_known(offload->priority)) {
		(void)gb__operation_complete_later(&worker->loop, &offload->operation, -EINVAL);
	} else if (worker->server->compute) {
		struct gb__job *job = (struct gb__job *)offload->job;

		job->run = offload_run;
		job->level = gb__level_of(offload->priority);
		worker->net.offloads++;
		worker->net.submit(worker->net.submit_arg, job);
	} else {
		struct gb__post *post = (struct gb__post *)offload->job;

		post->run = offload_here;
		gb__assert(gb__loop_post(&worker->loop, post) == 0);
	}
	return &offload->operation;
}

int gb_offload(struct gb_coro *coro, int (*run)(struct gb_offload *offload, void *arg), void *arg)
{
	struct gb_offload offload = { .priority = coro ? coro->priority : GB_PRIORITY_NORMAL };
	int result = gb__coro_may_wait(coro, __func__);

	if (result < 0)
		return result;
	return gb_await(coro, gb_offload_begin(coro->streams->net->worker, &offload, run, arg, NULL, NULL));
}

int gb_connect_begin(struct gb_worker *worker, struct gb_connecting *connecting, const char *address,
	const struct gb_service *service, void *user, gb_operation_done *on_done, void *on_done_user,
	struct gb_error *error)
{
	struct gb_conn *conn;
	int result = gb__worker_connect(worker, address, service, user, GB__FOR_HANDLER, &conn, error);

	if (result == 0)
		gb__connect_begin(conn, connecting, on_done, on_done_user);
	return result;
}

int gb_connect_any_begin(struct gb_worker *worker, struct gb_connecting_any *connecting,
	const char *const *addresses, size_t count, const struct gb_service *service, void *user,
	gb_operation_done *on_done, void *on_done_user, struct gb_error *error)
{
	struct gb__race_terms terms = { .service = service, .user = user, .who = GB__FOR_HANDLER };

	return gb__worker_connect_any(
		worker, connecting, addresses, count, &terms, on_done, on_done_user, error);
}

/* The header goes into terms->head, for gb__free. */
static int take_head(struct gb_conn *client, enum gb_proxy_version version, const char *to,
	struct gb__race_terms *terms, struct gb_error *error)
{
	unsigned char *head;
	size_t size = 0;
	int result;

	if (version == GB_PROXY_NONE)
		return 0;
	head = gb__alloc(
		GB__PROXY_HEADER_MAX); /* too much for a coroutine's stack, on which this one waits */
	result = head ? gb__proxied_write(client, version, head, &size) : -ENOMEM;
	if (result < 0) {
		gb__free(head);
		return gb_error_set(error, result, "cannot connect to %s: no PROXY header can be made: %s",
			to ? to : "nowhere", gb_strerror(result));
	}
	terms->head = (struct gb_bytes){ head, size };
	return 0;
}

static void drop_head(struct gb__race_terms *terms)
{
	gb__free((void *)terms->head.data);
	terms->head = (struct gb_bytes){ NULL, 0 };
}

int gb_connect_any_proxy_begin(struct gb_worker *worker, struct gb_connecting_any *connecting,
	const char *const *addresses, size_t count, const struct gb_service *service, void *user,
	struct gb_conn *client, enum gb_proxy_version version, gb_operation_done *on_done, void *on_done_user,
	struct gb_error *error)
{
	struct gb__race_terms terms = { .service = service, .user = user, .who = GB__FOR_HANDLER };
	int result = take_head(client, version, count > 0 ? addresses[0] : NULL, &terms, error);

	if (result == 0)
		result = gb__worker_connect_any(
			worker, connecting, addresses, count, &terms, on_done, on_done_user, error);
	drop_head(&terms);
	return result;
}

static const struct gb_service plain = { GB_SERVICE_INIT, .name = "stream" };

/* Who connects by a stream: where it may wait, and the stream. Returns 0, or why not. */
static int stream_to_connect(struct gb_coro *coro, const char *function, const char *to,
	struct gb_stream **ret, struct gb_error *error)
{
	int result = gb__coro_may_wait(coro, function);

	if (result < 0)
		return gb_error_set(error, result, "cannot connect to %s: %s", to, gb_strerror(result));
	*ret = gb__stream_create(coro->streams, coro);
	if (!*ret)
		return gb_error_set(error, -ENOMEM, "cannot connect to %s: no memory", to);
	(*ret)->opened = true;
	return 0;
}

int gb_stream_connect(struct gb_coro *coro, const char *address, const struct gb_service *protocol,
	struct gb_stream **ret, struct gb_error *error)
{
	struct gb_worker *worker = coro->streams->net->worker;
	struct gb_connecting connecting;
	struct gb_stream *stream;
	struct gb_conn *conn;
	int result = stream_to_connect(coro, __func__, address ? address : "nowhere", &stream, error);

	if (result < 0)
		return result;
	result = gb__worker_connect(
		worker, address, protocol ? protocol : &plain, NULL, GB__FOR_STREAM, &conn, error);
	if (result < 0) {
		gb__stream_destroy(stream);
		return result;
	}
	gb__stream_attach(stream, conn);
	coro->opened++;
	gb__connect_begin(conn, &connecting, NULL, NULL);
	result = gb_await(coro, &connecting.operation);
	if (result < 0) {
		gb_error_set(error, result, "cannot connect to %s: %s", address,
			gb__net_noted(coro->streams->net, &connecting.operation, result));
		gb_conn_abort(conn);
		gb_stream_close(stream);
		return result;
	}
	*ret = stream;
	return 0;
}

static void stream_won(struct gb_conn *conn, void *arg)
{
	struct gb_stream *stream = arg;

	gb__stream_attach(stream, conn);
	stream->coro->opened++;
}

int gb_stream_connect_any(struct gb_coro *coro, const char *const *addresses, size_t count,
	const struct gb_service *protocol, struct gb_stream **ret, struct gb_error *error)
{
	return gb_stream_connect_proxy(coro, addresses, count, protocol, NULL, GB_PROXY_NONE, ret, error);
}

int gb_stream_connect_proxy(struct gb_coro *coro, const char *const *addresses, size_t count,
	const struct gb_service *protocol, struct gb_conn *client, enum gb_proxy_version version,
	struct gb_stream **ret, struct gb_error *error)
{
	const char *to = count > 0 && addresses[0] ? addresses[0] : "nowhere";
	struct gb__race_terms terms = {
		.service = protocol ? protocol : &plain, .who = GB__FOR_STREAM, .on_won = stream_won
	};
	struct gb_connecting_any connecting;
	struct gb_stream *stream;
	int result = stream_to_connect(coro, "gb_stream_connect_any", to, &stream, error);

	if (result < 0)
		return result;
	terms.arg = stream;
	result = take_head(client, version, to, &terms, error);
	if (result == 0)
		result = gb__worker_connect_any(
			coro->streams->net->worker, &connecting, addresses, count, &terms, NULL, NULL, error);
	drop_head(&terms);
	if (result == 0) {
		result = gb_await(coro, &connecting.operation);
		if (result < 0)
			gb_error_set(error, result, "cannot connect to %s%s: %s", to,
				count > 1 ? " and others" : "",
				gb__net_noted(coro->streams->net, &connecting.operation, result));
	}
	if (result == 0) {
		*ret = stream;
		return 0;
	}
	if (stream->conn) { /* it was established, and the wait ended all the same */
		gb_stream_abort(stream);
		gb_stream_close(stream);
	} else {
		gb__stream_destroy(stream);
	}
	return result;
}
