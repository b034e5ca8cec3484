/**
 * A connection, as its handler sees it.
 *
 * Every function here is for the connection's own worker (its callbacks, timers and posted tasks),
 * except where it says otherwise. Under compute=threads `on_message` runs on a pool thread, and there, too,
 * all of them may be called with the `conn` that it was given: what it sends leaves when it has returned. Under
 * compute=processes it runs in another process, where there is no descriptor (docs/lifetimes.md, 70).
 * Rules of lifetime are collected in docs/lifetimes.md.
 */
#ifndef GEARBOX_CONN_H
#define GEARBOX_CONN_H

#include <gearbox/codec.h>
#include <gearbox/error.h>
#include <gearbox/limit.h>
#include <gearbox/types.h>

GB_BEGIN

/** Why a connection ended. Each has a counter per worker. */
#define GB_CLOSE_REASONS(X) \
	X(GB_CLOSE_EOF, "eof", "the peer finished and everything was answered") \
	X(GB_CLOSE_LOCAL, "local", "the handler closed or aborted") \
	X(GB_CLOSE_IDLE, "idle", "nothing moved for the idle timeout") \
	X(GB_CLOSE_READ_TIMEOUT, "read_timeout", "a message was not complete in time") \
	X(GB_CLOSE_WRITE_TIMEOUT, "write_timeout", "the peer took no bytes in time") \
	X(GB_CLOSE_MESSAGE_TOO_LARGE, "message_too_large", "a message above the maximum") \
	X(GB_CLOSE_BAD_FRAME, "bad_frame", "bytes that the codec or the handler refused") \
	X(GB_CLOSE_TLS_ERROR, "tls_error", "the TLS handshake or a record failed") \
	X(GB_CLOSE_TLS_TRUNCATED, "tls_truncated", \
		"the peer's end came without TLS's close_notify: what it said may have been cut") \
	X(GB_CLOSE_PROXY_HEADER, "proxy_header", \
		"a PROXY header was missing, wrong, or of nobody who is trusted") \
	X(GB_CLOSE_OVER_LIMIT, "over_limit", "more connections than allowed") \
	X(GB_CLOSE_DESCRIPTOR_LIMIT, "descriptor_limit", "the engine cannot watch so high a descriptor") \
	X(GB_CLOSE_OUTPUT_LIMIT, "output_limit", "more output queued than allowed") \
	X(GB_CLOSE_REFUSED, "refused", "the handler refused the connection, or what it asked for") \
	X(GB_CLOSE_DRAIN, "drain", "the server is shutting down") \
	X(GB_CLOSE_RESET, "reset", "the peer reset the connection") \
	X(GB_CLOSE_CONNECT_FAILED, "connect_failed", "an outgoing connection was not established") \
	X(GB_CLOSE_NO_MEMORY, "no_memory", "memory for this connection could not be had") \
	X(GB_CLOSE_RELAY, "relay", "the connection that it was joined with ended") \
	X(GB_CLOSE_KERNEL_ERROR, "kernel_error", "another error of the socket") \
	X(GB_CLOSE_CRASHED, "crashed", \
		"the process that served it ended unexpectedly; of a worker process on_close was not called")

/** The same as numbers. */
enum gb_close_reason {
#define GB__CLOSE_REASON(name, word, text) name,
	GB_CLOSE_REASONS(GB__CLOSE_REASON)
#undef GB__CLOSE_REASON
		GB_CLOSE_REASON_COUNT
};

/** The reason's word as statistics print it, e.g. "read_timeout". Thread: any. */
GB_API const char *gb_close_reason_name(int reason);

/**
 * Queue bytes for sending.
 *
 * Copies `data`. The bytes leave with one flush at the end of the dispatch. Above the high watermark
 * the connection stops reading until output falls below the low one; above the hard maximum it is
 * closed with reason output_limit.
 *
 * On a socket of packets the bytes are one, and so with all that send.
 *
 * Returns 0, -EPIPE (closing: nothing is queued), -GB_ELIMIT (hard maximum: closing now), -ENOMEM
 * (closing now); with packets, nothing being queued, -EINVAL (it is empty), -EMSGSIZE (above GB_PACKET_MAX).
 */
GB_API int gb_conn_send(struct gb_conn *conn, const void *data, size_t size);

