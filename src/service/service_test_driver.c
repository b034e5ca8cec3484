#include "service_test_driver.h"

#include <errno.h>
#include <stdio.h>

const struct gb_codec_ops gb_codec_line, gb_codec_length; /* never called: messages come whole */

struct gb_conn *service_conn(const struct gb_service *service, const char *key, const char *value)
{
	struct gb_conn *conn = calloc(1, sizeof(*conn));
	struct gb_error error;

	CHECK(conn != NULL);
	conn->room = SIZE_MAX;
	conn->state = calloc(1, service->conn_state_size + 1);
	conn->user = calloc(1, service->settings_size + 1);
	CHECK(conn->state && conn->user);
	if (service->settings)
		CHECK_INT(gb_settings_init(service->settings, conn->user, service->settings_size), 0);
	if (key && gb_settings_set(service->settings, conn->user, key, value, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return conn;
}

void service_conn_destroy(const struct gb_service *service, struct gb_conn *conn)
{
	if (service->settings)
		gb_settings_finish(service->settings, conn->user);
	free(conn->user);
	free(conn->state);
	free(conn->sent);
	free(conn);
}

void service_deliver(const struct gb_service *service, struct gb_conn *conn, const void *data, size_t size)
{
	/* No byte more, so that a sanitizer sees steps too far. */
	unsigned char *message = malloc(size ? size : 1);

	CHECK(message != NULL);
	memcpy(message, data, size);
	service->on_message(conn, (struct gb_bytes){ message, size });
	free(message);
}

void service_serve(const struct gb_service *service, struct gb_conn *conn)
{
	service->serve((struct gb_stream *)conn);
	gb_conn_close(conn);
}

void service_check_sent(struct gb_conn *conn, const void *data, size_t size)
{
	CHECK_INT(conn->size, size);
	CHECK(size == 0 || memcmp(conn->sent, data, size) == 0);
	conn->size = 0;
}

void *gb_conn_user(const struct gb_conn *conn)
{
	return conn->user;
}

void *gb_conn_state(struct gb_conn *conn)
{
	return conn->state;
}

int gb_conn_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (conn->closed)
		return -EPIPE;
	conn->sent = realloc(conn->sent, conn->size + size + 1);
	CHECK(conn->sent != NULL);
	memcpy(conn->sent + conn->size, data, size);
	conn->size += size;
	return 0;
}

int gb_conn_try_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (!conn->closed && conn->size > 0 && conn->size + size > conn->room)
		return -EAGAIN;
	return gb_conn_send(conn, data, size);
}

void gb_conn_close(struct gb_conn *conn)
{
	gb_conn_fail(conn, GB_CLOSE_LOCAL);
}

void gb_conn_fail(struct gb_conn *conn, int reason)
{
	if (!conn->closed)
		conn->reason = reason;
	conn->closed = true;
}

bool gb_conn_cancelled(const struct gb_conn *conn)
{
	return conn->closed;
}

/* A reply's place is its connection; what is posted or offloaded runs at once. */
int gb_conn_defer(struct gb_conn *conn, struct gb_reply *ret)
{
	*ret = (struct gb_reply){ .place = (struct gb__place *)conn };
	return conn->closed ? -EPIPE : 0;
}

bool gb_reply_open(struct gb_reply reply)
{
	return !((const struct gb_conn *)reply.place)->closed;
}

int gb_reply_finish(struct gb_reply reply, const void *data, size_t size)
{
	return gb_conn_send((struct gb_conn *)reply.place, data, size) < 0 ? -ESTALE : 0;
}

int gb_reply_fail(struct gb_reply reply, int reason)
{
	gb_conn_fail((struct gb_conn *)reply.place, reason);
	return 0;
}

int gb_worker_post(struct gb_worker *worker, void (*task)(struct gb_worker *, void *arg), void *arg)
{
	task(worker, arg);
	return 0;
}

struct gb_operation *gb_offload_begin(struct gb_worker *worker, struct gb_offload *offload,
	int (*run)(struct gb_offload *offload, void *arg), void *arg, gb_operation_done *on_done, void *user)
{
	(void)worker;
	offload->operation.result = run(offload, arg);
	on_done(&offload->operation, user);
	return NULL;
}

/* A stream is its connection; nothing comes in. */
void *gb_stream_user(const struct gb_stream *stream)
{
	return ((const struct gb_conn *)stream)->user;
}

ssize_t gb_write(struct gb_stream *stream, const void *data, size_t size)
{
	int result = gb_conn_send((struct gb_conn *)stream, data, size);

	return result < 0 ? result : (ssize_t)size;
}

void gb_stream_fail(struct gb_stream *stream, int reason)
{
	gb_conn_fail((struct gb_conn *)stream, reason);
}

