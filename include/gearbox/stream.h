/**
 * Streams: a connection as a straight-line handler reads and writes it.
 *
 *	static void serve(struct gb_stream *stream)
 *	{
 *		struct gb_bytes line;
 *
 *		while (gb_read_message(stream, &line) > 0) {
 *			if (gb_bytes_is(line, "quit"))
 *				return;
 *			gb_write(stream, line.data, line.size);
 *			gb_write(stream, "\n", 1);
 *		}
 *	}
 *
 * The same function runs under every model. Streams are for coroutines of their worker, and functions that say "waits"
 * for coroutines alone; one coroutine may wait to read from a stream while another waits to write to it.
 *
 * What happens to the connection are results: 0 from reading is the peer's FIN, after which one may still write. A read
 * that fails with -ETIMEDOUT (the idle or read timeout, or a deadline of the coroutine), -GB_EBADFRAME or -GB_ETOOLARGE
 * leaves room for a last answer; but for a deadline, nothing more can be read then. -ESHUTDOWN, once: the server drains
 * and nothing is under way: whoever goes on does so until the drain timeout. -ECONNRESET, -EPIPE, -GB_ELIMIT,
 * -ECANCELED…: the connection is over. -GB_ETRUNCATED: the peer's FIN came inside what was to be read.
 */
#ifndef GEARBOX_STREAM_H
#define GEARBOX_STREAM_H

#include <gearbox/conn.h>
#include <gearbox/coro.h>
#include <gearbox/service.h>

#include <string.h>
#include <sys/types.h>

GB_BEGIN

/** The coroutine that serves it, or that opened it: for sleeping, awaiting, deadlines. */
GB_API struct gb_coro *gb_stream_coro(const struct gb_stream *stream);

/** Its connection, for the functions of gearbox/conn.h that do not end it: peer, limits, state, handle. Valid until
 *  the handler has returned, or gb_stream_close. */
GB_API struct gb_conn *gb_stream_conn(const struct gb_stream *stream);

/** The `user` pointer of the service. */
GB_API void *gb_stream_user(const struct gb_stream *stream);

/** The zeroed `conn_state_size` bytes of its service. */
GB_API void *gb_stream_state(const struct gb_stream *stream);

/** Why the connection is over, or reading from it is: a negative code, or 0. */
GB_API int gb_stream_error(const struct gb_stream *stream);

/** Whether the server, or this worker, drains: for a handler that writes or sleeps for long and seldom reads, since a read
 *  alone returns -ESHUTDOWN. What goes on is cut at the drain timeout. */
GB_API bool gb_stream_draining(const struct gb_stream *stream);

/**
 * Read up to `size` bytes, at least one, as they are there. Waits. On a socket of packets: the next one, which must fit
 * (-GB_ETOOLARGE); there the two functions below give -EOPNOTSUPP.
 * Returns how many, 0 (the peer's FIN), or a negative code.
 */
GB_API ssize_t gb_read(struct gb_stream *stream, void *data, size_t size);

/**
 * Read exactly `size` bytes; of 0 at once, which returns 0 as well. Waits.
 * Returns `size`, 0 (the peer's FIN came before the first), -GB_ETRUNCATED (after it), or another negative code. What
 * was read before an error is lost.
 */
GB_API ssize_t gb_read_exact(struct gb_stream *stream, void *data, size_t size);

/**
 * Read up to and including the first occurrence of `delimiter`, before which lie at most max-message bytes. Waits.
 *
 * `*ret` includes the delimiter and is valid until the next read from the stream. Returns 1, 0 (the peer's FIN, and
 * nothing before it), -GB_ETRUNCATED, -GB_ETOOLARGE, or another negative code.
 */
GB_API int gb_read_until(struct gb_stream *stream, const void *delimiter, size_t size, struct gb_bytes *ret);

/**
 * Read the next message of the service's codec, or without one the bytes as they arrive. Waits.
 *
 * `*ret` is valid until the next read from the stream, whatever the handler waits for meanwhile. How the codec framed it
 * tells gb_stream_frame. Returns 1, 0 (the peer's FIN), or a negative code.
 */
GB_API int gb_read_message(struct gb_stream *stream, struct gb_bytes *ret);

