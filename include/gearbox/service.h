/** A service: what the bytes mean. It is written once and runs under every model. */
#ifndef GEARBOX_SERVICE_H
#define GEARBOX_SERVICE_H

#include <gearbox/codec.h>
#include <gearbox/conn.h>
#include <gearbox/error.h>
#include <gearbox/limit.h>
#include <gearbox/route.h>
#include <gearbox/setting.h>
#include <gearbox/types.h>

GB_BEGIN

/** What handlers of one server share with one another. */
enum gb_state {
	GB_STATE_UNSPECIFIED, /* not said: refused where a pool would run on_message beside itself (compute=threads) */
	GB_STATE_NONE,          /* nothing: legal under every model */
	GB_STATE_WORKER,        /* something per worker: handlers of one worker share it */
	GB_STATE_ADDRESS_SPACE, /* something per address space: no process models with more than one worker; without
				    GB_TRAIT_THREAD_SAFE one thread alone */
};

/** Traits of a service, or-ed together. */
enum {
	GB_TRAIT_MAY_BLOCK = 1u << 0, /* a handler may sleep: inline on an event engine it stops all others */
	GB_TRAIT_HEAVY_COMPUTE = 1u << 1, /* a handler may compute for long */
	GB_TRAIT_THREAD_SAFE =
		1u << 2, /* handlers may run on several threads at once although state is shared */
	GB_TRAIT_UNORDERED = 1u
		<< 3, /* replies carry ids and may overtake one another: those that are deferred, and with a
			    pool, where messages of one connection then run on several threads at once */
	GB_TRAIT_MOVABLE_IDLE = 1u
		<< 4, /* an idle connection may go to another worker, and a message to another process, with its state bytes:
			 no pointers */
	GB_TRAIT_STATE_APART = 1u
		<< 5, /* worker state in which connections need not meet: a cache, links, counters. No warning where
			    a worker has one connection at a time */
	GB_TRAIT_STREAM = 1u
		<< 6, /* its connections are streams, as for gb_relay: a socket of packets is refused for it (-EPROTOTYPE).
			    A codec of streams says so by itself */
};

/**
 * A service. Static storage as a rule; it must outlive the servers that use it.
 *
 * All callbacks of one connection run on its worker, one at a time; under compute=threads on_message runs on
 * a thread of the pool instead, under compute=processes in a process of one. Any but on_message may be NULL, and that as
 * well where there are routes, or on_part.
 */
struct gb_service {
	uint32_t struct_size, abi;         /* set by GB_SERVICE_INIT */
	const char *name, *summary;        /* a word; a sentence without full stop */
	const struct gb_codec_ops *codec;  /* NULL: bytes as they arrive */
	const void *codec_options;         /* passed to the codec */
	enum gb_state state;               /* what handlers share */
	unsigned traits;                   /* GB_TRAIT_… */
	size_t conn_state_size;            /* bytes per connection, zeroed, aligned as by malloc */
	const struct gb_setting *settings; /* keys a user may set (--set KEY=VALUE), or NULL */
	size_t settings_size;              /* of the struct they fill, which becomes `user` */
	const struct gb_limit
		*limits; /* in place of the server's options, up to one of kind GB_LIMIT_NONE; or NULL */
	/** Messages that a client may send, up to NULL, for who tries the service out (verify): \r, \n, \t, \0 and \xHH
	 *  stand for bytes; a line feed or a length is added for the library's codecs, a codec of one's own gets them as
	 *  they are. NULL: a few lines of text. */
	const char *const *samples;

	/** gb_server_listen or gb_server_attach gets the service, once for each call: its settings are complete. What it
	 *  prepares in `user` all workers have, and what lies in shared memory their processes as well. Returns 0, or a
	 *  negative code with the reason in `error`, which is theirs: -GB_EUSAGE if a setting is wrong. */
	int (*on_prepare)(struct gb_server *server, void *user, struct gb_error *error);
	/** Once for each on_prepare that returned 0, in gb_server_destroy. */
	void (*on_release)(void *user);
	/** Counters of its own for the summary (--summary, SIGUSR1), as a JSON object. Returns its length, as snprintf
	 *  does. Called while workers run, in the process of gb_server_run. */
	int (*on_summary)(void *user, char *text, size_t size);
	/** Signals that it watches on its workers, GB_SIGNAL_BIT(SIGHUP) | … (gearbox/signal.h): the server catches them. */
	uint64_t signals;
	/** Who gets a message, by its content, in place of on_message; beside `serve`, for gb_stream_dispatch. NULL: none. */
	const struct gb_routes *routes;

