/*
 * Happy path: the ends are made, the program started, its pidfd watched and the streams joined to the net, all in one call; when
 * the pidfd is readable the process is reaped, and the operation complete.
 *
 * What ends it early only signals: SIGTERM, and at the timer SIGKILL. Complete it is when the process has ended, so that no
 * zombie is left by whoever does not ask.
 */
#include "model/child.h"

#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "model/worker.h"
#include "net/outgoing.h"
#include "os/limit.h"
#include "os/socket.h"
#include "os/spawn.h"
#include "stream/stream.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define HERE(worker, function) \
	gb__rule_in(function, 92, gb__loop_here(&(worker)->loop), \
		"a child is used on another thread than its worker's")

#define GRACE_MS 2000u
#define END_MS 500u /* of a worker that ends; its supervisor has less than GRACE_MS of patience */
#define ENDS 3

/* One of its three, while it is being started. */
struct end {
	const struct gb_child_end_options *how;
	struct gb_child_end *ret;
	int theirs;                /* what it becomes there: a descriptor, or GB__SPAWN_… */
	int stream;                /* our end of a pair of sockets, or -1 */
	bool made;                 /* `theirs` is ours to close */
	struct gb_stream **reader; /* of who starts it by gb_child_start; NULL there once it is joined */
};

static struct gb_child *child_of(struct gb__list *node)
{
	return gb__container_of((void **)node, struct gb_child, link[0]);
}

static_assert(sizeof(((struct gb_child *)NULL)->link) == sizeof(struct gb__list),
	"a child is in its worker's list");

static struct gb__list *node_of(struct gb_child *child)
{
	return (struct gb__list *)child->link;
}

static int send_signal(struct gb_child *child, int signal)
{
	return child->group ? gb__spawned_signal_group(child->pid, signal)
			    : gb__spawned_signal(child->pidfd, signal);
}

static void kill_it(struct gb_child *child)
{
	child->killed = true;
	(void)send_signal(child, SIGKILL);
}

static void grace_over(struct gb_timer *timer, void *arg)
{
	(void)arg;
	kill_it(gb__container_of(timer, struct gb_child, timer));
}

/* Tell it to end, within `grace_ms`; `why` becomes the result, 0: whatever comes of it. */
static void end(struct gb_child *child, int why, uint64_t grace_ms)
{
	if (!child->why)
		child->why = why;
	if (child->killed)
		return;
	(void)send_signal(child, SIGTERM);
	if (gb_timer_start(child->operation.worker, &child->timer, grace_ms, grace_over, NULL) < 0)
		kill_it(child);
}

static void deadline_over(struct gb_timer *timer, void *arg)
{
	struct gb_child *child = gb__container_of(timer, struct gb_child, timer);

	(void)arg;
	end(child, -ETIMEDOUT, child->grace_ms);
}

static void child_cancel(struct gb_operation *operation)
{
	struct gb_child *child = gb__container_of(operation, struct gb_child, operation);

	if (!child->watch || child->why)
		return; /* it could not be started, or ends already */
	end(child, -ECANCELED, child->grace_ms);
}

static const struct gb__operation_kind child_kind = { "child", child_cancel };

static int result_of(struct gb_child *child, int reaped, const struct gb__spawned_end *how)
{
	if (reaped < 0)
		return gb_error_set(&child->error, reaped,
			"child %d has ended, and somebody else has waited for it: the program ignores SIGCHLD, or waits for any child",
			(int)child->pid);
	child->exit_code = how->exit_code;
	child->signal = how->signal;
	if (child->why == -ETIMEDOUT)
		return gb_error_set(
			&child->error, child->why, "child %d was ended: its time was over", (int)child->pid);
	if (child->why < 0)
		return gb_error_set(&child->error, child->why, "child %d was ended", (int)child->pid);
	return how->signal ? GB_CHILD_SIGNALLED + how->signal : how->exit_code;
}

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	struct gb_child *child = user;
	struct gb__spawned_end how = { 0 };
	int reaped;

	(void)ready;
	/* While its number is its own still. */
	if (child->group)
		(void)gb__spawned_signal_group(child->pid, SIGKILL);
	reaped = gb__spawned_reap(child->pidfd, &how);
	if (reaped == 0)
		return;
	gb__watch_remove(watch);
	child->watch = NULL;
	gb__socket_close(child->pidfd);
	gb_timer_stop(&child->timer);
	gb__list_remove(node_of(child));
	gb__operation_complete(&child->operation, result_of(child, reaped, &how));
}

