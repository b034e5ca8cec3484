/*
 * Reading.
 *
 * Happy path: a coroutine says what it wants and suspends; input comes, gb__stream_decode frames it, on_message puts it
 * where it is wanted and resumes the coroutine, all in one dispatch; what that writes leaves with one send behind it.
 *
 * Where the coroutine was elsewhere when input came, that is kept by net (input.c), and the next read takes it from there
 * without a turn.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "net/direct.h"
#include "net/packet.h"
#include "stream/stream.h"

#include <errno.h>

#define EXACT_WHOLE_MAX (64u << 10) /* what is longer is taken as it comes */

void gb__stream_drop(struct gb_stream *stream)
{
	if (gb__unlikely(stream->chunk)) {
		gb__chunk_destroy(&stream->streams->net->engine->pool, stream->chunk);
		stream->chunk = NULL;
	}
	stream->message = (struct gb_bytes){ 0 };
	stream->original = NULL;
}

void gb__stream_rest(struct gb_stream *stream)
{
	struct gb_conn *conn = stream->conn;

	if (stream->away || gb__conn_closing(conn) || conn->terms->relayed)
		return;
	stream->away = true;
	gb__conn_hold(conn, 1);
	conn->flags |= GB__CONN_PAUSED;
}

static int front(struct gb_frame *ret, size_t size)
{
	ret->offset = 0;
	ret->size = ret->consumed = size;
	return 1;
}

int gb__stream_decode(const void *options, void *state, struct gb_bytes input, size_t message_max,
	uint32_t *scanned, struct gb_frame *ret)
{
	struct gb__stream_link *link = state;
	struct gb_stream *stream = link->stream;
	const struct gb__want *want = &stream->want;
	const struct gb_service *service;
	size_t left;

	(void)options;
	switch (want->kind) {
	case GB__WANT_MESSAGE:
		service = stream->conn->terms->service;
		if (!service->codec)
			return front(ret, input.size);
		return service->codec->decode(
			service->codec_options, link + 1, input, message_max, scanned, ret);
	case GB__WANT_PART:
		service = stream->conn->terms->service;
		if (!service->codec) {
			stream->conn->net->message.part =
				(struct gb_part){ .total = input.size, .first = true, .last = true };
			return front(ret, input.size);
		}
		return gb__parts_decode(
			stream->conn, &stream->parts, true, link + 1, input, message_max, scanned, ret);
	case GB__WANT_SOME:
		return front(ret, gb__min(input.size, want->size));
	case GB__WANT_EXACT:
		left = want->size - stream->got;
		if (input.size < left && want->size <= gb__min(EXACT_WHOLE_MAX, message_max))
			return 0;
		return front(ret, gb__min(input.size, left));
	case GB__WANT_UNTIL:
		return gb_codec_delimiter.decode(
			&(struct gb_delimiter_options){ want->delimiter, want->size, .keep_end = 1 }, NULL,
			input, message_max, scanned, ret);
	default: /* it is paused then, and nothing is decoded */
		return 0;
	}
}

int gb__stream_decode_packet(const void *options, void *state, struct gb_bytes input, size_t message_max,
	uint32_t *scanned, struct gb_frame *ret)
{
	struct gb__stream_link *link = state;
	struct gb_stream *stream = link->stream;
	const struct gb__want *want = &stream->want;
	int found;

	if (want->kind == GB__WANT_NOTHING)
		return 0;
	found = gb_codec_packet.decode(options, NULL, input, message_max, scanned, ret);
	if (found > 0 && want->kind == GB__WANT_SOME && ret->size > want->size) {
		ret->problem = "the packet is larger than what gb_read was given for it";
		return -GB_ETOOLARGE;
	}
	if (found > 0 && want->kind == GB__WANT_PART)
		stream->conn->net->message.part =
			(struct gb_part){ .total = ret->size, .first = true, .last = true };
	return found;
}

/* Keep the message until the next read. Returns 0 or -ENOMEM. */
static int keep(struct gb_stream *stream, struct gb_bytes bytes)
{
	unsigned char *to = stream->small;

	if (gb__unlikely(bytes.size > sizeof(stream->small))) {
		stream->chunk = gb__chunk_create(&stream->streams->net->engine->pool, bytes.size);
		if (!stream->chunk)
			return -ENOMEM;
		to = stream->chunk->data;
	}
	memcpy(to, bytes.data, bytes.size);
	stream->message = (struct gb_bytes){ to, bytes.size };
	return 0;
}

