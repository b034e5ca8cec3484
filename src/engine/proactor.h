/**
 * What the three files of the proactor share: proactor.c is the engine, proactor_start.c starts operations
 * and cancels them, proactor_complete.c handles their completions.
 *
 * `wants` of an endpoint is what the core wants, `armed` what is in flight, and settling brings one to the
 * other. It is harmless at any time, so that whatever is undone needs only to be put in line for it. One
 * receive (accept, poll) and one send (connect, poll) are in flight per descriptor at most, and none
 * starts before the cancelling of its predecessor is over, since both carry the same token.
 *
 * There are two kinds of receives, with buffers of their own. A stream begins with one that goes on (multishot)
 * into small buffers: nothing has to be started for a message. But however much is there comes before the receive
 * can be cancelled, so that large buffers would leave the input of who must wait without a bound. A stream whose
 * peer sends in bulk receives once at a time into a large buffer, until little comes.
 */
#ifndef ENGINE_PROACTOR_H
#define ENGINE_PROACTOR_H

#include "base/assert.h"
#include "base/list.h"
#include "base/macros.h"
#include "engine/engine.h"
#include "engine/ring/ring.h"

#define GB__PROACTOR_COMPLETIONS 256u /* handled per turn */
#define GB__PROACTOR_PARTS 32u        /* of one send */
#define NOT_DELIVERING UINT32_MAX

enum { ARMED_IN = 1u, ARMED_OUT = 2u, ARMED_CANCEL_IN = 4u, ARMED_CANCEL_OUT = 8u };

/* In `wants` and `armed` of a stream: of its two kinds of receives the one for bulk. */
#define BULK (1u << 4)
/* In `wants`, with BULK: the latest receive brought little. */
#define LITTLE (1u << 5)

/* endpoint.bits; a watch keeps the mask it is armed with there, below DETACHING */
enum {
	VIA_POLL_IN = 1u << 0,  /* the operation for input is (to be) a poll: the socket first, bytes later */
	VIA_POLL_OUT = 1u << 1, /* the same for output */
	CONNECTING = 1u << 2,
	STARVED = 1u << 3,  /* no buffer for its receive: in line for one */
	ENDED = 1u << 4,    /* nothing more will be received */
	END_HELD = 1u << 5, /* … but on_end was not told, since input was not wanted */
	BROKEN = 1u << 6,   /* sending failed for good */
	DETACHING = 1u << 7,
};

/* In endpoint.wants, with END_HELD: it ended with an error. */
#define ENDED_BADLY (1u << 7)

/* endpoint.bits of a file: its call is to be cancelled, once. The kernel's thread that is at it may go on as long as its
 * disk takes, and who asked again and again would spin. */
#define FILE_CANCEL (1u << 0)

#define WATCHED (GB__READY_IN | GB__READY_OUT)
static_assert(!(WATCHED & DETACHING), "a watch's mask lies below DETACHING");

enum operation {
	OP_RECV,
	OP_ACCEPT,
	OP_POLL_IN,
	OP_SEND,
	OP_POLL_OUT,
	OP_CONNECT,
	OP_WATCH,
	OP_FILE,
	OP_CANCEL_IN,
	OP_CANCEL_OUT,
	OP_CLOSE, /* of nobody, as the next: gb__proactor_nobody */
	OP_WAKE,
};

/* Endpoints in line, by slot. One that leaves its slot stays in line: its successor is looked at instead. */
#define LINE_NOT 0u /* links hold slot + 1 */
#define LINE_END UINT32_MAX

struct line {
	uint32_t first, last; /* slot + 1, or LINE_NOT */
};

/* An error that ended a stream whose input was not wanted: few are ever kept at the same time. */
struct held_error {
	uint32_t slot;
	int32_t error;
};

struct vector {
	struct vector *next;
	struct msghdr message;
	struct iovec parts[GB__PROACTOR_PARTS];
};

/* Where a stream that is CONNECTING connects to. In the order in which they began, as most are done. */
struct target {
	struct gb__list link;
	uint32_t slot;
	socklen_t size;
	struct sockaddr_storage address;
};

/* Receive buffers of one size. */
struct buffers {
	unsigned credits; /* receives that may be armed for those who starve */
	unsigned count;
	unsigned borrowed; /* how many are lent */
};

