/*
 * A reply that is made in parts: each time that its turn in the order of replies has come and output is below the low
 * watermark, its producer fills chunks until it is not.
 *
 * The place in the order keeps what others send behind it, and a drain waiting; what breaks it off ends the connection, as
 * with a file (sending.c).
 */
#include "net/produce.h"

#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "net/packet.h"
#include "net/task.h"

#include <errno.h>
#include <string.h>

#define PAGE (16u << 10)

static void unlink_from(struct gb_conn *conn, struct gb_producer *producer)
{
	struct gb_producer **place = &conn->terms->producers;

	while (*place != producer)
		place = &(*place)->next;
	*place = producer->next;
}

/* No more of it. Told later: this may be inside a function that a handler called. */
static void end(struct gb_producer *producer, struct gb_conn *conn, int result)
{
	producer->conn = NULL;
	(void)gb__operation_complete_later(conn->net->loop, &producer->operation, result);
}

static bool is_ready(const struct gb_producer *producer)
{
	return !producer->waits && producer->conn->state < GB__CONN_ENDED &&
		gb__conn_feeds(producer->conn, producer->reply.place);
}

static int64_t ask(struct gb_producer *producer, struct gb_conn *conn, struct gb__chunk *chunk)
{
	const struct gb__limits *limits = conn->terms->limits;
	const size_t output = gb__conn_next_bytes(conn);
	const uint64_t room = gb__min(limits->output_high, limits->output_bytes_max) - output;
	const size_t size = gb__max(gb__min(room, (uint64_t)(chunk->capacity - chunk->end)), 1);
	const uint16_t inside = conn->flags & GB__CONN_DISPATCH;
	int64_t made;

	conn->flags |= GB__CONN_DISPATCH;
	made = producer->produce(producer->user, chunk->data + chunk->end, size);
	conn->flags = (uint16_t)((conn->flags & ~GB__CONN_DISPATCH) | inside);
	if (gb__conn_closing(conn) && !inside)
		gb__conn_input_drop(conn);
	gb__rule_in(
		"gb_produce", 97, made <= (int64_t)size, "it returned more bytes than there was room for");
	return made;
}

/* It is over, by itself: the last of it was made, or it breaks off. */
static void over(struct gb_producer *producer, struct gb_conn *conn, int result)
{
	unlink_from(conn, producer);
	if (result == 0)
		gb_reply_finish(producer->reply, NULL, 0);
	else
		gb_reply_fail(producer->reply, GB_CLOSE_LOCAL);
	end(producer, conn, result);
}

/* One chunk of it, behind so many bytes for the size of a packet. Returns whether there may be another. */
static inline __attribute__((always_inline)) bool produce_behind(
	struct gb_producer *producer, struct gb_conn *conn, const uint32_t header)
{
	struct gb__pool *pool = &conn->net->engine->pool;
	struct gb__chunk *chunk = gb__chunk_create(pool, PAGE);
	int64_t made = -ENOMEM;

	if (chunk) {
		if (header)
			chunk->end = header;
		made = ask(producer, conn, chunk);
	}
	if (made > 0 && producer->conn) {
		if (header)
			memcpy(chunk->data, &(uint32_t){ (uint32_t)made }, header);
		chunk->end += (uint32_t)made;
		producer->produced += (uint64_t)made;
		producer->reply.place->streams = true;
		gb__output_append_chunk(gb__conn_sink(conn), chunk);
		return gb__conn_queued(conn, 0, header + (size_t)made) == 0;
	}
	gb__chunk_destroy(pool, chunk);
	if (!producer->conn)
		return false; /* what it did ended it */
	if (made == -EAGAIN)
		producer->waits = true;
	else
		over(producer, conn, (int)made);
	return false;
}

static bool produce_some(struct gb_producer *producer, struct gb_conn *conn)
{
	return produce_behind(producer, conn, 0);
}