ssize_t gb_read(struct gb_stream *stream, void *data, size_t size)
{
	(void)stream;
	(void)data;
	(void)size;
	return 0;
}

int gb_read_message(struct gb_stream *stream, struct gb_bytes *ret)
{
	(void)stream;
	(void)ret;
	return 0;
}

int gb_read_part(struct gb_stream *stream, struct gb_part *ret)
{
	(void)stream;
	(void)ret;
	return 0;
}

/* All of it at once. */
int gb_reply_produce(struct gb_reply reply, struct gb_producer *producer, gb_produce *produce,
	gb_operation_done *on_done, void *user)
{
	unsigned char room[1000];
	int64_t made;

	while ((made = produce(user, room, sizeof(room))) > 0)
		gb_conn_send((struct gb_conn *)reply.place, room, (size_t)made);
	on_done(&producer->operation, user);
	return 0;
}

/* Of what waits `verify` is the test: never called. */
struct gb_coro *gb_stream_coro(const struct gb_stream *stream)
{
	(void)stream;
	abort();
}

struct gb_worker *gb_coro_worker(const struct gb_coro *coro)
{
	(void)coro;
	abort();
}

uint64_t gb_worker_clock_ns(const struct gb_worker *worker)
{
	(void)worker;
	abort();
}

int gb_sleep_until(struct gb_coro *coro, uint64_t clock_ns)
{
	(void)coro;
	(void)clock_ns;
	abort();
}

int gb_offload(struct gb_coro *coro, int (*run)(struct gb_offload *offload, void *arg), void *arg)
{
	(void)coro;
	(void)run;
	(void)arg;
	abort();
}

bool gb_offload_cancelled(const struct gb_offload *offload)
{
	(void)offload;
	abort();
}

void gb_scope_begin(struct gb_coro *coro, struct gb_scope *scope)
{
	(void)coro;
	(void)scope;
	abort();
}

int gb_scope_start(struct gb_scope *scope, gb_coro_run *run, void *arg)
{
	(void)scope;
	(void)run;
	(void)arg;
	abort();
}

void gb_scope_cancel(struct gb_scope *scope)
{
	(void)scope;
	abort();
}

int gb_scope_end(struct gb_scope *scope)
{
	(void)scope;
	abort();
}

int gb_connect_begin(struct gb_worker *worker, struct gb_connecting *connecting, const char *address,
	const struct gb_service *service, void *user, gb_operation_done *on_done, void *on_done_user,
	struct gb_error *error)
{
	(void)worker;
	(void)connecting;
	(void)address;
	(void)service;
	(void)user;
	(void)on_done;
	(void)on_done_user;
	(void)error;
	abort();
}

struct gb_append *service_switch, *service_sync;

static bool is_of(const struct gb_operation *operation, const struct gb_append *append)
{
	return append && operation == &append->operation;
}

bool gb_operation_pending(const struct gb_operation *operation)
{
	return is_of(operation, service_append) || is_of(operation, service_switch) ||
		is_of(operation, service_sync);
}

int gb_operation_result(const struct gb_operation *operation)
{
	return operation->result;
}

void gb_operation_cancel(struct gb_operation *operation)
{
	(void)operation;
	abort();
}

int gb_relay(struct gb_conn *a, struct gb_conn *b)
{
	(void)a;
	(void)b;
	abort();
}

void gb_conn_abort(struct gb_conn *conn)
{
	(void)conn;
	abort();
}

void gb_conn_pause(struct gb_conn *conn)
{
	conn->paused = true;
}

int gb_conn_peer(const struct gb_conn *conn, char *text, size_t size)
{
	(void)conn;
	snprintf(text, size, "peer");
	return 0;
}

struct gb_worker *gb_conn_worker(const struct gb_conn *conn)
{
	return (struct gb_worker *)conn; /* it is handed on, never looked at */
}

unsigned gb_worker_id(const struct gb_worker *worker)
{
	(void)worker;
	abort();
}

uint64_t gb_worker_now_ms(const struct gb_worker *worker)
{
	(void)worker;
	abort();
}

size_t gb_server_workers(const struct gb_server *server)
{
	(void)server;
	abort();
}

int gb_name_check(const char *text, struct gb_error *error)
{
	(void)text;
	(void)error;
	abort();
}

void gb_conn_resume(struct gb_conn *conn)
{
	conn->paused = false;
}

void gb_conn_hold(struct gb_conn *conn)
{
	conn->holds++;
}

void gb_conn_release(struct gb_conn *conn)
{
	CHECK(conn->holds-- > 0);
}

struct gb_bytes gb_conn_rest(const struct gb_conn *conn)
{
	return conn->rest;
}

int gb_conn_set(struct gb_conn *conn, enum gb_limit_kind kind, uint64_t value)
{
	(void)conn;
	(void)kind;
	(void)value;
	abort();
}

