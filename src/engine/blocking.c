/*
 * The blocking engine: its worker sleeps for one connection at a time, which is the promise ONE_STREAM: while a
 * connection is served, nothing else is accepted.
 *
 * While nothing is wanted but one stream's input, as nearly always, it blocks in a receive: two system calls a
 * message, as who writes it by hand. (Packets are polled for: a receive tells the size of a larger one.) What else ends a wait ends that one: `wake` by a signal without a race
 * (os/receive.h), and a deadline by its bound, receive_ms, after which it polls once. Deadlines that are nearer, room
 * for output, a second stream, a watch, a program that needs the signal, a machine for which there is no receiver:
 * there it polls, which is the reactor over a short set.
 */
#include "base/macros.h"
#include "engine/poller/poller.h"
#include "engine/reactor.h"
#include "os/receive.h"

#include <errno.h>

#define EVENTS_MAX 16u
#define INPUT_FIRST \
	1024u /* what one client says at a time, mostly; the first receive that fills it is the last */
#define RECEIVE_MS 1000u
#define BLIND_NS 20000000u
#define TICK_NS 10000000 /* a receive may last so much longer: the kernel counts in these */

struct blocking {
	struct reactor reactor;
	struct gb__receiver own, *receiver; /* NULL: it polls only */
	bool filled;                        /* by the last receive */
	bool joined;                        /* the receiver's thread is known */
	bool polls;                         /* the next wait: something else may be ready */
	unsigned receive_ms;
	uint64_t receive_ns; /* a timeout that is as long can be left to the receive's bound */
	uint32_t bounded;    /* generation of the stream whose receives have been bounded */
};

static int create(const struct gb__engine_options *options, struct gb__engine **ret, struct gb_error *error)
{
	const bool receives = !options->os->simulated && gb__receivers_there();
	const struct gb__reactor_kind kind = {
		.ops = &gb__engine_blocking,
		.size = sizeof(struct blocking),
		.events_max = EVENTS_MAX,
		.input_size = receives ? INPUT_FIRST : GB__INPUT_MAX,
		.wakeup_later = receives,
	};
	struct gb__engine_options own = *options;
	struct blocking *blocking;
	int result;

	if (!own.poller)
		own.poller = own.accept_exclusive ? &gb__poller_epoll : &gb__poller_poll;
	result = gb__reactor_create(&own, &kind, ret, error);
	if (result < 0)
		return result;
	blocking = (struct blocking *)*ret;
	blocking->receive_ms = options->receive_ms ? options->receive_ms : RECEIVE_MS;
	blocking->receive_ns = (uint64_t)blocking->receive_ms * 1000000 + TICK_NS;
	if (receives)
		blocking->receiver = options->receiver ? options->receiver : &blocking->own;
	return 0;
}

static void destroy(struct gb__engine *engine)
{
	struct blocking *blocking = (struct blocking *)engine;

	if (blocking->joined)
		gb__receiver_leave();
	gb__reactor_destroy(engine);
}

/* The one stream whose input is all that is wanted, or NULL. */
static struct gb__stream *only_stream(const struct blocking *blocking)
{
	const struct gb__engine *engine = &blocking->reactor.engine;
	struct gb__endpoint *found = NULL;

	for (uint32_t slot = 0; slot < engine->slots_used; slot++) {
		struct gb__endpoint *endpoint = engine->slots[slot];

		if ((uintptr_t)endpoint & 1u || endpoint == &blocking->reactor.wakeup)
			continue;
		if (endpoint->kind == GB__ENDPOINT_STREAM) {
			if (found || endpoint->wants != GB__WANT_INPUT || endpoint->bits)
				return NULL;
			found = endpoint;
		} else if (endpoint->kind == GB__ENDPOINT_WATCH) {
			if (endpoint->bits && !(endpoint->bits & GB__READY_WAKES))
				return NULL;
		} else if (endpoint->wants) {
			return NULL;
		}
	}
	return (struct gb__stream *)found;
}

/* Where it turns out that it cannot receive, it polls from now on. */
static __attribute__((noinline)) bool bound(struct blocking *blocking, const struct gb__stream *stream)
{
	if (!blocking->joined)
		blocking->joined = gb__receiver_join(blocking->receiver);
	if (!blocking->joined || gb__receive_bound(stream->endpoint.fd, blocking->receive_ms) < 0)
		return false;
	blocking->bounded = stream->endpoint.generation;
	return true;
}

/* Nobody watches a stream that is received from: the poller is told when it is needed. */
static int input_start(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	const struct blocking *blocking = (struct blocking *)engine;

	if (endpoint->kind != GB__ENDPOINT_STREAM || !blocking->receiver)
		return gb__reactor_input_start(engine, endpoint);
	endpoint->wants |= GB__WANT_INPUT;
	return 0;
}

