/**
 * The contract between engines and the core: how bytes move between the kernel and an endpoint.
 *
 * An engine belongs to one thread (and one process: it does not survive fork). It knows endpoints
 * with callbacks, never connections. The happy path of a stream:
 *
 *   attach -> input_start -> on_input* -> (the core queues output, flush) -> on_end(0) -> detach
 *
 * and the rules, the same for every engine and tested by one suite:
 *
 * - Every started operation completes exactly once, by its callback or by detach.
 * - Callbacks happen inside `wait` only (plus on_connected/on_detached: also only inside wait), never
 *   inside another engine call; they may call anything of the engine but `wait`.
 * - After input_stop at most what the kernel had completed already still arrives by on_input; the
 *   core keeps it. input_start may come at any time again.
 * - After on_end neither on_input nor another on_end follows, even if input is started again. on_end(0) is
 *   the peer's FIN, else a negative errno. Output may still be flushed after on_end(0).
 * - flush sends as much as the kernel takes, in order. At most one send is in flight. While output
 *   waits the engine watches for room by itself and says on_output whenever some left.
 * - detach ends all interest; once it is done nothing is in flight, the engine holds no bytes of this
 *   endpoint (unread ones were delivered, unsent ones, borrowed or not, are still in `output`), and
 *   the descriptor still open belongs to the caller. The endpoint's memory must stay until then, and the
 *   descriptor, unless it was only watched: that may be closed as soon as detach has returned.
 * - A socket of packets is a stream whose bytes are whole packets, each behind its header (buffer/output.h): on_input gets
 *   one, and each that is queued leaves as one, or not yet. One that is larger than GB__PACKET_MAX comes as a header alone.
 * - An endpoint that wants nothing is out of the poller: a hang-up that nobody asked about must not
 *   spin (epoll reports ERR and HUP for an empty mask as well).
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/macros.h"
#include "buffer/output.h"
#include "os/os.h"

#include <gearbox/error.h>

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct gb__engine;
struct gb__endpoint;
struct gb__file;
struct gb__stream;
struct gb__poller_ops;
struct gb__ring_ops;
struct gb__receiver;

/** Writable bytes in front of what on_input delivers: a short partial message is moved there. */
#define GB__INPUT_HEADROOM 512u
/** At most so many bytes are delivered at once. */
#define GB__INPUT_MAX (64u << 10)
static_assert(GB__INPUT_MAX == GB__PACKET_MAX, "a packet is delivered at once");
/** Bytes in front of where packets are received: the headroom, and a cache line before it for their header, so that they lie as
 *  aligned as streams' bytes. */
#define GB__INPUT_PACKET_BEFORE (GB__INPUT_HEADROOM + 64u)

enum gb__endpoint_kind {
	GB__ENDPOINT_STREAM,   /* a connected or connecting socket: struct gb__stream */
	GB__ENDPOINT_PACKET,   /* the same of packets (SOCK_SEQPACKET): struct gb__stream */
	GB__ENDPOINT_LISTENER, /* a listening socket */
	GB__ENDPOINT_WATCH,    /* a foreign descriptor, watched for readiness */
	GB__ENDPOINT_FILE,     /* a call on a file: struct gb__file */
};

/** What an endpoint wants of the engine at the moment; set by the engine's own functions. */
enum {
	GB__WANT_INPUT = 1u,
	GB__WANT_OUTPUT = 2u,
	/* Set by the owner of a stream before it detaches it: the descriptor is closed next, which may spare the
	 * engine a call. */
	GB__WANT_CLOSE = 4u,
};

/** Same numbers as poll(2) and epoll(7). */
enum { GB__READY_IN = 1u, GB__READY_OUT = 4u, GB__READY_ERROR = 8u, GB__READY_HANGUP = 16u };

/** Among the bits that are watched for: of several who watch the same one is to be told, where the engine can. */
#define GB__READY_SHARED (1u << 1)
/** Likewise: who makes it ready also wakes the engine, or calls its receiver, afterwards. */
#define GB__READY_WAKES (1u << 5)