static int end_make(struct end *this, const struct end *before, int number)
{
	int fds[2], result = 0;
	const int ours = number == 0;

	this->stream = this->ret->fd = -1;
	this->theirs = GB__SPAWN_NULL;
	switch (this->how->kind) {
	case GB_CHILD_NULL:
		break;
	case GB_CHILD_INHERIT:
		this->theirs = GB__SPAWN_KEEP;
		break;
	case GB_CHILD_DESCRIPTOR:
		this->theirs = this->how->fd;
		break;
	case GB_CHILD_SAME:
		this->theirs = before->theirs == GB__SPAWN_KEEP ? number - 1 : before->theirs;
		break;
	case GB_CHILD_PIPE:
		result = gb__pipe_pair(fds, ours);
		if (result < 0)
			return result;
		this->ret->fd = fds[ours];
		this->theirs = fds[!ours];
		this->made = true;
		break;
	case GB_CHILD_STREAM:
		result = gb__stream_pair(fds);
		if (result < 0)
			return result;
		this->stream = fds[0];
		this->theirs = fds[1];
		this->made = true;
		break;
	}
	return 0;
}

/* Nothing of it is needed, or nothing came of it. */
static void ends_close(struct end ends[ENDS], bool theirs_alone)
{
	for (int i = 0; i < ENDS; i++) {
		if (ends[i].made)
			gb__socket_close(ends[i].theirs);
		ends[i].made = false;
		if (theirs_alone)
			continue;
		if (ends[i].stream >= 0)
			gb__socket_close(ends[i].stream);
		if (ends[i].ret->fd >= 0)
			gb__socket_close(ends[i].ret->fd);
		ends[i].stream = ends[i].ret->fd = -1;
	}
}

static int check_end(struct gb_worker *worker, const struct end *this, int number, struct gb_error *error)
{
	static const char *const names[] = { "input", "output", "error" };
	const struct gb_child_end_options *how = this->how;
	int result;

	if ((unsigned)how->kind > GB_CHILD_SAME || (how->kind == GB_CHILD_SAME && number == 0))
		return gb_error_set(error, -EINVAL, "its standard %s is none of GB_CHILD_…%s", names[number],
			how->kind == GB_CHILD_SAME ? ": nothing is before it" : "");
	if (how->kind == GB_CHILD_SAME && number == 1 && this[-1].how->kind == GB_CHILD_PIPE)
		return gb_error_set(error, -EINVAL,
			"a pipe has one direction: its standard input and output need a stream");
	if (how->kind == GB_CHILD_DESCRIPTOR && how->fd < 0)
		return gb_error_set(error, -EBADF, "its standard %s is no descriptor", names[number]);
	if (how->kind != GB_CHILD_STREAM || (this->reader && !how->service))
		return 0;
	result = gb__service_check(how->service, !this->reader, error);
	if (result == 0)
		result = gb__service_check_type(how->service, false, names[number], error);
	return result < 0 ? result : gb__limits_check(&worker->server->limits, how->service, error);
}

static int check(struct gb_worker *worker, const struct gb_child_options *options,
	const struct end ends[ENDS], struct gb_error *error)
{
	int result = 0;

	if (!options || !options->arguments || !options->arguments[0])
		return gb_error_set(error, -EINVAL, "arguments[0], the program's name, is missing");
	if (gb__worker_ends(worker))
		return gb_error_set(error, -ESHUTDOWN, "the worker ends");
	for (int i = 0; i < ENDS && result == 0; i++)
		result = check_end(worker, &ends[i], i, error);
	return result;
}

static const struct gb_service plain = { GB_SERVICE_INIT, .name = "child" };

static int join(struct gb_worker *worker, struct end *this)
{
	const struct gb_service *service = this->how->service ? this->how->service : &plain;
	struct gb_conn *conn;
	int result;

	if (this->stream < 0)
		return 0;
	result = gb__net_join(&worker->net, this->stream, service, this->how->user,
		this->reader ? GB__FOR_STREAM : GB__FOR_HANDLER, &conn);
	this->stream = -1;
	if (result < 0)
		return result;
	this->ret->conn = conn;
	if (this->reader) {
		gb__stream_attach(*this->reader, conn);
		(*this->reader)->coro->opened++;
		this->ret->stream = *this->reader;
		*this->reader = NULL;
	}
	if (!service->limits) {
		(void)gb_conn_set(conn, GB_LIMIT_IDLE_TIMEOUT, 0);
		(void)gb_conn_set(conn, GB_LIMIT_WRITE_TIMEOUT, 0);
	}
	return 0;
}