struct proactor {
	struct gb__engine engine;
	const struct gb__ring_ops *ops;
	struct gb__ring *ring;
	bool multishot_accept, multishot_recv, messages;
	bool accept_when_ready, accept_first;
	unsigned accept_batch;
	unsigned accept_failures; /* in a row */
	bool waiting;
	uint32_t *next;                  /* by slot: the one behind it in line, LINE_NOT or LINE_END */
	uint32_t slots_size, slots_used; /* of it; the rest is not touched */
	struct line line;                /* to be settled before the next wait: for a retry, or a buffer */
	struct held_error *errors;
	unsigned errors_count, errors_size;
	struct buffers small, large; /* the numbers of these follow on those */
	struct gb__chunk *chunks;    /* one for each buffer, for who borrows it */
	uint32_t delivering;         /* the buffer whose bytes are being told, or NOT_DELIVERING */
	int32_t bulk_from;           /* what a receive brings that fills a small buffer; INT32_MAX: no bulk */
	bool bulk_started;           /* there are large buffers */
	struct gb__list targets;
	struct vector *vectors; /* free ones; those in use are the `operation` of the chunk they begin with */
	unsigned vectors_count;
	unsigned char *buffer; /* without provided buffers: of all, one receive at a time */
	uint32_t buffer_size;  /* of it, or of the small ones */
	unsigned char *
		packet; /* where packets are received, headroom before it; NULL before the first socket of them */
	struct gb__endpoint wakeup;
	int notify_fd; /* an event for who waits in a loop of his own, or -1 */
	struct gb__completion completions[GB__PROACTOR_COMPLETIONS + GB__ENGINE_AHEAD];
};

extern const struct gb__engine_polled_ops gb__proactor_polled; /* proactor_polled.c */

/* proactor.c */

/** Put an endpoint into line, unless it is. */
void gb__proactor_retry(struct proactor *proactor, const struct gb__endpoint *endpoint);
/** Keep the error of a stream that ended while its input is not wanted; take it back, or 0 for a FIN. */
void gb__proactor_error_hold(struct proactor *proactor, struct gb__endpoint *endpoint, int error);
int gb__proactor_error_take(struct proactor *proactor, const struct gb__endpoint *endpoint);
/** Of a stream that is CONNECTING; NULL of any other. */
struct target *gb__proactor_target(struct proactor *proactor, const struct gb__endpoint *endpoint);
void gb__proactor_target_drop(struct proactor *proactor, const struct gb__endpoint *endpoint);
/** Have large buffers, unless there are. Returns whether the kernel gave them; if not, nobody asks again. */
bool gb__proactor_bulk_start(struct proactor *proactor);
/** Nothing is in flight: give the slot back. */
void gb__proactor_leave(struct proactor *proactor, struct gb__endpoint *endpoint);

/** Those that buffer `id` is one of; those that an endpoint's next receive takes one of. */
static inline struct buffers *gb__proactor_buffers_of(struct proactor *proactor, unsigned id)
{
	return gb__likely(id < proactor->small.count) ? &proactor->small : &proactor->large;
}
static inline struct buffers *gb__proactor_buffers_for(
	struct proactor *proactor, const struct gb__endpoint *endpoint)
{
	return endpoint->wants & BULK ? &proactor->large : &proactor->small;
}

/** A borrowed chunk is not needed any more: its buffer goes back to the ring. */
static inline void gb__proactor_give_back(struct proactor *proactor, struct gb__chunk *chunk)
{
	unsigned id = (unsigned)(chunk - proactor->chunks);
	struct buffers *buffers = gb__proactor_buffers_of(proactor, id);

	gb__assert(chunk->data); /* once */
	chunk->data = NULL;
	buffers->borrowed--;
	buffers->credits++;
	proactor->ops->buffer_return(proactor->ring, id);
}

/* proactor_start.c */

/** Start what is wanted, cancel what is not; what the ring does not take now is put in line. */
void gb__proactor_settle(struct proactor *proactor, struct gb__endpoint *endpoint);
void gb__proactor_settle_input(struct proactor *proactor, struct gb__endpoint *endpoint);
void gb__proactor_settle_output(struct proactor *proactor, struct gb__stream *stream);
/** Begin to send the only part of a stream's output, of which nothing is in flight. */
void gb__proactor_send_alone(
	struct proactor *proactor, struct gb__stream *stream, const void *data, uint32_t size);
void gb__proactor_settle_watch(struct proactor *proactor, struct gb__endpoint *watch);
/** Returns whether it was over already, and that was told: only for who was cancelled before it began. */
bool gb__proactor_settle_file(struct proactor *proactor, struct gb__file *file);
struct vector *gb__proactor_vector_take(struct proactor *proactor);
void gb__proactor_vector_give(struct proactor *proactor, struct vector *vector);

/* proactor_complete.c */

/** The token of an operation that no endpoint waits for: none has generation 0. */
static inline uint64_t gb__proactor_nobody(enum operation operation)
{
	return (uint64_t)operation << 32;
}
/** The slot that a token names, as proactor_start.c made it. */
static inline uint32_t gb__proactor_slot(uint64_t token)
{
	return (uint32_t)(token >> 40);
}
/** `done_untold` of the engine. */
bool gb__proactor_done_untold(struct gb__engine *engine, const struct gb__stream *stream);
/** Handle the first `count` of `completions`. */
void gb__proactor_complete(struct proactor *proactor, unsigned count);
/** Of these those of listeners, with the option accept_first: before all others. */
void gb__proactor_accepts_first(struct proactor *proactor, unsigned count);
/** Nothing of it is in flight: leave, and tell. */
void gb__proactor_file_over(struct proactor *proactor, struct gb__file *file);
/** The end of input: told, held until input is wanted, or dropped when leaving. */
void gb__proactor_end(struct proactor *proactor, struct gb__stream *stream, int error);

#endif
