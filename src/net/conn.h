/**
 * A connection. Life: (connecting ->) (front ->) open (-> half-closed) -> draining -> lingering -> ended -> gone.
 *
 * The first 64 bytes are all that a message touches when it is complete and its reply leaves at once.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/assert.h"
#include "base/macros.h"
#include "net/front.h"
#include "net/net.h"

#include <gearbox/conn.h>
#include <gearbox/service.h>

enum gb__conn_state {
	GB__CONN_CONNECTING,  /* outgoing, not established */
	GB__CONN_FRONT,       /* what comes before the service's bytes is not complete (front.h) */
	GB__CONN_OPEN,        /* messages go both ways */
	GB__CONN_HALF_CLOSED, /* the peer's FIN was told to the handler */
	GB__CONN_DRAINING,    /* closing: output left, input is discarded */
	GB__CONN_LINGERING,   /* our FIN is out, input is discarded until the peer's */
	GB__CONN_ENDED,       /* to be detached, told and freed by the next turn */
	GB__CONN_DETACHING,   /* the engine still has operations in flight */
	GB__CONN_STALE,       /* a facade whose handler has returned */
	GB__CONN_TASK,        /* no connection: the facade that a pool thread sees (task.h) */
};

enum gb__conn_flag {
	GB__CONN_DISPATCH = 1u << 0, /* inside a callback; whoever called it settles afterwards */
	GB__CONN_FRONTED =
		1u << 1,          /* what is sent is in its front's keeping, and to be encrypted (front.h) */
	GB__CONN_MUTED = 1u << 2, /* the engine delivers no input */
	GB__CONN_KEPT = 1u << 3,  /* `input` holds bytes */
	GB__CONN_PARTIAL = 1u << 4, /* what is kept is the beginning of a message */
	GB__CONN_PAUSED = 1u << 5,  /* by the handler */
	GB__CONN_HIGH = 1u << 6,    /* output rose above the high watermark and not yet below the low one */
	GB__CONN_REFUSED_TRY = 1u << 7, /* gb_conn_try_send said -EAGAIN: on_writable is owed */
	GB__CONN_FLUSHING = 1u << 8,    /* the engine has output under way and will say on_output */
	GB__CONN_EOF = 1u << 9,         /* the peer's FIN arrived */
	GB__CONN_RESET = 1u << 10,      /* close with a reset */
	GB__CONN_OUTPUT_END =
		1u << 11, /* gb_conn_end_output: a FIN follows on what is queued, nothing more is */
	GB__CONN_REPLIES = 1u << 12, /* replies are open: what is sent comes behind them (reply.h) */
	GB__CONN_TASKED = 1u
		<< 13, /* a message of it is in the compute pool: nothing else is called (but where replies are loose) */
	GB__CONN_PARKED = 1u << 14, /* waits for room in the compute pool */
	/* The state is draining or a later one, so that one test tells; or it connects, to send what is queued and
	 * be closed then; or it is a facade. */
	GB__CONN_CLOSING = 1u << 15,
};

/** Flags that hardly a message looks at. */
enum gb__conn_further {
	GB__CONN_FURTHER_OUTGOING = 1u << 0, /* made by gb_connect */
	GB__CONN_FURTHER_JOINED = 1u << 1,   /* gb_relay paused it until the next turn */
	GB__CONN_FURTHER_LATE = 1u << 2, /* the message's time began anew once: we were late, not the peer */
	/* Its answers come from elsewhere: a message was not answered at once, or it was sent to outside its callbacks. */
	GB__CONN_FURTHER_ELSEWHERE = 1u << 3,
	GB__CONN_FURTHER_PARTS = 1u << 4,  /* parts of a message were delivered, and it goes on (parts.h) */
	GB__CONN_FURTHER_QUEUED = 1u << 5, /* on the list of the turn */
};