/** gb_conn_send of formatted text. Returns as gb_conn_send does, or -EINVAL (printf refuses the format). */
GB_API int gb_conn_printf(struct gb_conn *conn, const char *format, ...) GB_PRINTF(2, 3);

/**
 * Queue bytes for sending unless that would exceed the high watermark.
 *
 * Copies `data`. Above the watermark nothing is queued and `on_writable` follows once there is room. While
 * no more waits than the low watermark, anything is queued: else a large piece might never fit.
 *
 * Returns 0, -EAGAIN (no room), -EPIPE (closing), -ENOMEM (closing now).
 */
GB_API int gb_conn_try_send(struct gb_conn *conn, const void *data, size_t size);

/** Bytes with a count of holders, to be sent on many connections without a copy. */
struct gb_buffer;

/** Make a buffer that holds a copy of `data`, with one reference. Thread: any. Returns 0 or -ENOMEM. */
GB_API int gb_buffer_create(const void *data, size_t size, struct gb_buffer **ret);
/** Take another reference. Thread: any. Returns its argument. */
GB_API struct gb_buffer *gb_buffer_ref(struct gb_buffer *buffer);
/** Give a reference back; the last one frees. Thread: any. NULL is fine. */
GB_API void gb_buffer_unref(struct gb_buffer *buffer);

/** Queue a buffer for sending; shares it (takes a reference of its own). Returns as gb_conn_send does. */
GB_API int gb_conn_send_ref(struct gb_conn *conn, struct gb_buffer *buffer);

/**
 * End the connection in order: flush, half-close, read what still comes until the linger timeout, close. Bytes that
 * move extend that timeout, up to linger-max. One that is still connecting connects first, if anything is queued.
 *
 * No further `on_message` follows; `on_close` follows later with GB_CLOSE_LOCAL unless something else
 * ends the connection first. Calling it again does nothing.
 */
GB_API void gb_conn_close(struct gb_conn *conn);

/**
 * End the connection in order, as gb_conn_close does, with another reason than GB_CLOSE_LOCAL.
 *
 * For what the handler finds wrong: GB_CLOSE_BAD_FRAME, GB_CLOSE_MESSAGE_TOO_LARGE, GB_CLOSE_REFUSED, ….
 */
GB_API void gb_conn_fail(struct gb_conn *conn, int reason);

/**
 * End the output alone: a FIN follows on what is queued, and messages go on coming.
 *
 * Whatever is sent afterwards is refused with -EPIPE. Once the peer has ended as well, and `on_eof`, if there is one,
 * has returned, the connection closes with GB_CLOSE_EOF. Source: TCP's half-close (RFC 9293, 3.6), shutdown(2).
 * Returns 0, also when it was called before; -EPIPE (closing), -ENOMEM (closing now).
 */
GB_API int gb_conn_end_output(struct gb_conn *conn);

/**
 * Join two connections of one worker: from now on what arrives on either is sent on the other, with back-pressure by
 * their watermarks, and an end of input becomes an end of output.
 *
 * What has arrived and was not delivered goes first. Of their services only `on_open` (when one is still connecting)
 * and `on_close` are called from here on; codecs are out of use. When one ends, so does the other, with
 * GB_CLOSE_RELAY: in order if the first did, else by a reset, so that what is cut does not look whole. When both have
 * ended their output the reason of both is GB_CLOSE_EOF. Pausing and resuming is the relay's from here on.
 *
 * Thread: the worker's; not from on_message on a pool thread. Returns 0, -EINVAL (the same connection, or of two
 * workers), -EOPNOTSUPP (packets: GB_TRAIT_STREAM has them refused at start), -EPIPE (one is closing, or its output has
 * ended), -EBUSY (joined already, or a message of it is in the compute pool), -EWOULDBLOCK (on a pool thread), -ENOMEM.
 */
GB_API int gb_relay(struct gb_conn *a, struct gb_conn *b);

/** End the connection at once with a reset; queued output is lost. `on_close` follows later. */
GB_API void gb_conn_abort(struct gb_conn *conn);

/**
 * Stop, respectively resume, taking messages.
 *
 * A pause takes effect after the current `on_message`; bytes that arrived already are kept. On a connection that a
 * stream reads both do nothing: it is paused whenever nobody reads.
 */
GB_API void gb_conn_pause(struct gb_conn *conn);
GB_API void gb_conn_resume(struct gb_conn *conn);

