/**
 * A stream: a connection whose bytes a coroutine asks for.
 *
 * To net it is a connection like any other, with callbacks and a codec of our own: the codec frames what the coroutine
 * wants at the moment (some bytes, so many, up to a delimiter, a message), the callback puts it where the coroutine looks
 * for it and resumes it there and then. While nobody wants anything the connection is paused, and held: whoever works is
 * not idle. A message is copied, since it is valid until the next read whatever the handler waits for; what is sent of
 * it before the engine's buffer is used again goes from there, so that an echo leaves uncopied.
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "net/parts.h"
#include "net/sequential.h"
#include "stream/coroutine.h"

#include <gearbox/stream.h>

#define GB__STREAM_SMALL 512u /* a message up to so long is kept in the stream */

enum gb__want_kind {
	GB__WANT_NOTHING,
	GB__WANT_MESSAGE, /* of the codec */
	GB__WANT_PART,    /* of such a one, or all of it */
	GB__WANT_SOME,    /* bytes, up to `size`, into `data` */
	GB__WANT_EXACT,   /* so many: in one piece if they are few, else piece by piece */
	GB__WANT_UNTIL,   /* up to the delimiter of `size` bytes at `delimiter` */
};

/** Input is being handed over: more follows by itself. */
enum {
	GB__DELIVERING_NOT,
	GB__DELIVERING,
	GB__DELIVERING_DIRECT, /* by gb__stream_on_input: at its beginning all was as it nearly always is */
};

/** A drain found it idle. */
enum { GB__QUIET_NO, GB__QUIET_TOLD, GB__QUIET_RETURNED /* by a read */ };

struct gb__want {
	enum gb__want_kind kind;
	size_t size;
	unsigned char *data;
	const unsigned char *delimiter;
};

struct gb_stream {
	struct gb_conn *conn;
	struct gb__streams *streams;
	struct gb_coro *reader, *writer; /* who waits for input, respectively for room */
	struct gb__want want;
	size_t got;                    /* bytes of what was wanted that have come */
	struct gb_bytes message;       /* that was read last */
	const unsigned char *original; /* where it lies in the engine's buffer, while it does */
	struct gb__chunk *chunk;       /* or NULL: it is `small` */
	struct gb_coro *coro;          /* that serves or opened it */
	int error;                     /* of reading, for good; or 0 */
	int16_t reason;                /* to end it with; -1: as it comes */
	bool came;                     /* what was wanted is there */
	bool eof;                      /* the peer's FIN */
	bool cut;                      /* ... inside what was wanted, and nobody was told yet */
	bool over;                     /* the connection has ended, or is not the stream's any more */
	bool closed;                   /* while others wait for it: the last of them destroys it */
	bool away;                     /* nobody reads: it is paused and held */
	uint8_t delivering;            /* GB__DELIVERING_… */
	uint8_t quiet;                 /* GB__QUIET_… */
	bool flushes;                  /* `writer` waits until all is gone */
	bool opened;                   /* by gb_stream_connect */
	unsigned in_a_row;             /* messages without a wait in between */
	struct gb_frame frame;
	struct gb_part part; /* that was read last, but for its bytes */
	struct gb__parts parts;
	unsigned char small[GB__STREAM_SMALL] __attribute__((aligned(16)));
};

extern const struct gb__sequential gb__sequential;
/** Of a pool whose connections are taken as streams (net/upstream.h). */
extern const struct gb__upstream_style gb__upstream_streams;

/** For functions that handlers call, as gb__conn_mine_in. */
#define gb__stream_mine_in(stream, function) \
	gb__rule_in(function, 15, gb__loop_here((stream)->streams->loop), \
		"a stream is used on another thread than its worker's")

/** Its connection, if that lives and output can collect for it; NULL stream: NULL. */
struct gb_conn *gb__stream_open_conn(const struct gb_stream *stream);
/** A stream for a connection that is being opened, or NULL without memory. */
struct gb_stream *gb__stream_create(struct gb__streams *streams, struct gb_coro *coro);
/** Join it with its connection. */
void gb__stream_attach(struct gb_stream *stream, struct gb_conn *conn);
/** Let go of the connection, which ends in order unless it has ended; and of what was read. */
void gb__stream_detach(struct gb_stream *stream);
/** Undo gb__stream_create. */
void gb__stream_destroy(struct gb_stream *stream);
/** A wait for it is over, with `result`. When it was closed meanwhile a negative code comes back, and it may be gone. */
int gb__stream_left(struct gb_stream *stream, int result);
/** What came of a connection that has ended, as a negative code. */
int gb__stream_code(int reason, int error);

/* coroutine.c, for the seam */
void gb__coro_run_ready(struct gb__net *net);
bool gb__coro_trim(struct gb__net *net);
void gb__coro_drain_all(struct gb__net *net);
void gb__coro_cancel_all(struct gb__net *net);

/* scope.c */
/** A coroutine is started in it. */
void gb__scope_joined(struct gb_scope *scope, struct gb_coro *coro);
/** One of its coroutines has returned `result`. */
void gb__scope_left(struct gb_coro *coro, int result);

/* read.c */
/** What was read last goes. */
void gb__stream_drop(struct gb_stream *stream);
/** Nobody reads: pause and hold it. */
void gb__stream_rest(struct gb_stream *stream);
/** Its codec. */
int gb__stream_decode(const void *options, void *state, struct gb_bytes input, size_t message_max,
	uint32_t *scanned, struct gb_frame *ret);
/** The same of one on a socket of packets: each read is given one, whole. */
int gb__stream_decode_packet(const void *options, void *state, struct gb_bytes input, size_t message_max,
	uint32_t *scanned, struct gb_frame *ret);
/** Input: of its endpoint. */
void gb__stream_on_input(struct gb__stream *endpoint, unsigned char *data, size_t size);
/** Input that it framed. */
void gb__stream_on_message(struct gb_conn *conn, struct gb_bytes bytes);

#endif