/** What has happened to it, once. */
enum gb__conn_past {
	GB__CONN_PAST_OPENED = 1u << 0,       /* on_open was called, so on_close is owed */
	GB__CONN_PAST_OUTPUT_ENDED = 1u << 1, /* the FIN of GB__CONN_OUTPUT_END is out */
	GB__CONN_PAST_DRAIN_TOLD = 1u << 2,
	GB__CONN_PAST_LOGGED = 1u << 3, /* why it ends, while the peer had an address */
	GB__CONN_PAST_CUT = 1u << 4,    /* the peer's FIN came inside a message */
};

/** Any of these stops the delivery of messages. */
#define GB__CONN_STOPPED (GB__CONN_PAUSED | GB__CONN_HIGH | GB__CONN_TASKED | GB__CONN_PARKED)
/** With any of these, input does not go straight to the handler. Who gets input and has none is open. */
#define GB__CONN_SLOW_INPUT \
	(GB__CONN_STOPPED | GB__CONN_KEPT | GB__CONN_EOF | GB__CONN_CLOSING | GB__CONN_OUTPUT_END | \
		GB__CONN_REPLIES)
/** With any of these, the end of a dispatch has more to do than to flush. Who has none is open. */
#define GB__CONN_SLOW_SETTLE (GB__CONN_SLOW_INPUT | GB__CONN_REFUSED_TRY | GB__CONN_MUTED | GB__CONN_FRONTED)

struct gb_conn {
	struct gb__stream stream; /* first: what the engine knows */
	struct gb__net *net;
	struct gb__terms *terms; /* service, user, limits */
	uint32_t active_ms;      /* when bytes last moved: the loop's clock, cut to 32 bits */
	uint16_t flags;          /* GB__CONN_… */
	uint8_t state;           /* enum gb__conn_state */
	uint8_t further;         /* GB__CONN_FURTHER_… */

	/* the rest, for what is out of the ordinary */
	struct gb__chunk *input;        /* bytes that no message has consumed, with GB__CONN_KEPT */
	struct gb__wheel_node deadline; /* the earliest, or earlier: see deadline.c */
	uint32_t turn_next;             /* on the list of the turn: slot + 1 */
	uint32_t progress_ms;           /* when output last moved, the FIN was sent, or the connect began */
	union {
		int16_t error; /* once it has ended: errno behind the reason (gb__conn_errno) */
		/* Before, while output waits: what of it was in the kernel when last asked, cut; 0: nobody has. */
		uint16_t held;
	};
	union {
		uint16_t holds;  /* until it closes: gb_conn_hold */
		uint16_t unsent; /* while it lingers: bytes in the kernel when last asked, cut to 16 bits */
	};
	uint8_t reason;     /* enum gb_close_reason, once closing */
	uint8_t idle_turns; /* while draining: turns in which it was idle */
	uint8_t opened_ms;  /* active_ms of when it was opened, cut further */
	uint8_t past;       /* GB__CONN_PAST_… */
} __attribute__((aligned(16)));

static_assert(
	sizeof(struct gb_conn) == 112, "places lie side by side: with its user's data it spans two lines");
static_assert(offsetof(struct gb_conn, input) == 64, "the hot part is one cache line long");

/** Whether nothing is delivered now. Replies that need not wait for one another let several messages into the pool. */
static inline bool gb__conn_stopped(const struct gb_conn *conn)
{
	unsigned stops = conn->flags & GB__CONN_STOPPED;

	if (gb__unlikely(stops == GB__CONN_TASKED) && conn->terms->replies.loose)
		return conn->terms->tasks >= conn->terms->limits->replies_max || conn->terms->refused ||
			conn->terms->part_away;
	return stops;
}

static inline struct gb_conn *gb__conn_of(struct gb__stream *stream)
{
	return (struct gb_conn *)stream;
}

static inline uint32_t gb__net_now(const struct gb__net *net)
{
	return (uint32_t)net->engine->now_ms;
}

/** Stamps are 32 bits of milliseconds; the options limit timeouts to a week. */
static inline uint32_t gb__net_elapsed(const struct gb__net *net, uint32_t since_ms)
{
	int32_t passed = (int32_t)(gb__net_now(net) - since_ms);

	return passed > 0 ? (uint32_t)passed : 0;
}