static __attribute__((noinline)) bool produce_packet(struct gb_producer *producer, struct gb_conn *conn)
{
	return produce_behind(producer, conn, GB__PACKET_HEADER);
}

void gb__producers_settle(struct gb_conn *conn)
{
	struct gb_producer *producer = conn->terms->producers;

	while (producer && !is_ready(producer))
		producer = producer->next; /* one is first at most */
	if (!producer)
		return;
	if (gb__unlikely(gb__conn_has_packets(conn)))
		while (produce_packet(producer, conn) && is_ready(producer))
			;
	else
		while (produce_some(producer, conn) && is_ready(producer))
			;
	gb__conn_flush(conn);
	/* The next one's turn has come, or there is room again: others have theirs first. */
	gb__conn_queue(conn);
}

void gb__producers_cut(struct gb_conn *conn)
{
	struct gb_producer **link = &conn->terms->producers, *producer;

	while ((producer = *link) != NULL) {
		if (gb_reply_open(producer->reply)) {
			link = &producer->next;
			continue;
		}
		*link = producer->next;
		end(producer, conn, -EPIPE);
	}
}

static void cancel(struct gb_operation *operation)
{
	struct gb_producer *producer = gb__container_of(operation, struct gb_producer, operation);

	if (producer->conn)
		over(producer, producer->conn, -ECANCELED);
}

static const struct gb__operation_kind producing_kind = { "produce", cancel };

static void start(struct gb_conn *conn, struct gb_producer *producer)
{
	producer->conn = conn;
	producer->next = conn->terms->producers;
	conn->terms->producers = producer;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn); /* where there is room for it, it begins when that is settled */
}

static void prepare(struct gb_producer *producer, const struct gb__net *net, gb_produce *produce,
	gb_operation_done *on_done, void *user)
{
	*producer = (struct gb_producer){ .produce = produce, .user = user };
	gb__operation_begin(&producer->operation, &producing_kind, net->worker, on_done, user);
}

struct gb_operation *gb_conn_produce_begin(struct gb_conn *conn, struct gb_producer *producer,
	gb_produce *produce, gb_operation_done *on_done, void *user)
{
	int result;

	gb__rule(49, !gb__conn_is_task(conn) && gb__loop_here(conn->net->loop),
		"an operation is begun on another thread than its worker's");
	prepare(producer, conn->net, produce, on_done, user);
	result = conn->terms->replies.loose ? -EOPNOTSUPP : gb_conn_defer(conn, &producer->reply);
	if (result == 0)
		start(conn, producer);
	else
		end(producer, conn, result);
	return &producer->operation;
}

static bool is_produced(const struct gb_conn *conn, struct gb_reply reply)
{
	for (const struct gb_producer *producer = conn->terms->producers; producer; producer = producer->next)
		if (producer->reply.place == reply.place)
			return true;
	return false;
}

int gb_reply_produce(struct gb_reply reply, struct gb_producer *producer, gb_produce *produce,
	gb_operation_done *on_done, void *user)
{
	struct gb_conn *conn;

	if (!gb_reply_open(reply))
		return -ESTALE;
	if (!gb__loop_here(reply.place->loop))
		return -EWOULDBLOCK;
	conn = reply.place->conn;
	if (!conn || conn->state >= GB__CONN_ENDED)
		return -ESTALE;
	if (conn->terms->replies.loose)
		return -EOPNOTSUPP;
	if (is_produced(conn, reply))
		return -EBUSY;
	if (!gb__terms_own(conn)) /* the task that deferred it may not be back */
		return -ENOMEM;
	prepare(producer, conn->net, produce, on_done, user);
	producer->reply = reply;
	start(conn, producer);
	return 0;
}

void gb_producer_resume(struct gb_producer *producer)
{
	struct gb_conn *conn = producer->conn;

	if (!conn || !producer->waits)
		return;
	gb__conn_mine(conn);
	producer->waits = false;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
}
