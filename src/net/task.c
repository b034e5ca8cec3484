#include "net/task.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "net/parts.h"

#include <errno.h>

static void tasks_back(struct gb__post *post, bool alive);

static struct gb__parked *parked_at(const struct gb__net *net, size_t i)
{
	return &net->parked[(net->parked_first + i) % net->parked_size];
}

/* The connection, if it is still there and waits. */
static struct gb_conn *parked_find(const struct gb__net *net, struct gb__parked parked)
{
	struct gb_conn *conn = (struct gb_conn *)gb__engine_find(net->engine, parked.slot, parked.generation);

	return conn && (conn->flags & GB__CONN_PARKED) ? conn : NULL;
}

static void submit(struct gb__net *net, struct gb__job *job)
{
	net->tasks++;
	net->submit(net->submit_arg, job);
}

/* Whether the next room is for a task that waits, rather than for a connection that does: in turn, where both do. */
static bool waiting_next(struct gb__net *net)
{
	net->waiting_first = net->waiting.count > 0 && (net->parked_count == 0 || !net->waiting_first);
	return net->waiting_first;
}

/*
 * Let those in who have waited longest. They go at once: if they only became free to, one that is busy with
 * a long backlog would be there before them. Whoever has no use for the place leaves it to the next.
 */
static void unpark(struct gb__net *net)
{
	while (net->parked_count + net->waiting.count > 0 && net->tasks < net->tasks_max) {
		struct gb_conn *conn;

		if (waiting_next(net)) {
			submit(net, gb__jobs_take(&net->waiting));
			continue;
		}
		conn = parked_find(net, *parked_at(net, 0));
		net->parked_first = (net->parked_first + 1) % net->parked_size;
		net->parked_count--;
		if (!conn)
			continue;
		conn->flags &= (uint16_t)~GB__CONN_PARKED;
		gb__conn_go_on(conn);
	}
}

static int parked_grow(struct gb__net *net)
{
	size_t size = net->parked_size ? net->parked_size * 2 : 64, waiting = 0;
	struct gb__parked *parked;

	/* Those who are gone make room first: clients that come and go must not cost memory. */
	for (size_t i = 0; i < net->parked_count; i++)
		if (parked_find(net, *parked_at(net, i)))
			*parked_at(net, waiting++) = *parked_at(net, i);
	net->parked_count = waiting;
	if (waiting < net->parked_size / 2)
		return 0;
	parked = gb__alloc(size * sizeof(*parked));
	if (!parked)
		return -ENOMEM;
	for (size_t i = 0; i < waiting; i++)
		parked[i] = *parked_at(net, i);
	gb__free(net->parked);
	net->parked = parked;
	net->parked_first = 0;
	net->parked_size = size;
	return 0;
}

void gb__task_park(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;

	if (net->parked_count == net->parked_size && parked_grow(net) < 0) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return;
	}
	*parked_at(net, net->parked_count++) =
		(struct gb__parked){ conn->stream.endpoint.slot, conn->stream.endpoint.generation };
	conn->flags |= GB__CONN_PARKED;
}

static struct gb__task *task_create(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__net *net = conn->net;
	struct gb__task *task;
	uintptr_t within;

	if (conn->terms->replies.loose && !gb__terms_own(conn))
		return NULL;
	task = gb__slabs_take(&net->slabs, sizeof(*task));
	if (!task)
		return NULL;
	task->message = gb__chunk_create(&net->engine->pool, message.size);
	if (!task->message) {
		gb__slabs_give(&net->slabs, task, sizeof(*task));
		return NULL;
	}
	gb__chunk_fill(task->message, message.data, message.size);
	/* What the pool's thread sends goes in here: as much as it got, or as it sent last. */
	if (!net->apart)
		gb__pool_lend(&net->engine->pool, gb__max(message.size, net->task_sent), &task->chunks);
	task->facade = (struct gb_conn){
		.stream.endpoint = { .fd = conn->stream.endpoint.fd,
			.kind = conn->stream.endpoint.kind,
			.slot = conn->stream.endpoint.slot,
			.generation = conn->stream.endpoint.generation },
		.net = net,
		.terms = conn->terms,
		.flags = GB__CONN_CLOSING, /* so that one test tells it from an open one */
		.state = GB__CONN_TASK,
	};
	task->conn = conn;
	task->job.run = gb__task_run;
	task->job.level = gb__level_of(GB_PRIORITY_NORMAL);
	task->on_message = conn->terms->on_message;
	task->frame = net->message.frame;
	if (gb__unlikely(conn->terms->parts))
		task->part = net->message.part;
	/* What the codec parsed of the message lies where the task has it. */
	within = (uintptr_t)task->frame.parsed - (uintptr_t)message.data;
	if (within <= message.size)
		task->frame.parsed = task->message->data + task->message->begin + within;
	task->deferred_end = &task->deferred;
	task->failed = -1;
	task->replies.loose = conn->terms->replies.loose;
	task->replies_max = conn->terms->limits->replies_max -
		gb__min(conn->terms->replies.open, conn->terms->limits->replies_max - 1);
	task->number = net->tally.messages;
	task->done.run = tasks_back;
	task->sampled = net->tracing.pools;
	task->ended_ns = 0;
	net->tracing.pools = false;
	return task;
}