struct gb__endpoint_ops {
	/** STREAM: bytes arrived, at least one; valid during the call, HEADROOM writable bytes before. */
	void (*on_input)(struct gb__stream *stream, unsigned char *data, size_t size);
	/** STREAM: the end of input: 0 for FIN, or a negative errno that also ends output. Once. */
	void (*on_end)(struct gb__stream *stream, int error);
	/** STREAM: queued output left after a flush that could not finish; 0, or a negative errno, once. */
	void (*on_output)(struct gb__stream *stream, int error);
	/** STREAM: the outgoing connection is established (0) or failed. */
	void (*on_connected)(struct gb__stream *stream, int error);
	/** LISTENER: a new descriptor, to be owned by the callee, or a negative errno that is no passing one
	 *  (gb__accept_verdict), or one of so many in a row that they do not pass. */
	void (*on_accept)(struct gb__endpoint *listener, int fd);
	/** WATCH: GB__READY_… bits; level-triggered: again and again until handled or unwatched. */
	void (*on_ready)(struct gb__endpoint *watch, unsigned ready);
	/** FILE: what came of its call; it is not attached any more. */
	void (*on_file)(struct gb__file *file, int result);
	/** Any: a detach that returned 1 is done. */
	void (*on_detached)(struct gb__endpoint *endpoint);
};

/** Embedded first in what it stands for. Fill ops, fd and kind; the rest is the engine's. */
struct gb__endpoint {
	const struct gb__endpoint_ops *ops;
	int32_t fd;
	uint32_t slot;       /* index in the engine's table while attached */
	uint32_t generation; /* never 0; tells this attachment from earlier ones of the slot */
	union {
		struct {
			uint8_t kind;  /* enum gb__endpoint_kind */
			uint8_t wants; /* GB__WANT_… */
			uint8_t armed; /* engine: what is watched, respectively in flight */
			uint8_t bits;  /* engine: further state */
		};
		struct gb__endpoint_state {
			uint8_t kind, wants, armed, bits;
		} state;       /* all of it, to be compared at once */
		uint32_t word; /* the same: see gb__state_word */
	};
};

/** Whether it is a struct gb__stream, of bytes or packets. */
static inline bool gb__endpoint_is_stream(const struct gb__endpoint *endpoint)
{
	return endpoint->kind <= GB__ENDPOINT_PACKET;
}

/** A state as `word` of an endpoint has it, so that several parts are looked at or changed at once. */
static inline uint32_t gb__state_word(struct gb__endpoint_state state)
{
	union {
		struct gb__endpoint_state state;
		uint32_t word;
	} both = { .state = state };

	return both.word;
}

struct gb__stream {
	struct gb__endpoint endpoint;
	struct gb__output output; /* the core appends, the engine consumes */
};

/** Tell of a packet that was received, of this size, into GB__PACKET_MAX bytes at `data`, before which there is room for its
 *  header and GB__INPUT_HEADROOM. */
static inline void gb__stream_tell_packet(struct gb__stream *stream, unsigned char *data, ssize_t size)
{
	const bool cut = size > (ssize_t)GB__PACKET_MAX;
	const uint32_t header = cut ? GB__PACKET_CUT : (uint32_t)size;

	data -= GB__PACKET_HEADER;
	memcpy(data, &header, sizeof(header));
	stream->endpoint.ops->on_input(stream, data, GB__PACKET_HEADER + (cut ? 0 : (size_t)size));
}

/** A call on a file under way; the engine attaches it for that long. */
struct gb__file {
	struct gb__endpoint endpoint;
	struct gb__file_call call;
	int result; /* the engine's */
};

struct gb__engine_options {
	struct gb__os *os;                   /* never NULL */
	const struct gb__poller_ops *poller; /* reactor: which poller */
	const struct gb__ring_ops *ring;     /* proactor: which ring */
	unsigned accept_batch;               /* descriptors taken from a listener per turn; 0: a default */
	/* Take new connections inside the wait only, once told that there are some: others wait on the same listening
	 * sockets, or the process forks. A ring would take them whatever its thread does meanwhile. */
	bool accept_when_ready;
	bool accept_exclusive; /* of several waiters on a listening socket or a shared watch only one is to wake */
	bool accept_first; /* tell of new connections before all else that a wait brought: on_accepts_told */
	struct gb__receiver *receiver; /* blocking: who else calls, too (os/receive.h); or NULL */
	unsigned receive_ms;           /* blocking: the longest receive; 0: a default */
	bool copied;      /* who passes us streams' descriptors is slower to close its own than we may be */
	unsigned buffers; /* proactor: receive buffers, a power of two; 0: a default */
	unsigned buffer_size;                    /* proactor: of each, headroom apart; 0: a default */
	unsigned bulk_buffers, bulk_buffer_size; /* proactor: the same of the large ones */
	unsigned entries;                        /* proactor: submission queue entries; 0: a default */
	unsigned completions;                    /* proactor: completion queue entries; 0: a default */
	unsigned ring_mask; /* proactor: ring features not to use even where they work (tests) */
	bool tried;         /* proactor: as many as there will be could be had a moment ago */
};

