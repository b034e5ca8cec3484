/*
 * Uploads and downloads of any size, to order, in constant memory.
 *
 * A request and its reply come behind their length, 64 bits. All numbers are unsigned, the highest byte first.
 *
 *   request: bytes to be sent back (64 bits), anything
 *   reply:   digest of that (64 bits), so many bytes, each one more than the last, from the digest's lowest on
 *
 * The digest is FNV-1a. The callback takes requests in parts as they come, and its replies are produced while they leave; the
 * straight-line form reads in parts and writes.
 */
#include "services.h"

#include <gearbox/reply.h>
#include <gearbox/stream.h>

#include <stdlib.h>
#include <string.h>

#define NUMBER 8u
#define PIECE 16384u /* of what the straight-line form writes at once */

struct bulk_settings {
	uint64_t max_reply;
};

static const struct gb_setting bulk_settings[] = {
	{ "max-reply", GB_SETTING_SIZE, offsetof(struct bulk_settings, max_reply), .fallback = "0",
		.max = INT64_MAX, .argument = "SIZE",
		.summary = "refuse a request for a larger reply; 0: never" },
	{ NULL },
};

/* What is known of a request so far. */
struct request {
	uint64_t reply, digest;
};

/* What is left of a reply. */
struct answer {
	struct gb_producer producer;
	struct gb_reply reply;
	unsigned char head[2 * NUMBER];
	size_t head_sent;
	uint64_t left;
	unsigned char next;
};

static const struct gb_length_options bulk_length = { .width = NUMBER };

static uint64_t get_number(const unsigned char *bytes)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < NUMBER; i++)
		number = number << 8 | bytes[i];
	return number;
}

static void put_number(unsigned char *bytes, uint64_t number)
{
	for (unsigned i = 0; i < NUMBER; i++)
		bytes[i] = (unsigned char)(number >> (56 - 8 * i));
}

/* Returns 0, or the reason to refuse it as a negative number. */
static int take(struct request *request, const struct bulk_settings *settings, const struct gb_part *part)
{
	struct gb_bytes bytes = part->bytes;

	if (part->first) {
		if (bytes.size < NUMBER)
			return -GB_CLOSE_BAD_FRAME;
		*request = (struct request){ get_number(bytes.data), 14695981039346656037u };
		if (request->reply > (settings->max_reply ? settings->max_reply : INT64_MAX))
			return -GB_CLOSE_REFUSED;
		bytes.data += NUMBER;
		bytes.size -= NUMBER;
	}
	for (size_t i = 0; i < bytes.size; i++)
		request->digest = (request->digest ^ bytes.data[i]) * 1099511628211u;
	return 0;
}

static void answer_begin(struct answer *answer, const struct request *request)
{
	put_number(answer->head, NUMBER + request->reply);
	put_number(answer->head + NUMBER, request->digest);
	answer->left = request->reply;
	answer->next = (unsigned char)request->digest;
}

static int64_t produce(void *user, void *room, size_t size)
{
	struct answer *answer = user;
	unsigned char *out = room;
	size_t head = sizeof(answer->head) - answer->head_sent, count;

	head = head < size ? head : size;
	memcpy(out, answer->head + answer->head_sent, head);
	answer->head_sent += head;
	count = answer->left < size - head ? (size_t)answer->left : size - head;
	for (size_t i = 0; i < count; i++)
		out[head + i] = answer->next++;
	answer->left -= count;
	return (int64_t)(head + count);
}

static void on_done(struct gb_operation *operation, void *user)
{
	(void)operation;
	free(user);
}

/* Of the worker: a reply is produced there, also when a thread of the pool took the request. */
static void begin(struct gb_worker *worker, void *arg)
{
	struct answer *answer = arg;

	if (!worker || gb_reply_produce(answer->reply, &answer->producer, produce, on_done, answer) < 0)
		free(answer);
}

/* Returns 0, or the reason to end the connection with as a negative number. */
static int reply(struct gb_conn *conn, const struct request *request)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return -GB_CLOSE_NO_MEMORY;
	answer_begin(answer, request);
	if (gb_conn_defer(conn, &answer->reply) < 0) {
		free(answer);
		return -GB_CLOSE_NO_MEMORY;
	}
	if (gb_worker_post(gb_conn_worker(conn), begin, answer) == 0)
		return 0;
	free(answer);
	return -GB_CLOSE_NO_MEMORY;
}

static void bulk_part(struct gb_conn *conn, const struct gb_part *part)
{
	struct request *request = gb_conn_state(conn);
	int result = take(request, gb_conn_user(conn), part);

	if (result == 0 && part->last)
		result = reply(conn, request);
	if (result < 0)
		gb_conn_fail(conn, -result);
}

static int64_t write_answer(struct gb_stream *stream, const struct request *request)
{
	unsigned char piece[PIECE];
	struct answer answer = { .reply = { 0 } };
	int64_t made;

	answer_begin(&answer, request);
	while ((made = produce(&answer, piece, sizeof(piece))) > 0) {
		made = gb_write(stream, piece, (size_t)made);
		if (made < 0)
			break;
	}
	return made;
}

static void bulk_serve(struct gb_stream *stream)
{
	struct request request = { 0 };
	struct gb_part part;
	int result;

	while (gb_read_part(stream, &part) > 0) {
		result = take(&request, gb_stream_user(stream), &part);
		if (result < 0) {
			gb_stream_fail(stream, -result);
			return;
		}
		if (part.last && write_answer(stream, &request) < 0)
			return;
	}
}

const struct gb_service gb_service_bulk = {
	GB_SERVICE_INIT,
	.name = "bulk",
	.summary = "takes uploads and sends downloads of any size in constant memory",
	.codec = &gb_codec_length,
	.codec_options = &bulk_length,
	.state = GB_STATE_NONE,
	.conn_state_size = sizeof(struct request),
	.settings = bulk_settings,
	.settings_size = sizeof(struct bulk_settings),
	.on_part = bulk_part,
};

const struct gb_service gb_service_bulk_sequential = {
	GB_SERVICE_INIT,
	.name = "bulk-sequential",
	.summary = "bulk, read and written in a row",
	.codec = &gb_codec_length,
	.codec_options = &bulk_length,
	.state = GB_STATE_NONE,
	.settings = bulk_settings,
	.settings_size = sizeof(struct bulk_settings),
	.serve = bulk_serve,
};