int gb_conn_end_output(struct gb_conn *conn)
{
	gb_conn_fail(conn, GB_CLOSE_EOF);
	return 0;
}

const struct gb_frame *gb_conn_frame(const struct gb_conn *conn)
{
	(void)conn;
	abort();
}

bool gb_worker_computes(const struct gb_worker *worker)
{
	(void)worker;
	return false;
}

/* There is one worker, and one key. */
static void *worker_data;

int gb_worker_set_data(struct gb_worker *worker, const void *key, void *data)
{
	(void)worker;
	(void)key;
	worker_data = data;
	return 0;
}

void *gb_worker_data(const struct gb_worker *worker, const void *key)
{
	(void)worker;
	(void)key;
	return worker_data;
}

int gb_timer_start(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg)
{
	(void)worker;
	(void)delay_ms;
	if (service_timers_refused)
		return -ENOMEM;
	timer->on_expire = on_expire;
	timer->arg = arg;
	service_timer = timer;
	return 0;
}

void gb_timer_stop(struct gb_timer *timer)
{
	if (service_timer == timer)
		service_timer = NULL;
}

/* The test is the disk. */
struct gb_append *service_append;
struct gb_timer *service_timer;
bool service_timers_refused;

void service_append_done(int result, size_t written)
{
	struct gb_append *append = service_append;

	CHECK(append != NULL);
	service_append = NULL;
	append->written = written;
	append->operation.result = result;
	append->operation.on_done(&append->operation, append->operation.user);
}

void service_timer_expire(void)
{
	struct gb_timer *timer = service_timer;

	CHECK(timer != NULL);
	service_timer = NULL;
	timer->on_expire(timer, timer->arg);
}

int gb_appender_create(struct gb_worker *worker, int fd, unsigned flags, struct gb_appender **ret)
{
	(void)worker;
	(void)fd;
	(void)flags;
	*ret = NULL;
	return 0;
}

void gb_appender_destroy(struct gb_appender *appender)
{
	(void)appender;
}

struct gb_operation *gb_append_begin(struct gb_appender *appender, struct gb_append *append, const void *data,
	size_t size, gb_operation_done *on_done, void *user)
{
	(void)appender;
	CHECK(!service_append);
	append->data = data;
	append->size = size;
	append->operation.on_done = on_done;
	append->operation.user = user;
	service_append = append;
	return &append->operation;
}

struct gb_operation *gb_append_sync_begin(
	struct gb_appender *appender, struct gb_append *append, gb_operation_done *on_done, void *user)
{
	(void)appender;
	CHECK(!service_sync);
	append->operation.on_done = on_done;
	append->operation.user = user;
	service_sync = append;
	return &append->operation;
}

void service_sync_done(void)
{
	struct gb_append *append = service_sync;

	CHECK(append != NULL);
	service_sync = NULL;
	append->operation.result = 0;
	append->operation.on_done(&append->operation, append->operation.user);
}

/* Its turn is over when the test says so. */
struct gb_operation *gb_append_switch_begin(struct gb_appender *appender, struct gb_append *append, int fd,
	gb_operation_done *on_done, void *user)
{
	(void)appender;
	(void)fd;
	append->operation.on_done = on_done;
	append->operation.user = user;
	service_switch = append;
	return &append->operation;
}

void service_switch_done(void)
{
	struct gb_append *append = service_switch;

	CHECK(append != NULL);
	service_switch = NULL;
	append->operation.on_done(&append->operation, append->operation.user);
}

struct gb_signal_watch *service_hangup;

int gb_signal_watch_start(struct gb_worker *worker, struct gb_signal_watch *watch, int number,
	gb_signal_told *on_signal, void *user, struct gb_error *error)
{
	(void)worker;
	(void)number;
	(void)error;
	watch->on_signal = on_signal;
	watch->user = user;
	service_hangup = watch;
	return 0;
}

void gb_signal_watch_stop(struct gb_signal_watch *watch)
{
	if (service_hangup == watch)
		service_hangup = NULL;
}

int gb_conn_tls(struct gb_conn *conn, struct gb_tls_info *ret)
{
	(void)conn;
	(void)ret;
	return -ENOENT;
}

int gb_conn_send_proxy(struct gb_conn *conn, struct gb_conn *client, enum gb_proxy_version version)
{
	(void)conn;
	(void)client;
	(void)version;
	abort();
}

int gb_tls_client_create(
	const struct gb_tls_client_options *options, struct gb_tls_client **ret, struct gb_error *error)
{
	(void)options;
	(void)ret;
	(void)error;
	abort();
}

void gb_tls_client_destroy(struct gb_tls_client *client)
{
	(void)client;
}