/**
 * Read the next message in parts: one of up to max-message bytes whole, as one part that is first and last; of one that is
 * larger a part of at most so many, as they come, and the parts that follow by further calls. So one of gigabytes needs no
 * memory, and whoever does not read holds the peer. Waits.
 *
 * `ret->bytes` is valid until the next read from the stream. Returns 1, 0 (the peer's FIN between messages),
 * -GB_ETRUNCATED (inside one: its last part never came), -GB_ETOOLARGE (max-body), or another negative code. The
 * read-timeout is from part to part. A codec without decode_part has whole messages alone.
 *
 * In the middle of a message, gb_read_message skips the rest of it first, and gb_read, gb_read_exact and gb_read_until
 * take the bytes from there on as they are. A handler that returns there ends the connection, in order: what still comes
 * is dropped, within linger-max, and what it wrote arrives.
 */
GB_API int gb_read_part(struct gb_stream *stream, struct gb_part *ret);

/** Read and drop what is left of a message that gb_read_part has begun. Waits. Returns 1 (it is over, or none was begun), or
 *  as gb_read_part. */
GB_API int gb_skip_message(struct gb_stream *stream);

/** How the codec framed the last message, as gb_conn_frame; `parsed` is valid as long as the message if it lies in the
 *  codec's state, else until the handler waits. */
GB_API const struct gb_frame *gb_stream_frame(const struct gb_stream *stream);

/**
 * Write all of it. Copies `data`; it leaves when the coroutine waits next. Waits while output is above the high watermark.
 *
 * Returns `size`, or a negative code: -EPIPE (its output has ended, or the connection closes), -ECONNRESET, -ETIMEDOUT (the
 * write timeout, which ends the connection; or a deadline: then it is queued all the same), ….
 */
GB_API ssize_t gb_write(struct gb_stream *stream, const void *data, size_t size);

/** gb_write of formatted text. Returns its length, -EINVAL (printf refuses the format), or as gb_write. */
GB_API int gb_write_format(struct gb_stream *stream, const char *format, ...) GB_PRINTF(2, 3);

/** gb_write of a shared buffer: takes a reference instead of a copy. Returns 0 or as gb_write. */
GB_API int gb_write_buffer(struct gb_stream *stream, struct gb_buffer *buffer);

/** Wait until all that was written is with the kernel. Waits. Returns 0 or as gb_write. */
GB_API int gb_flush(struct gb_stream *stream);

/** End the output: a FIN follows on what was written, and reading goes on. Returns 0, -EPIPE, -ENOMEM. */
GB_API int gb_end_output(struct gb_stream *stream);

/**
 * Connect, and wait for it. `address` as for gb_connect. `protocol` gives the codec, its options and the limits, and its
 * name for messages; its callbacks are not called; NULL: bytes as they arrive.
 *
 * The stream is the coroutine's until it calls gb_stream_close, which it does before it ends. Waits.
 * Returns 0, -ECONNREFUSED, -ETIMEDOUT, … with the reason in `error`.
 */
GB_API int gb_stream_connect(struct gb_coro *coro, const char *address, const struct gb_service *protocol,
	struct gb_stream **ret, struct gb_error *error);

/** The same to one of several addresses of a peer, as gb_connect_any_begin has it. */
GB_API int gb_stream_connect_any(struct gb_coro *coro, const char *const *addresses, size_t count,
	const struct gb_service *protocol, struct gb_stream **ret, struct gb_error *error);

/** End a stream of gb_stream_connect in order: what was written goes out, then a FIN. NULL is fine. */
GB_API void gb_stream_close(struct gb_stream *stream);

/** End a connection at once with a reset, the one that is served as well; every further call on it fails. */
GB_API void gb_stream_abort(struct gb_stream *stream);

/** End the connection that is served with this reason (enum gb_close_reason) when the handler returns, in order. */
GB_API void gb_stream_fail(struct gb_stream *stream, int reason);

/**
 * Relay between two streams until both have ended or one was cut (gb_relay). What was written to them goes first. Nothing
 * can be read or written by hand any more. Waits. Returns 0, -ECONNRESET, -ETIMEDOUT, … .
 */
GB_API int gb_stream_relay(struct gb_stream *a, struct gb_stream *b);

/** Whether the bytes are this text. */
static inline bool gb_bytes_is(struct gb_bytes bytes, const char *text)
{
	return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

GB_END

#endif