/** Whether what is kept may hold whole messages, which waits for a turn or for the end of a pause. */
static inline bool gb__conn_backlog(const struct gb_conn *conn)
{
	return (conn->flags & (GB__CONN_KEPT | GB__CONN_PARTIAL)) == GB__CONN_KEPT;
}

/** Whether what is kept is the beginning of a message. (While it closes nothing is kept any more.) */
static inline bool gb__conn_keeps_partial(const struct gb_conn *conn)
{
	return (conn->flags & (GB__CONN_KEPT | GB__CONN_PARTIAL)) == (GB__CONN_KEPT | GB__CONN_PARTIAL);
}

/** Whether a message is incomplete: its beginning is kept, or was delivered. */
static inline bool gb__conn_within_message(const struct gb_conn *conn)
{
	return (conn->flags & GB__CONN_KEPT) || (conn->further & GB__CONN_FURTHER_PARTS);
}

static inline bool gb__conn_closing(const struct gb_conn *conn)
{
	return conn->flags & GB__CONN_CLOSING;
}

/** Where bytes that are to be sent next are appended. */
static inline struct gb__output *gb__conn_sink(struct gb_conn *conn)
{
	return gb__unlikely(conn->flags & GB__CONN_FRONTED) ? &conn->terms->fronted->plain
							    : &conn->stream.output;
}

/** Bytes that are to be sent next. */
static inline size_t gb__conn_next_bytes(const struct gb_conn *conn)
{
	size_t bytes = conn->stream.output.bytes;

	return gb__unlikely(conn->flags & GB__CONN_FRONTED) ? bytes + conn->terms->fronted->plain.bytes
							    : bytes;
}

/** Whether there are none. */
static inline bool gb__conn_next_empty(const struct gb_conn *conn)
{
	return gb__output_empty(&conn->stream.output) &&
		(gb__likely(!(conn->flags & GB__CONN_FRONTED)) ||
			gb__output_empty(&conn->terms->fronted->plain));
}

/** Whether a reply that is fed bit by bit has its turn, and the output room for more. */
static inline bool gb__conn_feeds(const struct gb_conn *conn, const struct gb__place *place)
{
	const struct gb__limits *limits = conn->terms->limits;
	const size_t bytes = gb__conn_next_bytes(conn);

	return conn->terms->replies.first == place && bytes <= limits->output_low &&
		bytes < limits->output_bytes_max;
}

/** Bytes that wait to be sent, those that wait for a reply before them included. */
static inline size_t gb__conn_output_bytes(const struct gb_conn *conn)
{
	const size_t bytes = gb__conn_next_bytes(conn);

	return gb__unlikely(conn->flags & GB__CONN_REPLIES) ? bytes + conn->terms->replies.waiting : bytes;
}

/** After bytes were queued: whether reading has to stop, or the handler is owed a word once there is room. */
static inline void gb__conn_output_rose(struct gb_conn *conn, size_t bytes)
{
	if (gb__unlikely(bytes > conn->terms->limits->output_high))
		conn->flags |= conn->terms->reads_on ? GB__CONN_REFUSED_TRY : GB__CONN_HIGH;
}

/** For functions that handlers call: it is theirs to use on this thread, and no facade whose handler has returned. */
#define gb__conn_mine(conn) gb__conn_mine_in(conn, __func__)
/** The same behind the function that was called. */
#define gb__conn_mine_in(conn, function) \
	do { \
		if (gb__unlikely(!gb__loop_here((conn)->net->loop) || (conn)->state == GB__CONN_STALE)) \
			gb__conn_misused(conn, function); \
	} while (0)
/** Says which rule was broken, and ends the program. */
_Noreturn void gb__conn_misused(const struct gb_conn *conn, const char *function);

/* conn.c */
/** What engines call of a connection: without a codec, with one, and of whoever takes parts. */
extern const struct gb__endpoint_ops gb__conn_plain_ops, gb__conn_coded_ops, gb__conn_parts_ops,
	gb__conn_front_ops, gb__conn_packet_ops;