/** Counters, written by the engine's thread alone. */
struct gb__engine_stats {
	uint64_t waits;                    /* returns from the wait for events */
	uint64_t events;                   /* events or completions handled */
	uint64_t receives, sends, accepts; /* operations started */
	uint64_t again;                    /* operations that would have blocked */
	uint64_t starved;                  /* receives that found no buffer (ENOBUFS) */
	uint64_t renewed;                  /* sets made anew: somebody held copies of what had been closed */
};

enum {
	GB__ENGINE_ONE_STREAM = 1u << 0, /* serves one incoming stream at a time: listeners rest meanwhile */
	GB__ENGINE_SENDS_AT_ONCE = 1u << 1, /* performs sends itself: gb__engine_send */
};

/** For who waits in a loop of his own: by a descriptor, and only then calls `wait`, with 0. */
struct gb__engine_polled_ops {
	/** Before anything is attached. Returns a descriptor, the engine's, that is readable once `wait` has something to do;
	 *  or -ENOTSUP, or another negative errno. */
	int (*begin)(struct gb__engine *engine);
	/** The descriptor was heard: `wait` follows. */
	void (*heard)(struct gb__engine *engine);
	/** Whether the next `wait` has something to do that the descriptor does not tell of. */
	bool (*due)(const struct gb__engine *engine);
};

struct gb__engine_ops {
	const char *name; /* kind: "blocking", "reactor", "proactor" */
	unsigned caps;    /* GB__ENGINE_… */
	/** Returns 0, or -ENOTSUP, -EPERM, -ENOSYS… with the reason, where the kernel refuses. */
	int (*create)(
		const struct gb__engine_options *options, struct gb__engine **ret, struct gb_error *error);
	/** Everything must be detached. After fork the child may call it on the parent's engine to let go. */
	void (*destroy)(struct gb__engine *engine);

	/** Register. Returns 0, -ENOMEM, -GB_ELIMIT (the descriptor is too high for this engine). */
	int (*attach)(struct gb__engine *engine, struct gb__endpoint *endpoint);
	/** Returns 0 when done at once, 1 when on_detached follows. */
	int (*detach)(struct gb__engine *engine, struct gb__endpoint *endpoint);

	/** Begin, respectively end, delivering input (STREAM), accepting (LISTENER). Returns 0 or -ENOMEM… */
	int (*input_start)(struct gb__engine *engine, struct gb__endpoint *endpoint);
	void (*input_stop)(struct gb__engine *engine, struct gb__endpoint *endpoint);
	/** Send what is queued. Returns 0 (all gone), 1 (on_output follows), or a negative errno (final). */
	int (*flush)(struct gb__engine *engine, struct gb__stream *stream);
	/**
	 * From inside on_input: a chunk of delivered bytes that stay where they lie, to be sent from there, until
	 * it is destroyed, which must be before the engine is. NULL when they must be copied after all; the
	 * operation is NULL where they always must.
	 */
	struct gb__chunk *(*borrow)(struct gb__engine *engine, const void *data, size_t size);
	/**
	 * From inside on_input, with nothing queued: send delivered bytes from where they lie. Returns true: they are
	 * the output now and on their way, as after `borrow` and `flush`, and on_output follows; false: not this way.
	 * NULL where sends are performed at once.
	 */
	bool (*send_delivered)(
		struct gb__engine *engine, struct gb__stream *stream, const void *data, size_t size);
	/** Begin an outgoing connection on an unconnected socket; on_connected follows. */
	int (*connect)(struct gb__engine *engine, struct gb__stream *stream, const struct sockaddr *address,
		socklen_t size);
	/** Close a descriptor that is not attached, at the latest with the next wait; NULL: the kernel's table does. */
	void (*close)(struct gb__engine *engine, int fd);
	/** Whether the kernel has done something for it that `wait` has not told yet; NULL: it never has, since it is
	 *  the engine that does things. */
	bool (*done_untold)(struct gb__engine *engine, const struct gb__stream *stream);
	/** The error that ended a stream while its input was not wanted, as on_end will tell it, or 0; NULL: it is still
	 *  the kernel's. */
	int (*error_untold)(struct gb__engine *engine, const struct gb__stream *stream);
	/** WATCH: report these GB__READY_… bits from now on, perhaps with GB__READY_WAKES; 0 rests. Returns 0, or as the
	 *  poller: -EEXIST, where another is attached with the same descriptor. */
	int (*watch)(struct gb__engine *engine, struct gb__endpoint *endpoint, unsigned ready);