/**
 * Whether the work of this handler is in vain: the connection is closing, or, in a compute pool, has ended
 * meanwhile. For handlers that compute for long.
 */
GB_API bool gb_conn_cancelled(const struct gb_conn *conn);

/**
 * Change a limit of this connection alone; it holds from now on.
 *
 * Returns 0, -EINVAL (out of range, or output-low above output-high), -ENOMEM, -EWOULDBLOCK (on a pool thread).
 */
GB_API int gb_conn_set(struct gb_conn *conn, enum gb_limit_kind kind, uint64_t value);

/**
 * Choose whether messages go on being delivered while output is above the high watermark; `on_writable` comes all the
 * same once it falls below the low one.
 *
 * Accepted connections stop (false): requests whose answers nobody takes shall not pile up. Outgoing ones read on
 * (true): what is sent there is no answer to what arrives, and a peer that answers while it reads would wait for ever.
 * Returns 0, -ENOMEM, -EWOULDBLOCK (on a pool thread).
 */
GB_API int gb_conn_read_while_high(struct gb_conn *conn, bool reads_on);

/**
 * Keep a drain and the idle timeout from ending the connection, until it is released as often as it was held.
 *
 * For work that the library cannot see: a download that a timer feeds, a job whose answer comes from elsewhere. A drain
 * waits for it within the drain timeout; what that cuts ends with a reset. Without a hold a drain takes a connection for
 * idle whose answers come from outside its callbacks when nothing has moved on it for a second. It needs no hold while
 * output waits, a message is incomplete or in the pool, or it is paused. On one that is closing they do nothing.
 */
GB_API void gb_conn_hold(struct gb_conn *conn);
GB_API void gb_conn_release(struct gb_conn *conn);

/** Bytes queued and not yet taken by the kernel. */
GB_API size_t gb_conn_output_size(const struct gb_conn *conn);

/** The zeroed `conn_state_size` bytes of this connection; they live until `on_close` has returned. */
GB_API void *gb_conn_state(struct gb_conn *conn);

/**
 * How the codec of the service framed the message that is being handled, `key` and `parsed` included; for on_message, on
 * whichever thread it runs. `offset` counts from where the frame began. What `parsed` points to is as the codec left it
 * until on_message returns. In on_error, when the codec refused the input, `problem` is its reason, or NULL.
 */
GB_API const struct gb_frame *gb_conn_frame(const struct gb_conn *conn);

/**
 * What has arrived of a message that is not complete and will not be: in on_eof behind the last whole one, in on_error with
 * GB_CLOSE_READ_TIMEOUT or GB_CLOSE_IDLE, in on_close where the end came otherwise (a reset, the drain timeout), with
 * whatever a pause kept from being delivered. Lengths and the like are in it, as the peer sent them. Each byte is told by
 * one of these at most; they last until the callback returns. Empty: nothing was cut.
 */
GB_API struct gb_bytes gb_conn_rest(const struct gb_conn *conn);

/** The `user` pointer given to gb_server_listen, gb_server_attach or gb_connect. */
GB_API void *gb_conn_user(const struct gb_conn *conn);

/** The worker that operates this connection. */
GB_API struct gb_worker *gb_conn_worker(const struct gb_conn *conn);

/** The descriptor, to look at or to set socket options on; never to close, read or write. -1 in a process of a pool. */
GB_API int gb_conn_descriptor(const struct gb_conn *conn);

/**
 * The peer's, respectively the own address as "127.0.0.1:7000", "[::1]:7000", "[fe80::1%eth0]:7000", "unix:/path",
 * "unix:@name" or "unix:" (a peer without a name), "unix-seqpacket:…", fit for a log: what is not printable in a name is escaped.
 * Where a PROXY header told them, they are the client's: what it connected from, and to (<gearbox/proxy.h>).
 * Returns 0 or -errno; -ENOBUFS: 448 bytes hold any; -EOPNOTSUPP: in a process of a pool.
 */
GB_API int gb_conn_peer(const struct gb_conn *conn, char *text, size_t size);
GB_API int gb_conn_local(const struct gb_conn *conn, char *text, size_t size);

/** The errno of what ended the connection, if any (a reset, no memory, …), else 0; for `on_close`. */
GB_API int gb_conn_error(const struct gb_conn *conn);

GB_END

#endif