/* Put it where it is wanted. Returns whether the coroutine has what it waits for, or an error. */
static bool take(struct gb_stream *stream, struct gb_bytes bytes)
{
	struct gb__want *want = &stream->want;

	switch (want->kind) {
	case GB__WANT_SOME:
	case GB__WANT_EXACT:
		memcpy(want->data + stream->got, bytes.data, bytes.size);
		stream->got += bytes.size;
		if (want->kind == GB__WANT_EXACT && stream->got < want->size)
			return false;
		break;
	default:
		stream->frame = stream->streams->net->message.frame;
		if (want->kind == GB__WANT_PART)
			stream->part = stream->streams->net->message.part;
		if (keep(stream, bytes) < 0) {
			gb__conn_end(stream->conn, GB_CLOSE_NO_MEMORY, ENOMEM);
			return false;
		}
	}
	want->kind = GB__WANT_NOTHING;
	stream->came = true;
	if (gb__unlikely(stream->quiet == GB__QUIET_TOLD))
		stream->quiet = GB__QUIET_NO; /* it was not idle after all */
	return true;
}

/* Its reader, which waits, has what it wants: it runs. */
static inline void hand_over(
	struct gb_conn *conn, struct gb_stream *stream, const unsigned char *original, int how)
{
	stream->original = original;
	stream->delivering = (uint8_t)how;
	gb__coro_enter(stream->streams, stream->reader);
	stream = gb__conn_link(conn)->stream;
	if (gb__unlikely(!stream))
		return; /* it was the last one */
	stream->original = NULL;
	stream->delivering = GB__DELIVERING_NOT;
	if (gb__unlikely(stream->want.kind == GB__WANT_NOTHING))
		gb__stream_rest(stream);
}

/* Whether its reader waits for a message, and can be run here and now. */
static inline bool waits_for_message(const struct gb_stream *stream)
{
	return stream->want.kind == GB__WANT_MESSAGE && gb__likely(stream->reader->stack) &&
		gb__likely(!stream->reader->ready);
}

/*
 * Nearly all input is a short message, whole, for who waits for one; what is different goes the long way. A connection
 * without a stream is closing, and so not direct.
 */
void gb__stream_on_input(struct gb__stream *endpoint, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(endpoint);
	struct gb_stream *stream = gb__conn_link(conn)->stream;
	struct gb__net *net = conn->net;
	const struct gb_codec_ops *codec;
	struct gb_bytes message = { data, size };

	if (gb__unlikely(!gb__is_direct(net, conn)) || gb__unlikely(!waits_for_message(stream)) ||
		gb__unlikely(size > sizeof(stream->small))) {
		gb__conn_on_coded_input(endpoint, data, size);
		return;
	}
	conn->active_ms = gb__net_now(net);
	net->tally.bytes_in += size;
	codec = conn->terms->service->codec;
	if (codec) {
		const struct gb_frame *frame = &net->message.frame;
		int found;

		net->message.scanned = 0;
		found = codec->decode(conn->terms->service->codec_options, gb__conn_link(conn) + 1, message,
			conn->terms->limits->message_bytes_max, &net->message.scanned, &net->message.frame);
		if (gb__unlikely(found <= 0) || gb__unlikely(frame->consumed != size)) {
			gb__conn_input_any(conn, data, size, found);
			return;
		}
		stream->frame = *frame;
		message = (struct gb_bytes){ data + frame->offset, frame->size };
	}
	net->burst.input = data;
	net->burst.input_size = size;
	gb__direct_begin(net, conn);
	memcpy(stream->small, message.data, message.size);
	stream->message = (struct gb_bytes){ stream->small, message.size };
	if (!codec)
		stream->frame.size = stream->frame.consumed = size;
	stream->want.kind = GB__WANT_NOTHING;
	stream->came = true;
	hand_over(conn, stream, message.data, GB__DELIVERING_DIRECT);
	gb__direct_end(net, conn);
}

void gb__stream_on_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	struct gb_stream *stream = gb__conn_link(conn)->stream;
	struct gb_coro *reader;

	if (!take(stream, bytes))
		return;
	reader = stream->reader;
	if (gb__unlikely(stream->streams->running)) {
		/* it is the reader, which looks for itself */
	} else if (gb__likely(reader->stack) && gb__likely(!reader->ready)) {
		hand_over(conn, stream, stream->message.data ? bytes.data : NULL, GB__DELIVERING);
		return;
	} else {
		gb__coro_wake(reader);
	}
	if (gb__unlikely(stream->want.kind == GB__WANT_NOTHING))
		gb__stream_rest(stream);
}

/* What was kept may be framed another way now. */
static void frame_anew(struct gb_conn *conn)
{
	conn->input->input.scanned = 0;
	conn->flags &= (uint16_t)~GB__CONN_PARTIAL;
}