/* Our ends become connections, and it is watched. On an error some of them are, and end. */
static int adopt(struct gb_worker *worker, struct gb_child *child, struct end ends[ENDS])
{
	int result =
		gb__watch_add(&worker->watches, child->pidfd, GB_READY_IN, on_ready, child, &child->watch);

	for (int i = 0; i < ENDS && result == 0; i++)
		result = join(worker, &ends[i]);
	return result;
}

static void disown(struct gb_child *child, const struct end ends[ENDS])
{
	gb_timer_stop(&child->timer);
	kill_it(child);
	gb__spawned_await(child->pidfd);
	if (child->watch)
		gb__watch_remove(child->watch);
	child->watch = NULL;
	gb__socket_close(child->pidfd);
	child->pid = 0;
	for (int i = 0; i < ENDS; i++) {
		if (ends[i].ret->conn)
			gb_conn_abort(ends[i].ret->conn);
		gb_stream_close(ends[i].ret->stream);
		ends[i].ret->conn = NULL;
		ends[i].ret->stream = NULL;
	}
}

static int spawn(struct gb_worker *worker, struct gb_child *child, const struct gb_child_options *options,
	struct end ends[ENDS])
{
	const struct gb__spawn how = {
		.program = options->program ? options->program : options->arguments[0],
		.arguments = options->arguments,
		.environment = options->environment,
		.directory = options->directory,
		.fds = { ends[0].theirs, ends[1].theirs, ends[2].theirs },
		.group = options->group,
	};
	char hint[128];
	int result = 0;

	/* Before there is a child to kill for the lack of memory. */
	if (options->deadline_ms)
		result = gb_timer_start(worker, &child->timer, options->deadline_ms, deadline_over, NULL);
	if (result == 0)
		result = gb__spawn(&how, &child->pid, &child->pidfd);
	ends_close(ends, true);
	if (result < 0)
		gb_timer_stop(&child->timer);
	if (result < 0)
		return gb_error_set(&child->error, result, "cannot start %s%s%s: %s%s", how.program,
			how.directory ? " in " : "", how.directory ? how.directory : "", gb_strerror(result),
			gb__limit_hint(result, hint, sizeof(hint)));
	result = adopt(worker, child, ends);
	if (result < 0) {
		disown(child, ends);
		return gb_error_set(&child->error, result, "cannot watch %s with %s: %s", how.program,
			worker->loop.engine->name, gb_strerror(result));
	}
	return 0;
}

static int make_and_spawn(struct gb_worker *worker, struct gb_child *child,
	const struct gb_child_options *options, struct end ends[ENDS])
{
	char hint[128];
	int result = 0;

	for (int i = 0; i < ENDS && result == 0; i++)
		result = end_make(&ends[i], &ends[i] - 1, i);
	if (result < 0)
		gb_error_set(&child->error, result, "cannot start %s: no pipe to it: %s%s",
			options->arguments[0], gb_strerror(result),
			gb__limit_hint(result, hint, sizeof(hint)));
	else
		result = spawn(worker, child, options, ends);
	if (result < 0)
		ends_close(ends, false);
	return result;
}

static const struct gb_child unborn = {
	.in.fd = -1, .out.fd = -1, .err.fd = -1, .pidfd = -1, .exit_code = -1
};

static struct gb_operation *begin(struct gb_worker *worker, struct gb_child *child,
	const struct gb_child_options *options, struct gb_stream *readers[ENDS], gb_operation_done *on_done,
	void *user)
{
	static const struct gb_child_options none;
	const struct gb_child_options *how = options ? options : &none;
	struct end ends[ENDS] = { { .how = &how->in, .ret = &child->in, .stream = -1 },
		{ .how = &how->out, .ret = &child->out, .stream = -1 },
		{ .how = &how->err, .ret = &child->err, .stream = -1 } };
	struct gb_error error = { 0 };
	int result;

	*child = unborn;
	gb__operation_begin(&child->operation, &child_kind, worker, on_done, user);
	child->grace_ms = how->grace_ms ? how->grace_ms : GRACE_MS;
	child->group = how->group;
	child->ends_with_drain = how->ends_with_drain;
	for (int i = 0; i < ENDS && readers; i++)
		ends[i].reader = &readers[i];
	result = check(worker, options, ends, &error);
	if (result < 0)
		gb_error_set(&child->error, result, "cannot start a child: %s", error.text);
	else
		result = make_and_spawn(worker, child, options, ends);
	if (result < 0)
		(void)gb__operation_complete_later(&worker->loop, &child->operation, result);
	else
		gb__list_append(&worker->children.list, node_of(child));
	if (result >= 0 && child->ends_with_drain && worker->net.draining)
		end(child, 0, child->grace_ms);
	return &child->operation;
}