	/** FILE: carry out its call; on_file follows. Returns 0, -ENOMEM. NULL: it cannot, and whoever can wait for a disk
	 *  does it. */
	int (*file)(struct gb__engine *engine, struct gb__file *file);
	/** It is under way: have it end soon, with -ECANCELED, -EINTR, or as if nothing had been said. */
	void (*file_cancel)(struct gb__engine *engine, struct gb__file *file);

	/**
	 * Give back memory that a burst has touched and nothing needs now. Outside of `wait`. Returns false when some
	 * was in use: try again later. NULL: there is none.
	 */
	bool (*trim)(struct gb__engine *engine);

	/** Dispatch what happened, waiting up to `timeout_ns` (-1: for ever, 0: not) for something. */
	int (*wait)(struct gb__engine *engine, int64_t timeout_ns);
	/** Make a present or the next wait return. Thread: any. */
	void (*wake)(struct gb__engine *engine);
	const struct gb__engine_polled_ops *polled; /* NULL: it cannot be */
};

/** The part that all engines share. */
struct gb__engine {
	const struct gb__engine_ops *ops;
	struct gb__os *os;
	const char *name;     /* as the axis says: "epoll", "io_uring", "blocking" */
	struct gb__pool pool; /* chunks for input rests and output of this engine's streams */
	struct gb__engine_stats stats;
	struct gb__endpoint **slots; /* by slot; free ones hold (next << 1 | 1) */
	uint32_t slots_size;         /* allocated */
	uint32_t slots_used;         /* the first so many were given out once; the rest is not touched */
	uint32_t slots_free;         /* first free slot, or UINT32_MAX */
	uint32_t attached;           /* endpoints */
	uint32_t generation;         /* last one given out */
	uint64_t now_ms;             /* coarse monotonic clock, read when the wait for events returned */
	bool simulated;              /* as its `os` is: what each message asks */
	bool awake; /* since then, until its owner sleeps again: others may look (model/stall.h) */
	pid_t pid;  /* creator: an engine does not survive fork */
	/** With the option accept_first, set by the owner: called by each wait once its new connections were told, and
	 *  nothing else yet. */
	void (*on_accepts_told)(void *arg);
	void *on_accepts_told_arg;
};

extern const struct gb__engine_ops gb__engine_blocking, gb__engine_reactor, gb__engine_proactor;

/** Slots, for engines: a token names an endpoint without pointing at it. */
void gb__engine_init(struct gb__engine *engine, const struct gb__engine_ops *ops, struct gb__os *os);
void gb__engine_finish(struct gb__engine *engine);
int gb__engine_slot_take(struct gb__engine *engine, struct gb__endpoint *endpoint);
void gb__engine_slot_give(struct gb__engine *engine, struct gb__endpoint *endpoint);

/** The endpoint attached under a slot, which was given out once, and a generation, or NULL. */
static inline struct gb__endpoint *gb__engine_find(
	const struct gb__engine *engine, uint32_t slot, uint32_t generation)
{
	struct gb__endpoint *endpoint = engine->slots[slot];

	if (gb__unlikely((uintptr_t)endpoint & 1u) || gb__unlikely(endpoint->generation != generation))
		return NULL;
	return endpoint;
}

/**
 * Have the caches fetch the endpoint of an event that will be handled soon: among thousands of connections it is
 * not in them. The slot was given out once, perhaps to one that has left.
 */
static inline void gb__engine_fetch(const struct gb__engine *engine, uint32_t slot)
{
	__builtin_prefetch(engine->slots[slot]);
}
#define GB__ENGINE_AHEAD \
	2 /* events that it is fetched ahead; behind the last one lie so many of any earlier wait */