	/** TLS of the outgoing connections that are made with this service (gb_connect, gb_stream_connect, gb_upstream_create
	 *  and their like), which are open once the handshake is done; borrowed. NULL: none. What is listened on has the
	 *  server's options `tls…` instead. */
	const struct gb_tls_client *tls;

	/** A worker begins, before its first connection: once, also with several addresses and the same `user`.
	 *  < 0 stops the server with that error. */
	int (*on_start)(struct gb_worker *worker, void *user);
	/** A worker ends, after its last connection. */
	void (*on_stop)(struct gb_worker *worker, void *user);
	/** A connection is open. < 0 refuses it: on_close follows with GB_CLOSE_REFUSED. */
	int (*on_open)(struct gb_conn *conn);
	/** One message, or without a codec the bytes as they arrived (at least one). */
	void (*on_message)(struct gb_conn *conn, struct gb_bytes message);
	/**
	 * A part of a message, so that one of gigabytes needs no memory: of those that are larger than max-message, which
	 * then bounds a part, and max-body the whole; without on_message of all, in parts as they come. In their order,
	 * where on_message would run; a pause (gb_conn_pause), or output above its high watermark, holds the next one and
	 * with it the peer. read-timeout is from part to part. docs/parts.md.
	 */
	void (*on_part)(struct gb_conn *conn, const struct gb_part *part);
	/** A message whose first part was handed over does not go on: why (enum gb_close_reason; GB_CLOSE_EOF: the peer's FIN
	 *  came inside it). Exactly once for each first part without a last one, before on_eof, on_error, on_close; none for
	 *  what gb_relay takes over. On the worker's thread. May be NULL: what has no last part was never whole. */
	void (*on_cut)(struct gb_conn *conn, int reason);
	/**
	 * In place of the callbacks for connections: a straight-line handler, which reads, waits and writes from top to
	 * bottom (gearbox/stream.h). When it returns, the connection ends in order. On the worker's thread, also with
	 * compute=threads. Of the callbacks for connections on_close alone may be set beside it.
	 */
	void (*serve)(struct gb_stream *stream);
	/** Output fell below the low watermark after a pause above the high one, or after -EAGAIN. */
	void (*on_writable)(struct gb_conn *conn);
	/** The peer half-closed; its bytes were all delivered. NULL: flush, then close. */
	void (*on_eof)(struct gb_conn *conn);
	/** The codec refused the input (GB_CLOSE_BAD_FRAME, GB_CLOSE_MESSAGE_TOO_LARGE; its own reason is `problem` of
	 *  gb_conn_frame), or the peer was too slow
	 *  (GB_CLOSE_READ_TIMEOUT, GB_CLOSE_IDLE): the connection is closed when this returns, and what it sends is the
	 *  last answer. On the worker's thread, also with compute=threads. NULL: it is closed without a word. */
	void (*on_error)(struct gb_conn *conn, int reason);
	/** The server, or this worker, begins to drain: once for each open connection. It is ended when nothing of it is
	 *  under way (docs/lifetimes.md); whoever has more to do holds it, or ends it himself. */
	void (*on_drain)(struct gb_conn *conn);
	/** The end, exactly once per on_open; `reason` is an enum gb_close_reason. The memory goes after it. */
	void (*on_close)(struct gb_conn *conn, int reason);
};

/** First entry of a service's initializer: `struct gb_service echo = { GB_SERVICE_INIT, .name = "echo", … };` */
#define GB_SERVICE_INIT .struct_size = sizeof(struct gb_service), .abi = GB_ABI

GB_END

#endif