/** A zeroed connection for `fd`, not attached yet, or NULL. It has a place among all that are open already. */
struct gb_conn *gb__conn_create(
	struct gb__net *net, int fd, const struct gb_service *service, void *user, enum gb__for who);
/** Undo gb__conn_create before anything was attached or told. Closes the descriptor. */
void gb__conn_discard(struct gb_conn *conn);
/** The end of its input, as engines tell it. */
void gb__conn_on_end(struct gb__stream *stream, int error);
/** What engines call of it, but for a front that is there, or packets. */
static inline void gb__conn_ops(struct gb_conn *conn, const struct gb__endpoint_ops *ops)
{
	if (gb__likely(!(conn->flags & GB__CONN_FRONTED)) &&
		gb__likely(conn->stream.endpoint.kind != GB__ENDPOINT_PACKET))
		conn->stream.endpoint.ops = ops;
}
/** Its bytes come and go, and a PROXY header was read: what comes next begins. */
void gb__conn_established(struct gb_conn *conn);
/** It is established: deliver from now on and tell the handler. */
void gb__conn_open(struct gb_conn *conn);
/** Flush, half-close, linger, end with `reason`; does nothing when it is closing already. */
void gb__conn_close(struct gb_conn *conn, int reason);
/** The same of one whose front has failed: it was not opened, and what it has to say is in its output. */
void gb__conn_close_front(struct gb_conn *conn, int reason);
/** What the codec found, or a timeout of the peer: tell on_error, which may send a last answer, and close. */
void gb__conn_close_for_error(struct gb_conn *conn, int reason);
/** End now; the rest happens in the next turn. A reason given earlier by gb__conn_close stays if it was
 *  carried out as far as the FIN. */
void gb__conn_end(struct gb_conn *conn, int reason, int error);
/** End it by a reset, and say why: before it was opened. */
void gb__conn_drop(struct gb_conn *conn, int reason, const char *problem);
/** Put what collects in the burst of this connection into its output: from here on its sends are queued. */
int gb__conn_spill(struct gb_conn *conn);
/** The errno of a failed operation as a reason. */
int gb__conn_reason_of(int error);
/** After bytes were queued, or not (`result`): limits, and who is not in a callback of this connection needs a turn. */
int gb__conn_queued(struct gb_conn *conn, int result, size_t size);
/** Whether nothing can be sent any more. */
bool gb__conn_ended(struct gb_conn *conn);
/** Queue what a task collected. */
void gb__conn_take_output(struct gb_conn *conn, struct gb__output *output);
/** gb__conn_settle beyond its shortcut. */
void gb__conn_settle_rest(struct gb_conn *conn);
/** Deliver what is kept, as far as it may be by now, and settle. */
void gb__conn_go_on(struct gb_conn *conn);
/** Have the next turn settle it. */
void gb__conn_queue(struct gb_conn *conn);
/** Work off the list of the turn. */
void gb__conn_turn(struct gb__net *net);
/** The bytes of the codec's state behind the connection; before it, where a stream reads, its link. */
static inline void *gb__conn_codec_state(struct gb_conn *conn)
{
	return conn + 1;
}
/** What a handler sends from here on until gb__conn_leave leaves with one send: outside of callbacks. */
void gb__conn_enter(struct gb_conn *conn);
void gb__conn_leave(struct gb_conn *conn);
/** What was collected and queued leaves now, as far as the kernel takes it; inside callbacks as well. */
void gb__conn_push(struct gb_conn *conn);
/** The queued part of that. */
void gb__conn_flush(struct gb_conn *conn);

/** After any callback of the handler or change: flush, and whatever else has become due. */
static inline void gb__conn_settle(struct gb_conn *conn)
{
	if (gb__likely(!(conn->flags & GB__CONN_SLOW_SETTLE)) &&
		gb__likely(gb__output_empty(&conn->stream.output)) && gb__likely(conn->net->plain))
		return;
	gb__conn_settle_rest(conn);
}