/* Reading goes on, from what net has kept first. */
static void return_to(struct gb_stream *stream)
{
	struct gb_conn *conn = stream->conn;
	uint16_t inside = conn->flags & GB__CONN_DISPATCH;

	if (stream->away) {
		stream->away = false;
		gb__conn_hold(conn, -1);
		conn->flags &= (uint16_t)~GB__CONN_PAUSED;
		if (conn->flags & GB__CONN_KEPT)
			frame_anew(conn);
		if (gb__unlikely(conn->further & GB__CONN_FURTHER_PARTS))
			gb__conn_read_anew(conn);
	}
	if (stream->delivering)
		return; /* as soon as this waits */
	if (gb__conn_backlog(conn)) {
		/* A delivery of another connection may be under way, which this coroutine was resumed in. */
		const __typeof__(conn->net->message) under_way = conn->net->message;

		gb__conn_deliver_kept(conn);
		conn->net->message = under_way;
		conn->flags |= inside;
	}
	/* Input is to be let in again, or its end told: inside a dispatch, by whoever settles behind it. */
	if (!stream->came && !inside && (conn->flags & (GB__CONN_MUTED | GB__CONN_EOF | GB__CONN_KEPT)))
		gb__conn_queue(conn);
}

/* The end of input was told, and all before it was read; who says all as well has not failed either. */
static bool at_end(const struct gb_stream *stream)
{
	const struct gb_conn *conn = stream->conn;

	return stream->eof && conn && !(gb__conn_closing(conn) && conn->reason != GB_CLOSE_EOF);
}

/* What a read comes to that cannot get anything; 0: it can. */
static int blocked(struct gb_stream *stream)
{
	const struct gb_conn *conn = stream->conn;

	if (gb__unlikely(stream->error))
		return stream->error;
	if (gb__unlikely(gb__conn_closing(conn)))
		return gb__stream_code(conn->reason, gb__conn_errno(conn));
	if (gb__unlikely(conn->terms->relayed))
		return -EBUSY;
	return 0;
}

static int ended(struct gb_stream *stream)
{
	bool cut = stream->cut || stream->got > 0;

	stream->cut = false;
	return cut ? -GB_ETRUNCATED : 0;
}

/* A drain was told, and this read is the one to return it. */
static bool quiet_told(struct gb_stream *stream)
{
	if (stream->quiet != GB__QUIET_TOLD)
		return false;
	stream->quiet = GB__QUIET_RETURNED;
	stream->reason = GB_CLOSE_DRAIN; /* unless whoever reads goes on */
	return true;
}

/* Until what is wanted has come. Returns 1, 0 at the end of input, or a negative code: `result`, to begin with. */
static __attribute__((noinline)) int await_input(struct gb_stream *stream, struct gb_coro *coro, int result)
{
	stream->reader = coro;
	while (result == 0 && !stream->came) {
		if (gb__unlikely(at_end(stream))) {
			result = ended(stream);
			break;
		}
		result = blocked(stream);
		if (result == 0 && gb__unlikely(quiet_told(stream)))
			result = -ESHUTDOWN;
		if (result == 0) {
			stream->in_a_row = 0;
			result = gb__coro_wait(coro);
		}
	}
	stream->reader = NULL;
	stream->want.kind = GB__WANT_NOTHING;
	if (gb__unlikely(stream->closed))
		return gb__stream_left(stream, result);
	if (gb__likely(stream->came)) {
		gb__coro_untold(coro, result);
		return 1;
	}
	if (!stream->over)
		gb__stream_rest(stream);
	return result;
}

/* A coroutine that reads without ever having to wait lets others run, too. */
static int turn_share(struct gb_stream *stream, struct gb_coro *coro)
{
	int result;

	if (stream->delivering || ++stream->in_a_row < stream->conn->terms->limits->turn_messages)
		return 0;
	stream->in_a_row = 0;
	stream->reader = coro;
	result = gb_yield(coro);
	stream->reader = NULL;
	return gb__stream_left(stream, result);
}