/* NULL: there is no memory, and it has ended. */
static struct gb__task *task_begin(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__net *net = conn->net;
	struct gb__task *task = task_create(conn, message);

	if (!task) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return NULL;
	}
	conn->terms->tasks += conn->terms->replies.loose;
	conn->terms->part_away =
		conn->terms->parts && conn->terms->replies.loose && !(task->part.first && task->part.last);
	conn->flags |= GB__CONN_TASKED;
	task->under_way = net->under_way;
	net->under_way = task;
	return task;
}

void gb__task_submit(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__task *task = task_begin(conn, message);

	if (task)
		submit(conn->net, &task->job);
}

/* Which route it is was known only when the message was: it is not asked for room before, as others are, for what needs none. */
void gb__task_submit_routed(struct gb_conn *conn, struct gb_bytes message, const struct gb_route *route)
{
	struct gb__net *net = conn->net;
	struct gb__task *task = task_begin(conn, message);

	if (!task)
		return;
	if (!conn->terms->parts)
		task->on_message = route->on_message;
	task->route = route;
	task->job.level = gb__level_of(route->priority);
	if (net->tasks < net->tasks_max)
		submit(net, &task->job);
	else
		gb__jobs_put(&net->waiting, &task->job);
}

void gb__task_run(struct gb__job *job)
{
	struct gb__task *task = gb__container_of(job, struct gb__task, job);
	struct gb__loop *loop = task->facade.net->loop;
	struct gb__chunk *message = task->message;

	if (!atomic_load_explicit(&task->cancelled, memory_order_relaxed)) {
		const struct gb_bytes bytes = { message->data + message->begin,
			message->end - message->begin };

		if (gb__unlikely(task->sampled))
			gb__ledger_run(task, bytes);
		else
			task->on_message(&task->facade, bytes);
	}
	task->facade.state = GB__CONN_STALE;
	/* The loop does not end while a connection of its has a task: this cannot be refused. */
	gb__assert(gb__loop_post(loop, &task->done) == 0);
}

static void cancel(const struct gb__net *net, struct gb__task *task)
{
	atomic_store_explicit(&task->cancelled, true, memory_order_relaxed);
	if (net->apart)
		net->apart(net->submit_arg, task);
}

void gb__task_cancel(struct gb_conn *conn)
{
	const struct gb__net *net = conn->net;

	for (struct gb__task *task = net->under_way; task; task = task->under_way)
		if (task->conn == conn)
			cancel(net, task);
}

void gb__task_forget_pause(struct gb_conn *conn)
{
	for (struct gb__task *task = conn->net->under_way; task; task = task->under_way)
		if (task->conn == conn)
			atomic_store(&task->paused, 0);
}

bool gb__task_defer(struct gb_conn *conn, struct gb__post *post)
{
	struct gb__task *task = conn->net->under_way;

	/* Where several may be in there, one always may: the post does not wait. */
	if (!(conn->flags & GB__CONN_TASKED) || conn->terms->replies.loose)
		return false;
	while (task->conn != conn)
		task = task->under_way;
	post->next = NULL;
	*task->deferred_end = post;
	task->deferred_end = &post->next;
	return true;
}