/** Perhaps all of its output has left, which somebody may have timed. */
static inline void gb__conn_left(struct gb_conn *conn)
{
	if (gb__unlikely(conn->net->tracing.leaving))
		gb__ledger_left(conn);
}

/* input.c */
/** The codec has refused the input. */
void gb__conn_refuse_input(struct gb_conn *conn, int found, const char *problem);
void gb__conn_on_input(struct gb__stream *stream, unsigned char *data, size_t size);
/** The same where the service has a codec. */
void gb__conn_on_coded_input(struct gb__stream *stream, unsigned char *data, size_t size);
/** The same of a packet, or one that was cut. */
void gb__conn_on_packet(struct gb__stream *stream, unsigned char *data, size_t size);
/** Append to what is kept. Returns 0 or -ENOMEM. */
int gb__conn_keep(struct gb_conn *conn, const unsigned char *data, size_t size);
/** Deliver from what is kept, as far as the handler lets it. */
void gb__conn_deliver_kept(struct gb_conn *conn);
void gb__conn_input_drop(struct gb_conn *conn);

/* relay.c */
enum gb__relay_end {
	GB__RELAY_OVER,     /* all was said on both sides */
	GB__RELAY_IN_ORDER, /* it closes, and what it had received was passed on */
	GB__RELAY_CUT,
};
/** It ends: so does the connection that it is joined with, but for what is over by itself. */
void gb__relay_cut(struct gb_conn *conn, enum gb__relay_end end);
/** Its output has fallen: the other side is read again. */
void gb__relay_output_fell(struct gb_conn *conn);
/** gb_relay is over, the turn has come: deliver from now on. */
void gb__relay_begin(struct gb_conn *conn);

/* drain.c */
/** Add to, respectively take from, its holds: gb_conn_hold. */
void gb__conn_hold(struct gb_conn *conn, int change);

/* deadline.c */
/** See to it that the wheel looks at this connection within `timeout_ms` (0: no such timeout). */
void gb__conn_deadline_within(struct gb_conn *conn, uint64_t timeout_ms);
/** How long nothing has moved on it, nor on the one that it is joined with. */
uint32_t gb__conn_idle_ms(const struct gb_conn *conn);
/** The errno behind its end; 0 before. */
static inline int gb__conn_errno(const struct gb_conn *conn)
{
	return conn->state >= GB__CONN_ENDED ? conn->error : 0;
}

/** How long output may make no progress: the write timeout; another bound while it closes and there is none; 0: none. */
uint64_t gb__conn_stall_ms(const struct gb_conn *conn);
/** It begins to close, and the engine has output under way: that has a bound from here on, if it had none. */
void gb__conn_bound_output(struct gb_conn *conn);
/** Reading goes on: the message under way has its time from now. */
void gb__conn_read_anew(struct gb_conn *conn);
/** It is no longer read from: notice a reset all the same, within a second. */
void gb__conn_listen_for_reset(struct gb_conn *conn);
/** Whether the node comes up at this time, or before; `deadline_within` has nothing to do then. */
static inline bool gb__conn_due_by(const struct gb_conn *conn, uint64_t due_ms)
{
	return gb__wheel_pending(&conn->deadline) &&
		(int32_t)(conn->deadline.due - (uint32_t)(due_ms / GB__WHEEL_TICK_MS)) <= 1;
}
/** The engine has output under way and will say on_output. It may make no progress for `timeout_ms`: half way it is
 *  looked at what the kernel holds (deadline.c). */
static inline void gb__conn_flushing(struct gb_conn *conn, uint64_t timeout_ms)
{
	uint64_t now_ms = conn->net->engine->now_ms, half_ms = (timeout_ms + 1) / 2;

	conn->flags |= GB__CONN_FLUSHING;
	conn->progress_ms = (uint32_t)now_ms;
	if (gb__unlikely(!gb__conn_due_by(conn, now_ms + half_ms)))
		gb__conn_deadline_within(conn, half_ms);
}
/** A wheel node expired: act if a timeout did, else wait for the next one. */
void gb__conn_on_deadline(struct gb__wheel_node *node, void *arg);

#endif