/* A packet must be received at once. Between two receives, when no input is being told. */
static int room_for_packets(struct blocking *blocking)
{
	return blocking->reactor.input_size < GB__PACKET_MAX
		? gb__reactor_input_room(&blocking->reactor, GB__PACKET_MAX)
		: 0;
}

/* Returns how many there are, or a negative errno. */
static int streams_arm(struct blocking *blocking)
{
	struct gb__engine *engine = &blocking->reactor.engine;
	int result = 0, count = 0;

	for (uint32_t slot = 0; slot < engine->slots_used && result == 0; slot++) {
		struct gb__endpoint *endpoint = engine->slots[slot];

		if ((uintptr_t)endpoint & 1u || !gb__endpoint_is_stream(endpoint) || !endpoint->wants)
			continue;
		if (endpoint->kind == GB__ENDPOINT_PACKET)
			result = room_for_packets(blocking);
		else
			result = gb__reactor_arm(&blocking->reactor, endpoint);
		count++;
	}
	return result < 0 ? result : count;
}

/* For all that a client may say. Without memory the room stays as it is. */
static void room_grow(struct blocking *blocking)
{
	if (blocking->reactor.input_size == INPUT_FIRST)
		(void)gb__reactor_input_room(&blocking->reactor, GB__INPUT_MAX);
}

/* Who only receives needs no descriptor to be woken by. Without one for it, it looks again soon. */
static int64_t wakeup_have(struct blocking *blocking, int64_t timeout_ns)
{
	return gb__reactor_wakeup(&blocking->reactor) == 0 ? timeout_ns
							   : (int64_t)gb__min((uint64_t)timeout_ns, BLIND_NS);
}

static int poll_wait(struct blocking *blocking, int64_t timeout_ns)
{
	struct gb__engine *engine = &blocking->reactor.engine;
	int result;

	if (!blocking->receiver)
		return gb__reactor_wait(engine, timeout_ns);
	result = streams_arm(blocking);
	if (result < 0)
		return result;
	/* More than a look between two receives: nobody says here that it was filled. */
	if (result > 0 && !blocking->polls)
		room_grow(blocking);
	blocking->polls = false;
	if (timeout_ns != 0)
		timeout_ns = wakeup_have(blocking, timeout_ns);
	if (!gb__receiver_polls(blocking->receiver))
		return gb__reactor_wait(engine, 0);
	result = gb__reactor_wait(engine, timeout_ns);
	gb__receiver_polled(blocking->receiver);
	return result;
}

static int receive_wait(struct blocking *blocking, struct gb__stream *stream)
{
	struct gb__engine *engine = &blocking->reactor.engine;
	ssize_t size;

	if (gb__unlikely(blocking->filled))
		room_grow(blocking);
	size = gb__receiver_receive(blocking->receiver, stream->endpoint.fd, blocking->reactor.input,
		blocking->reactor.input_size);

	if (gb__unlikely(size == -ECANCELED))
		return gb__reactor_wait(engine, 0);
	gb__engine_woke(engine);
	blocking->polls = size == -EINTR || size == -EAGAIN;
	if (gb__unlikely(blocking->polls) && !gb__receivers_there()) {
		gb__receiver_leave();
		blocking->joined = false;
		blocking->bounded = 0;
	}
	engine->stats.events += size >= 0;
	blocking->filled = size == INPUT_FIRST;
	gb__reactor_received(&blocking->reactor, stream, size);
	return size >= 0;
}

static int wait(struct gb__engine *engine, int64_t timeout_ns)
{
	struct blocking *blocking = (struct blocking *)engine;
	struct gb__stream *stream;

	if (gb__unlikely(!blocking->receiver) || gb__unlikely(blocking->polls) ||
		gb__unlikely((uint64_t)timeout_ns < blocking->receive_ns)) /* -1: for ever */
		return poll_wait(blocking, timeout_ns);
	stream = only_stream(blocking);
	if (!stream ||
		(gb__unlikely(blocking->bounded != stream->endpoint.generation) && !bound(blocking, stream)))
		return poll_wait(blocking, timeout_ns);
	return receive_wait(blocking, stream);
}

static void wake(struct gb__engine *engine)
{
	struct blocking *blocking = (struct blocking *)engine;

	if (!blocking->receiver || gb__receiver_call(blocking->receiver))
		gb__reactor_wake(engine);
}

const struct gb__engine_ops gb__engine_blocking = {
	.name = "blocking",
	.caps = GB__ENGINE_ONE_STREAM | GB__ENGINE_SENDS_AT_ONCE,
	.create = create,
	.destroy = destroy,
	.attach = gb__reactor_attach,
	.detach = gb__reactor_detach,
	.input_start = input_start,
	.input_stop = gb__reactor_input_stop,
	.flush = gb__reactor_flush,
	.connect = gb__reactor_connect,
	.watch = gb__reactor_watch,
	.wait = wait,
	.wake = wake,
};