struct gb_operation *gb_child_begin(struct gb_worker *worker, struct gb_child *child,
	const struct gb_child_options *options, gb_operation_done *on_done, void *user)
{
	HERE(worker, __func__);
	return begin(worker, child, options, NULL, on_done, user);
}

int gb_child_signal(struct gb_child *child, int signal)
{
	if (!child->watch)
		return -ESRCH;
	HERE(child->operation.worker, __func__);
	return send_signal(child, signal);
}

static struct gb_child_end *end_of(struct gb_child *child, int number)
{
	return number == 0 ? &child->in : number == 1 ? &child->out : &child->err;
}

static void streams_destroy(struct gb_stream *streams[ENDS])
{
	for (int i = 0; i < ENDS; i++)
		if (streams[i])
			gb__stream_destroy(streams[i]);
}

static void streams_close(struct gb_child *child)
{
	for (int i = 0; i < ENDS; i++) {
		struct gb_child_end *this = end_of(child, i);

		gb_stream_close(this->stream);
		this->stream = NULL;
		this->conn = NULL;
	}
}

/* They become the coroutine's, and are open when this returns 0. */
static int streams_open(struct gb_coro *coro, struct gb_child *child)
{
	struct gb_connecting connecting[ENDS] = { 0 };
	int result = 0;

	for (int i = 0; i < ENDS; i++) {
		struct gb_child_end *this = end_of(child, i);

		if (!this->conn)
			continue;
		gb__connect_begin(this->conn, &connecting[i], NULL, NULL);
	}
	/* All of them, whatever comes of the first: they lie here. */
	for (int i = 0; i < ENDS; i++)
		if (end_of(child, i)->conn) {
			const int opened = gb_await(coro, &connecting[i].operation);

			if (result == 0)
				result = opened;
		}
	return result;
}

static bool wants_stream(const struct gb_child_options *options, int number)
{
	const struct gb_child_end_options *how = number == 0 ? &options->in
		: number == 1                                ? &options->out
							     : &options->err;

	return how->kind == GB_CHILD_STREAM;
}

int gb_child_start(struct gb_coro *coro, struct gb_child *child, const struct gb_child_options *options,
	struct gb_error *error)
{
	struct gb_stream *streams[ENDS] = { NULL };
	int result = gb__coro_may_wait(coro, __func__);

	for (int i = 0; i < ENDS && result == 0 && options; i++) {
		if (!wants_stream(options, i))
			continue;
		streams[i] = gb__stream_create(coro->streams, coro);
		if (!streams[i])
			result = -ENOMEM;
		else
			streams[i]->opened = true;
	}
	if (result < 0) {
		streams_destroy(streams);
		*child = unborn;
		return gb_error_set(error, result, "cannot start a child: %s", gb_strerror(result));
	}
	begin(gb_coro_worker(coro), child, options, streams, NULL, NULL);
	if (!child->watch) {
		streams_destroy(streams);
		(void)gb_await(coro, &child->operation);
		return gb_error_set(error, child->error.code, "%s", child->error.text);
	}
	result = streams_open(coro, child);
	if (result == 0)
		return 0;
	gb_operation_cancel(&child->operation);
	(void)gb_child_wait(coro, child);
	return gb_error_set(error, result, "cannot start %s: %s", options->arguments[0], gb_strerror(result));
}

int gb_child_wait(struct gb_coro *coro, struct gb_child *child)
{
	streams_close(child);
	return gb_await(coro, &child->operation);
}

void gb__children_init(struct gb__children *children)
{
	gb__list_init(&children->list);
}

bool gb__children_none(const struct gb__children *children)
{
	return gb__list_empty(&children->list);
}

bool gb__children_have(const struct gb__children *children, pid_t pid)
{
	for (struct gb__list *node = children->list.next; node != &children->list; node = node->next)
		if (child_of(node)->pid == pid)
			return true;
	return false;
}

void gb__children_drain(struct gb__children *children)
{
	for (struct gb__list *node = children->list.next; node != &children->list; node = node->next) {
		struct gb_child *child = child_of(node);

		if (child->ends_with_drain && !child->why)
			end(child, 0, child->grace_ms);
	}
}

void gb__children_end(struct gb__children *children)
{
	for (struct gb__list *node = children->list.next; node != &children->list; node = node->next) {
		struct gb_child *child = child_of(node);

		end(child, -ECANCELED, gb__min(child->grace_ms, (uint64_t)END_MS));
	}
}