/* What was asked behind a message that ends the connection is not answered. */
static void cancel_later(struct gb_conn *conn, const struct gb__task *task)
{
	for (struct gb__task *other = conn->net->under_way; other; other = other->under_way)
		if (other->conn == conn && other->number > task->number)
			cancel(conn->net, other);
}

/* Of a process of the pool, whose handler may have written anywhere: what it cannot have done, the crash it will be. */
static void doubt(struct gb__task *task, const struct gb_conn *conn)
{
	const int64_t holds = (int64_t)conn->holds + task->holds;

	if (holds >= 0 && holds < UINT16_MAX)
		return;
	gb__output_clear(&task->facade.stream.output, &conn->net->engine->pool);
	task->facade.flags |= GB__CONN_RESET;
	task->failed = GB_CLOSE_CRASHED;
	task->holds = 0;
}

/* Do to the connection what the handler did to the facade. */
static void carry_out(struct gb__task *task, struct gb_conn *conn)
{
	struct gb_conn *facade = &task->facade;

	if (gb__conn_closing(conn) &&
		(conn->state != GB__CONN_DRAINING || !conn->terms->replies.loose ||
			atomic_load_explicit(&task->cancelled, memory_order_relaxed))) {
		gb__output_clear(&facade->stream.output, &conn->net->engine->pool);
		gb__replies_drop(conn, &task->replies);
		return;
	}
	if (conn->net->apart)
		doubt(task, conn);
	gb__conn_hold(conn, task->holds);
	if (gb__output_empty(&facade->stream.output) && !task->replies.first)
		conn->further |= GB__CONN_FURTHER_ELSEWHERE;
	conn->net->task_sent = facade->stream.output.bytes;
	gb__conn_take_output(conn, &facade->stream.output);
	gb__replies_place(conn, &task->replies);
	conn->flags |= facade->flags & (GB__CONN_REFUSED_TRY | GB__CONN_RESET | GB__CONN_OUTPUT_END);
	if (task->paused)
		conn->flags = (uint16_t)(task->paused > 0 ? conn->flags | GB__CONN_PAUSED
							  : conn->flags & ~GB__CONN_PAUSED);
	if (gb__task_ended(task))
		cancel_later(conn, task);
	if (task->aborted)
		gb__conn_end(conn, GB_CLOSE_LOCAL, 0);
	else if (task->failed >= 0 && (facade->flags & GB__CONN_RESET))
		gb__conn_end(conn, task->failed, 0);
	else if (task->failed >= 0)
		gb__conn_close(conn, task->failed);
}

static void tasks_back(struct gb__post *post, bool alive)
{
	struct gb__task *task = gb__container_of(post, struct gb__task, done);
	struct gb_conn *conn = task->conn;
	struct gb__net *net = conn->net;
	struct gb__task **link = &net->under_way;

	gb__assert(alive);
	while (*link != task)
		link = &(*link)->under_way;
	*link = task->under_way;
	net->tasks--;

	gb__pool_return(&net->engine->pool, &task->chunks);
	gb__chunk_destroy(&net->engine->pool, task->message);
	conn->active_ms = gb__net_now(net);
	gb__conn_deadline_within(conn, conn->terms->limits->idle_timeout_ms);
	if (gb__unlikely(conn->terms->parts))
		gb__parts_task_back(conn, task);
	if (!conn->terms->replies.loose) {
		conn->flags &= (uint16_t)~GB__CONN_TASKED;
		gb__conn_read_anew(conn);
	} else if (--conn->terms->tasks == 0) {
		conn->flags &= (uint16_t)~GB__CONN_TASKED;
	}
	carry_out(task, conn);
	if (gb__unlikely(task->sampled))
		gb__ledger_back(conn, task);
	while (task->deferred) {
		struct gb__post *next = task->deferred;

		task->deferred = next->next;
		next->run(next, true);
	}
	gb__slabs_give(&net->slabs, task, sizeof(*task));
	if (gb__unlikely(conn->terms->refused) && conn->terms->tasks == 0 && !gb__conn_closing(conn))
		gb__conn_refuse_input(conn, conn->terms->refused, conn->terms->problem);
	gb__conn_queue(conn);
	unpark(net);
}
