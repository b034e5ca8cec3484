/*
 * A file, sent as a reply: a page is read, queued, and the next one read when output is below the low watermark.
 *
 * The place in the order of replies keeps what others send behind the file, and a drain waiting. While others are before it
 * nothing is read. (Bytes of replies behind it count as output too, and leave only after it, so that it looks
 * at what is really on its way.) What cuts it ends the connection, by a reset when a part has left: the peer must not take a
 * part for the whole.
 */
#include "net/sending.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "file/file.h"
#include "net/packet.h"
#include "net/task.h"

#include <errno.h>

#define PAGE (64u << 10)

static void unlink_from(struct gb_conn *conn, struct gb_file_sending *sending)
{
	struct gb_file_sending **place = &conn->terms->sendings;

	while (*place != sending)
		place = &(*place)->next;
	*place = sending->next;
}

/* No more of it: the reply is finished, failed or gone. `later`: not inside the loop. */
static void end(struct gb_file_sending *sending, int result, bool later)
{
	struct gb__files *files = sending->files;

	if (sending->conn)
		unlink_from(sending->conn, sending);
	sending->conn = NULL;
	gb__free(sending->page);
	sending->page = NULL;
	files->under_way--;
	if (later)
		(void)gb__operation_complete_later(files->loop, &sending->operation, result);
	else
		gb__operation_complete(&sending->operation, result);
}

/* It stops here, and with it the connection. */
static void fail(struct gb_file_sending *sending, int result, bool later)
{
	struct gb_reply reply = sending->reply;

	if (sending->conn)
		unlink_from(sending->conn, sending);
	sending->conn = NULL; /* what follows from that is not told to it */
	gb_reply_fail(reply, result == -ECANCELED ? GB_CLOSE_LOCAL : GB_CLOSE_KERNEL_ERROR);
	end(sending, result, later);
}

static void on_read(struct gb_operation *operation, void *user);

static void read_on(struct gb_file_sending *sending)
{
	const struct gb_conn *conn = sending->conn;
	const uint64_t room = conn->terms->limits->output_bytes_max - gb__conn_next_bytes(conn);

	if (!sending->page)
		sending->page = gb__alloc(PAGE);
	if (!sending->page) {
		fail(sending, -ENOMEM, true);
		return;
	}
	sending->reading = true;
	gb__file_read(sending->files, &sending->step, sending->fd, sending->page,
		gb__min(gb__min(sending->left, PAGE), room), sending->offset, on_read, sending);
}

static bool has_room(const struct gb_file_sending *sending)
{
	return gb__conn_feeds(sending->conn, sending->reply.place);
}

/* A page has come. Returns what ends it, 0 when it is complete, or 1. */
static int pass_on(struct gb_file_sending *sending, int size)
{
	int result;

	if (size == 0)
		return sending->left == UINT64_MAX ? gb_reply_finish(sending->reply, NULL, 0) : -ENODATA;
	sending->offset += size;
	sending->sent += (unsigned)size;
	if (sending->left != UINT64_MAX)
		sending->left -= (unsigned)size;
	if (sending->left == 0)
		return gb_reply_finish(sending->reply, sending->page, (size_t)size);
	result = gb_reply_send(sending->reply, sending->page, (size_t)size);
	return result < 0 ? result : 1;
}

static void on_read(struct gb_operation *operation, void *user)
{
	struct gb_file_sending *sending = user;
	int result = sending->cancelled ? -ECANCELED : operation->result;

	if (!sending->conn) {
		end(sending, -EPIPE, false);
		return;
	}
	if (result >= 0)
		result = pass_on(sending, result);
	if (result == -ESTALE)
		result = -EPIPE; /* it has ended, and its turn to say so comes */
	if (result == 0 || !sending->conn)
		end(sending, result == 0 ? 0 : -EPIPE, false);
	else if (result < 0)
		fail(sending, result, false);
	else if (has_room(sending))
		read_on(sending);
	else
		sending->reading = false; /* its connection says when there is room */
}

void gb__sendings_settle(struct gb_conn *conn)
{
	struct gb_file_sending *sending = conn->terms->sendings;

	while (sending && !has_room(sending))
		sending = sending->next; /* one is first at most */
	if (sending && !sending->reading)
		read_on(sending);
}

void gb__sendings_cut(struct gb_conn *conn)
{
	struct gb_file_sending *sending;

	while ((sending = conn->terms->sendings) != NULL) {
		conn->terms->sendings = sending->next;
		sending->conn = NULL;
		if (!sending->reading)
			end(sending, -EPIPE, true);
	}
}

static void cancel(struct gb_operation *operation)
{
	struct gb_file_sending *sending = gb__container_of(operation, struct gb_file_sending, operation);

	if (sending->cancelled || !sending->conn)
		return;
	sending->cancelled = true;
	if (sending->reading)
		gb_operation_cancel(&sending->step.operation);
	else
		fail(sending, -ECANCELED, true);
}

static const struct gb__operation_kind sending_kind = { "send file", cancel };

static int start(struct gb_conn *conn, struct gb_file_sending *sending)
{
	int result;

	if (conn->terms->replies.loose || gb__conn_has_packets(conn))
		return -EOPNOTSUPP; /* each of these leaves as a whole */
	result = gb_conn_defer(conn, &sending->reply);
	if (result < 0)
		return result;
	sending->conn = conn;
	sending->next = conn->terms->sendings;
	conn->terms->sendings = sending;
	if (sending->left == 0)
		return gb_reply_finish(sending->reply, NULL, 0);
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn); /* where there is room for it, it begins when that is settled */
	return 1;
}

struct gb_operation *gb_conn_send_file_begin(struct gb_conn *conn, struct gb_file_sending *sending, int fd,
	int64_t offset, uint64_t size, gb_operation_done *on_done, void *user)
{
	struct gb__files *files = conn->net->files;
	int result;

	gb__rule(49, !gb__conn_is_task(conn) && gb__loop_here(files->loop),
		"an operation is begun on another thread than its worker's");
	*sending = (struct gb_file_sending){ .files = files, .fd = fd, .offset = offset, .left = size };
	gb__operation_begin(&sending->operation, &sending_kind, files->worker, on_done, user);
	files->under_way++;
	result = start(conn, sending);
	if (result <= 0)
		end(sending, result, true);
	return &sending->operation;
}