static int read_want(struct gb_stream *stream, struct gb__want want)
{
	struct gb_coro *coro;
	int result;

	gb__stream_mine_in(stream, "gb_read");
	if (gb__unlikely(!stream->conn))
		return -ESTALE;
	coro = stream->streams->running;
	if (gb__unlikely(!coro))
		return -GB_ENOCORO;
	if (gb__unlikely(stream->reader))
		return gb__coro_failed(coro, -EBUSY);
	result = gb__unlikely(coro->cancelled) ? coro->cancelled : turn_share(stream, coro);
	if (gb__unlikely(result < 0))
		return gb__coro_failed(coro, result);
	gb__stream_drop(stream);
	stream->got = 0;
	if (gb__unlikely(at_end(stream)))
		return gb__coro_failed(coro, ended(stream));
	result = blocked(stream);
	if (gb__unlikely(result < 0))
		return gb__coro_failed(coro, result);
	if (gb__unlikely(stream->quiet == GB__QUIET_RETURNED) && stream->reason == GB_CLOSE_DRAIN)
		stream->reason = -1; /* it goes on */
	if (gb__unlikely(stream->parts.progress.begun) && want.kind != GB__WANT_PART)
		gb__parts_forget(stream->conn, &stream->parts);
	stream->want = want;
	stream->came = false;
	if (gb__unlikely(!stream->delivering) || gb__unlikely(stream->away))
		return_to(stream);
	return await_input(stream, coro, 0);
}

ssize_t gb_read(struct gb_stream *stream, void *data, size_t size)
{
	int result;

	if (size == 0)
		return -EINVAL;
	result = read_want(stream, (struct gb__want){ GB__WANT_SOME, size, data, NULL });
	return result > 0 ? (ssize_t)stream->got : result;
}

/* A packet has an end of its own, and is read as one. */
static bool has_packets(const struct gb_stream *stream)
{
	return gb__unlikely(stream->conn && gb__conn_has_packets(stream->conn));
}

ssize_t gb_read_exact(struct gb_stream *stream, void *data, size_t size)
{
	int result;

	if (size == 0)
		return 0;
	if (has_packets(stream))
		return -EOPNOTSUPP;
	result = read_want(stream, (struct gb__want){ GB__WANT_EXACT, size, data, NULL });
	return result > 0 ? (ssize_t)stream->got : result;
}

int gb_read_until(struct gb_stream *stream, const void *delimiter, size_t size, struct gb_bytes *ret)
{
	int result;

	if (size == 0)
		return -EINVAL;
	if (has_packets(stream))
		return -EOPNOTSUPP;
	result = read_want(stream, (struct gb__want){ GB__WANT_UNTIL, size, NULL, delimiter });
	if (result > 0)
		*ret = stream->message;
	return result;
}

/* Whether who runs got the last message as nearly always, and nothing has happened since to look at. */
static inline bool goes_on(const struct gb_stream *stream, const struct gb_coro *coro)
{
	return gb__likely(stream->delivering == GB__DELIVERING_DIRECT) &&
		gb__likely(!(stream->conn->flags & GB__CONN_SLOW_INPUT)) &&
		gb__likely(!(coro->cancelled | coro->notice)) && gb__likely(!coro->deadline);
}

/* The same as read_want and await_input, of one that goes on. */
static inline int next_message(struct gb_stream *stream, struct gb_coro *coro)
{
	stream->want.kind = GB__WANT_MESSAGE;
	stream->got = 0;
	stream->came = false;
	stream->in_a_row = 0;
	stream->reader = coro;
	gb__coro_leave(stream->streams, coro);
	if (gb__unlikely(!stream->came | stream->closed))
		return await_input(stream, coro, gb__coro_interruption(coro));
	stream->reader = NULL;
	return 1;
}

int gb_read_part(struct gb_stream *stream, struct gb_part *ret)
{
	int result = read_want(stream, (struct gb__want){ .kind = GB__WANT_PART });

	if (result > 0) {
		*ret = stream->part;
		ret->bytes = stream->message;
	}
	return result;
}

int gb_skip_message(struct gb_stream *stream)
{
	int result = 1;

	while (result > 0 && stream->parts.progress.begun)
		result = read_want(stream, (struct gb__want){ .kind = GB__WANT_PART });
	return result;
}

/* Whatever was before. */
static __attribute__((noinline)) int read_message(struct gb_stream *stream)
{
	int result = gb__unlikely(stream->parts.progress.begun) ? gb_skip_message(stream) : 1;

	return result > 0 ? read_want(stream, (struct gb__want){ .kind = GB__WANT_MESSAGE }) : result;
}

int gb_read_message(struct gb_stream *stream, struct gb_bytes *ret)
{
	struct gb_coro *coro = stream->streams->running;
	int result;

	gb__stream_mine_in(stream, "gb_read");
	result = goes_on(stream, coro) ? next_message(stream, coro) : read_message(stream);

	if (gb__likely(result > 0))
		*ret = stream->message;
	return result;
}

const struct gb_frame *gb_stream_frame(const struct gb_stream *stream)
{
	return &stream->frame;
}
