/** The reactor's operations, shared with the blocking engine, which waits in another way while it serves one. */
#ifndef ENGINE_REACTOR_H
#define ENGINE_REACTOR_H

#include "engine/engine.h"
#include "engine/poller/poller.h"

/* In endpoint.bits; a watch keeps its mask there, below them. */
enum {
	GB__REACTOR_ENDED = 1u << 6, /* nothing more is received, however often input is started */
	GB__REACTOR_CONNECTING = 1u << 7,
};

/** Embedded first in an engine of this kind; its memory is the reactor's to take and to give back. */
struct reactor {
	struct gb__engine engine;
	const struct gb__poller_ops *ops;
	struct gb__poller *poller;
	struct gb__poll_event *events; /* of a wait, behind the engine */
	unsigned char *input;          /* where streams receive, headroom before it */
	size_t input_size;
	struct gb__endpoint wakeup;
	unsigned events_max;
	unsigned accept_batch;
	bool accept_exclusive, accept_first;
	bool forgets;        /* the poller, what is closed; nobody seems to hold copies */
	uint64_t left_waits; /* stats.waits when somebody left last */
};

/** What it is to be. */
struct gb__reactor_kind {
	const struct gb__engine_ops *ops;
	size_t size; /* of the engine, a reactor first in it; zeroed. A multiple of 8 */
	unsigned events_max;
	size_t input_size; /* at most GB__INPUT_MAX */
	bool wakeup_later; /* it has no descriptor to be woken by before gb__reactor_wakeup */
};

int gb__reactor_create(const struct gb__engine_options *options, const struct gb__reactor_kind *kind,
	struct gb__engine **ret, struct gb_error *error);
void gb__reactor_destroy(struct gb__engine *engine);
int gb__reactor_attach(struct gb__engine *engine, struct gb__endpoint *endpoint);
int gb__reactor_detach(struct gb__engine *engine, struct gb__endpoint *endpoint);
int gb__reactor_input_start(struct gb__engine *engine, struct gb__endpoint *endpoint);
void gb__reactor_input_stop(struct gb__engine *engine, struct gb__endpoint *endpoint);
int gb__reactor_flush(struct gb__engine *engine, struct gb__stream *stream);
int gb__reactor_connect(
	struct gb__engine *engine, struct gb__stream *stream, const struct sockaddr *address, socklen_t size);
int gb__reactor_watch(struct gb__engine *engine, struct gb__endpoint *endpoint, unsigned ready);
int gb__reactor_wait(struct gb__engine *engine, int64_t timeout_ns);
void gb__reactor_wake(struct gb__engine *engine);

/** Have a descriptor to be woken by, unless it has. Returns 0 or a negative errno. */
int gb__reactor_wakeup(struct reactor *reactor);
/** Have the poller watch exactly what is wanted of the endpoint. */
int gb__reactor_arm(struct reactor *reactor, struct gb__endpoint *endpoint);
/** Other memory for input, between two receives: what lay in the old one is gone. Returns 0 or -ENOMEM. */
int gb__reactor_input_room(struct reactor *reactor, size_t size);
void gb__reactor_received_nothing(struct reactor *reactor, struct gb__stream *stream, ssize_t size);

/* reactor_packet.c */

/** Send what is queued on a socket of packets. Returns 0 (all gone), 1 (the kernel takes no more for now), or a negative
 *  errno. */
int gb__reactor_send_packets(struct reactor *reactor, struct gb__stream *stream);
/** Receive and tell of one. */
void gb__reactor_packet_ready(struct reactor *reactor, struct gb__stream *stream);

/** A receive into `input` answered `size`. */
static inline void gb__reactor_received(struct reactor *reactor, struct gb__stream *stream, ssize_t size)
{
	reactor->engine.stats.receives++;
	if (gb__likely(size > 0))
		stream->endpoint.ops->on_input(stream, reactor->input, (size_t)size);
	else
		gb__reactor_received_nothing(reactor, stream, size);
}

#endif