/** gb__engine_send as the kernel answers: what is not all of `size` goes through gb__engine_sent. */
static inline ssize_t gb__engine_try_send(
	struct gb__engine *engine, struct gb__stream *stream, const void *data, size_t size)
{
	engine->stats.sends++;
	return gb__os_send_as(engine->simulated, engine->os, stream->endpoint.fd, data, size);
}

static inline ssize_t gb__engine_sent(struct gb__engine *engine, ssize_t sent)
{
	if (sent != -EAGAIN && sent != -EINTR)
		return sent;
	engine->stats.again++;
	return 0;
}

/**
 * Send bytes that are not queued, from where they lie, with an engine that sends at once; nothing may be
 * queued. Returns how many were taken, perhaps 0, or a negative errno.
 */
static inline ssize_t gb__engine_send(
	struct gb__engine *engine, struct gb__stream *stream, const void *data, size_t size)
{
	return gb__engine_sent(engine, gb__engine_try_send(engine, stream, data, size));
}

/** The same of the last bytes: the end of output follows at once. */
static inline ssize_t gb__engine_send_last(
	struct gb__engine *engine, struct gb__stream *stream, const void *data, size_t size)
{
	engine->stats.sends++;
	return gb__engine_sent(engine, gb__os_send_last(engine->os, stream->endpoint.fd, data, size));
}

/** Close a descriptor that is not attached, the way that is cheapest. */
static inline void gb__engine_close(struct gb__engine *engine, int fd)
{
	if (engine->ops->close)
		engine->ops->close(engine, fd);
	else
		engine->os->ops->close(engine->os, fd);
}

/**
 * Which of these GB__READY_… bits, or an error or a hang-up, are true of a stream although no wait may have told
 * so yet: after a long turn, or among more events than one wait tells. A system call: for what is about to end.
 */
static inline unsigned gb__engine_ready(
	struct gb__engine *engine, const struct gb__stream *stream, unsigned ready)
{
	if (engine->ops->done_untold && engine->ops->done_untold(engine, stream))
		return ready;
	return engine->os->ops->ready(engine->os, stream->endpoint.fd, ready);
}

/** The error that has ended a stream whose input is not wanted, or 0. Once: the kernel tells it only once. */
static inline int gb__engine_error(struct gb__engine *engine, const struct gb__stream *stream)
{
	struct gb__os *os = engine->os;
	int error = engine->ops->error_untold ? engine->ops->error_untold(engine, stream) : 0;

	if (error == 0 && (os->ops->ready(os, stream->endpoint.fd, 0) & GB__READY_ERROR))
		error = os->ops->error(os, stream->endpoint.fd);
	return error;
}

/** To be called by every `wait` between the return of the kernel and the first callback. */
static inline void gb__engine_woke(struct gb__engine *engine)
{
	engine->now_ms = gb__os_now_ms(engine->os);
	engine->stats.waits++;
	engine->awake = true;
}

/** By the axis' name; `options` keeps what the caller set besides poller and ring. */
struct gb__engine_kind {
	const char *name; /* "epoll" */
	const struct gb__engine_ops *ops;
	const struct gb__poller_ops *poller; /* reactor */
	const struct gb__ring_ops *ring;     /* proactor */
};
/** The table of engines, ends with a NULL name. */
extern const struct gb__engine_kind gb__engine_kinds[];
int gb__engine_create(
	const char *name, struct gb__engine_options options, struct gb__engine **ret, struct gb_error *error);

/** What an errno of accept means (accept(2), "Error handling"). */
enum gb__accept_verdict {
	GB__ACCEPT_NONE,      /* nothing waits */
	GB__ACCEPT_RETRY,     /* this connection is gone; go on */
	GB__ACCEPT_EXHAUSTED, /* descriptors or memory ran out, or nobody knows: rest, then go on */
	GB__ACCEPT_BROKEN,    /* the listening socket itself is of no use */
};
enum gb__accept_verdict gb__accept_verdict(int error);

#define GB__ACCEPT_RETRIES_MAX \
	16u                  /* in a row; then something answers for every connection, as a filter does */
#define GB__ACCEPT_BATCH 16u /* the default of accept_batch */

#endif
