/*
 * The reactor: turns readiness into bytes.
 *
 * Happy path of a message: the poller says readable, one recv into the engine's buffer, on_input, the
 * core queues a reply and calls flush, one send. Ways it can fail: recv answers EAGAIN although ready
 * (nothing happens, the poller tells again), an error or FIN (on_end), send takes a part (the rest waits
 * for writability, then on_output), the endpoint goes away in a callback (its generation no longer
 * matches, later events of the same wait are dropped).
 *
 * `armed` is what the poller watches, `wants` what the core wants. They are brought together eagerly
 * when something is wanted and lazily when it no longer is: most pauses are over before the next event.
 *
 * A descriptor that is about to be closed is not removed from a set that forgets it then (epoll). That is
 * wrong while a copy of it is open elsewhere, as in a process that was forked meanwhile: its events go on
 * (epoll(7), "Questions and answers", 6). Who is reported although it left before the wait is such a one. Then
 * the set is made anew, and from now on descriptors are removed.
 */
#include "engine/reactor.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "engine/poller/poller.h"
#include "os/process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_MAX 256u
#define SEND_PARTS_MAX 16u

static void wakeup_ready(struct gb__endpoint *watch, unsigned ready)
{
	struct reactor *reactor = gb__container_of(watch, struct reactor, wakeup);

	/* By the edge it is told of each signal, and the sum of them never matters: no need to read it. */
	if (!(reactor->ops->caps & GB__POLLER_EDGE))
		reactor->engine.os->ops->event_clear(reactor->engine.os, watch->fd);
}

static const struct gb__endpoint_ops wakeup_ops = { .on_ready = wakeup_ready };

int gb__reactor_input_room(struct reactor *reactor, size_t size)
{
	unsigned char *memory = gb__alloc_lines(GB__INPUT_PACKET_BEFORE + size);

	if (!memory)
		return -ENOMEM;
	if (reactor->input)
		gb__free(reactor->input - GB__INPUT_PACKET_BEFORE);
	reactor->input = memory + GB__INPUT_PACKET_BEFORE;
	reactor->input_size = size;
	return 0;
}

/* With the events behind it. */
static struct reactor *memory_take(const struct gb__reactor_kind *kind)
{
	const size_t events = (kind->events_max + GB__ENGINE_AHEAD) * sizeof(struct gb__poll_event);
	struct reactor *reactor = gb__alloc_lines(kind->size + events);

	if (!reactor)
		return NULL;
	memset(reactor, 0, kind->size + events); /* gb__engine_fetch reads ahead in the events */
	reactor->events = (struct gb__poll_event *)((char *)reactor + kind->size);
	reactor->events_max = kind->events_max;
	if (gb__reactor_input_room(reactor, kind->input_size) < 0) {
		gb__free(reactor);
		return NULL;
	}
	return reactor;
}

static void memory_give(struct reactor *reactor)
{
	gb__free(reactor->input - GB__INPUT_PACKET_BEFORE);
	gb__free(reactor);
}

int gb__reactor_create(const struct gb__engine_options *options, const struct gb__reactor_kind *kind,
	struct gb__engine **ret, struct gb_error *error)
{
	struct reactor *reactor = memory_take(kind);
	int result;

	if (!reactor)
		return gb_error_set(error, -ENOMEM, "no memory for an event loop");
	gb__engine_init(&reactor->engine, kind->ops, options->os);
	reactor->engine.name = options->poller->name;
	reactor->ops = options->poller;
	reactor->accept_batch = options->accept_batch ? options->accept_batch : GB__ACCEPT_BATCH;
	reactor->accept_first = options->accept_first;
	reactor->forgets = (options->poller->caps & GB__POLLER_FORGETS) && !options->copied;
	reactor->accept_exclusive =
		options->accept_exclusive && (options->poller->caps & GB__POLLER_EXCLUSIVE);
	reactor->wakeup = (struct gb__endpoint){ .ops = &wakeup_ops, .fd = -1, .kind = GB__ENDPOINT_WATCH };

	result = reactor->ops->create(options->os, &reactor->poller);
	if (result < 0) {
		gb_error_set(
			error, result, "cannot make a %s set: %s", reactor->ops->name, gb_strerror(result));
		goto fail;
	}
	if (!kind->wakeup_later) {
		result = gb__reactor_wakeup(reactor);
		if (result < 0) {
			gb_error_set(error, result, "cannot make and watch a wake-up descriptor with %s: %s",
				reactor->ops->name, gb_strerror(result));
			goto fail_poller;
		}
	}
	*ret = &reactor->engine;
	return 0;

fail_poller:
	reactor->ops->destroy(reactor->poller);
fail:
	gb__engine_finish(&reactor->engine);
	memory_give(reactor);
	return result;
}

int gb__reactor_wakeup(struct reactor *reactor)
{
	struct gb__os *os = reactor->engine.os;
	int result;

	if (reactor->wakeup.fd >= 0)
		return 0;
	result = os->ops->event_create(os);
	if (result < 0)
		return result;
	reactor->wakeup.fd = result;
	result = gb__reactor_attach(&reactor->engine, &reactor->wakeup);
	if (result == 0) {
		result = gb__reactor_watch(&reactor->engine, &reactor->wakeup, GB__READY_IN);
		if (result == 0)
			return 0;
		gb__reactor_detach(&reactor->engine, &reactor->wakeup);
	}
	os->ops->close(os, reactor->wakeup.fd);
	reactor->wakeup.fd = -1;
	return result;
}

static void wakeup_close(struct reactor *reactor)
{
	if (reactor->wakeup.fd >= 0)
		reactor->engine.os->ops->close(reactor->engine.os, reactor->wakeup.fd);
}

void gb__reactor_destroy(struct gb__engine *engine)
{
	struct reactor *reactor = (struct reactor *)engine;

	/* In a forked child the set may be the parent's too (epoll): it must not be touched, only closed. Nor is
	 * memory freed there: each page that is written is copied. */
	if (engine->pid != gb__process_self()) {
		if (reactor->ops->let_go)
			reactor->ops->let_go(reactor->poller);
		wakeup_close(reactor);
		return;
	}
	if (reactor->wakeup.fd >= 0)
		gb__reactor_detach(engine, &reactor->wakeup);
	reactor->ops->destroy(reactor->poller);
	wakeup_close(reactor);
	gb__engine_finish(engine);
	memory_give(reactor);
}

static unsigned ready_wanted(const struct gb__endpoint *endpoint)
{
	unsigned ready = 0;

	if (endpoint->kind == GB__ENDPOINT_WATCH)
		return endpoint->bits & (GB__READY_IN | GB__READY_OUT);
	if (endpoint->bits & GB__REACTOR_CONNECTING)
		return GB__READY_OUT;
	if ((endpoint->wants & GB__WANT_INPUT) && !(endpoint->bits & GB__REACTOR_ENDED))
		ready |= GB__READY_IN;
	if (endpoint->wants & GB__WANT_OUTPUT)
		ready |= GB__READY_OUT;
	return ready;
}

static bool exclusive(const struct reactor *reactor, const struct gb__endpoint *endpoint)
{
	if (!reactor->accept_exclusive)
		return false;
	return endpoint->kind == GB__ENDPOINT_LISTENER ||
		(endpoint->kind == GB__ENDPOINT_WATCH && (endpoint->bits & GB__READY_SHARED));
}

/* How it is watched where that is not the usual way. */
static unsigned trigger(const struct reactor *reactor, const struct gb__endpoint *endpoint)
{
	if (endpoint == &reactor->wakeup && (reactor->ops->caps & GB__POLLER_EDGE))
		return GB__READY_EDGE;
	return exclusive(reactor, endpoint) ? GB__READY_EXCLUSIVE : 0;
}

/* What the poller knows an endpoint by. Slot and generation lie side by side: it is one load. */
static inline uint64_t token_of(const struct gb__endpoint *endpoint)
{
	return (uint64_t)endpoint->generation << 32 | endpoint->slot;
}

/* gb__engine_find by token, with one comparison. */
static inline struct gb__endpoint *find(const struct reactor *reactor, uint64_t token)
{
	struct gb__endpoint *endpoint = reactor->engine.slots[(uint32_t)token];

	if (gb__unlikely((uintptr_t)endpoint & 1u) || gb__unlikely(token_of(endpoint) != token))
		return NULL;
	return endpoint;
}

/* The number of a descriptor of ours is in the set: somebody has closed another under it. */
static void check_single(const struct gb__endpoint *endpoint, int result)
{
	gb__rule_in("gb_watch_add", 64, result != -EEXIST || endpoint->kind == GB__ENDPOINT_WATCH,
		"a descriptor was closed before its watch was removed, or is a connection's");
}

/* Have the poller watch exactly what is wanted. */
static int arm(struct reactor *reactor, struct gb__endpoint *endpoint)
{
	unsigned ready = ready_wanted(endpoint);
	uint64_t token = token_of(endpoint);
	int result;

	if (ready == endpoint->armed)
		return 0;
	if (!ready)
		result = reactor->ops->remove(reactor->poller, endpoint->fd);
	else if (!endpoint->armed)
		result = reactor->ops->add(
			reactor->poller, endpoint->fd, ready | trigger(reactor, endpoint), token);
	else
		result = reactor->ops->modify(reactor->poller, endpoint->fd, ready, token);
	if (result == 0)
		endpoint->armed = (uint8_t)ready;
	else
		check_single(endpoint, result);
	return result;
}

int gb__reactor_arm(struct reactor *reactor, struct gb__endpoint *endpoint)
{
	return arm(reactor, endpoint);
}

int gb__reactor_attach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	endpoint->wants = endpoint->armed = endpoint->bits = 0;
	return gb__engine_slot_take(engine, endpoint);
}

int gb__reactor_detach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	struct reactor *reactor = (struct reactor *)engine;
	bool forgotten = (endpoint->wants & GB__WANT_CLOSE) && reactor->forgets;

	reactor->left_waits = engine->stats.waits;
	endpoint->wants = endpoint->bits = 0;
	if (!forgotten)
		arm(reactor, endpoint);
	gb__engine_slot_give(engine, endpoint);
	return 0;
}

static int fill(struct reactor *reactor, struct gb__poller *poller)
{
	int result = 0;

	for (uint32_t slot = 0; slot < reactor->engine.slots_used && result == 0; slot++) {
		const struct gb__endpoint *endpoint = reactor->engine.slots[slot];

		if (!((uintptr_t)endpoint & 1u) && endpoint->armed)
			result = reactor->ops->add(poller, endpoint->fd,
				endpoint->armed | trigger(reactor, endpoint), token_of(endpoint));
	}
	return result;
}

/* A set of those alone who are there. Without memory or a descriptor for it the old one serves, until the next try. */
static int renew(struct reactor *reactor)
{
	struct gb__poller *poller;
	int result = reactor->ops->create(reactor->engine.os, &poller);

	if (result < 0)
		return result;
	result = fill(reactor, poller);
	if (result < 0) {
		reactor->ops->destroy(poller);
		return result;
	}
	reactor->ops->destroy(reactor->poller);
	reactor->poller = poller;
	reactor->engine.stats.renewed++;
	return 0;
}

/*
 * An event of one who has left. If nobody has since this wait returned, it was before, and there is no end to its
 * events. Without a new set the wait fails, so that whoever waits rests.
 */
static __attribute__((noinline)) int reported_gone(struct reactor *reactor)
{
	if (reactor->left_waits == reactor->engine.stats.waits)
		return 0;
	reactor->left_waits = reactor->engine.stats.waits; /* once in a wait */
	reactor->forgets = false;
	return renew(reactor);
}

int gb__reactor_input_start(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	int result;

	endpoint->wants |= GB__WANT_INPUT;
	result = arm((struct reactor *)engine, endpoint);
	if (result < 0)
		endpoint->wants &= (uint8_t)~GB__WANT_INPUT;
	return result;
}

void gb__reactor_input_stop(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	endpoint->wants &= (uint8_t)~GB__WANT_INPUT;
	/* A wake-up that only this waiter gets must not go to one who does not want it. */
	if (exclusive((struct reactor *)engine, endpoint))
		arm((struct reactor *)engine, endpoint);
}

/* Returns 0 (all gone), 1 (the kernel takes no more for now), or a negative errno. */
static int send_queued(struct reactor *reactor, struct gb__stream *stream)
{
	struct gb__output *output = &stream->output;
	struct gb__os *os = reactor->engine.os;
	int fd = stream->endpoint.fd;

	while (!gb__output_empty(output)) {
		struct iovec parts[SEND_PARTS_MAX];
		size_t asked;
		ssize_t sent;

		if (gb__likely(output->tail->next == output->tail)) {
			parts[0] = gb__output_front(output);
			asked = parts[0].iov_len;
			sent = gb__os_send(os, fd, parts[0].iov_base, asked);
		} else {
			unsigned count = gb__output_vector(output, parts, SEND_PARTS_MAX);

			asked = 0;
			for (unsigned i = 0; i < count; i++)
				asked += parts[i].iov_len;
			sent = os->ops->sendv(os, fd, parts, count);
		}
		reactor->engine.stats.sends++;
		if (gb__unlikely(sent < 0)) {
			if (sent == -EINTR)
				continue;
			if (sent != -EAGAIN)
				return (int)sent;
			reactor->engine.stats.again++;
			return 1;
		}
		gb__output_consume(output, &reactor->engine.pool, (size_t)sent);
		if ((size_t)sent < asked)
			return 1;
	}
	return 0;
}

int gb__reactor_flush(struct gb__engine *engine, struct gb__stream *stream)
{
	const struct gb__endpoint_state other = { .kind = GB__ENDPOINT_PACKET, .wants = GB__WANT_OUTPUT };
	struct gb__endpoint *endpoint = &stream->endpoint;
	int result;

	static_assert(GB__ENDPOINT_STREAM == 0 && GB__ENDPOINT_PACKET == 1, "one bit tells");
	if (gb__unlikely(endpoint->word & gb__state_word(other))) {
		if (endpoint->wants & GB__WANT_OUTPUT)
			return 1;
		result = gb__reactor_send_packets((struct reactor *)engine, stream);
	} else {
		result = send_queued((struct reactor *)engine, stream);
	}
	if (gb__likely(result <= 0))
		return result;
	endpoint->wants |= GB__WANT_OUTPUT;
	result = arm((struct reactor *)engine, endpoint);
	if (result < 0) {
		endpoint->wants &= (uint8_t)~GB__WANT_OUTPUT;
		return result;
	}
	return 1;
}

int gb__reactor_connect(
	struct gb__engine *engine, struct gb__stream *stream, const struct sockaddr *address, socklen_t size)
{
	int result = engine->os->ops->connect(engine->os, stream->endpoint.fd, address, size);

	/* An immediate success, too, is told from the wait: the socket is writable at once. EAGAIN is a
	 * Unix socket's full backlog, which no readiness announces. */
	if (result < 0 && result != -EINPROGRESS)
		return result;
	stream->endpoint.bits |= GB__REACTOR_CONNECTING;
	result = arm((struct reactor *)engine, &stream->endpoint);
	if (result < 0)
		stream->endpoint.bits &= (uint8_t)~GB__REACTOR_CONNECTING;
	return result;
}

int gb__reactor_watch(struct gb__engine *engine, struct gb__endpoint *endpoint, unsigned ready)
{
	endpoint->bits =
		(uint8_t)(ready & (GB__READY_IN | GB__READY_OUT | GB__READY_WAKES | GB__READY_SHARED));
	return arm((struct reactor *)engine, endpoint);
}

/*
 * Of the exclusive waiters the kernel wakes the one that has waited longest in the list, and does not
 * move it: one worker would take everything. Who took something goes to the end.
 */
static void rotate(struct reactor *reactor, struct gb__endpoint *listener)
{
	if (reactor->ops->remove(reactor->poller, listener->fd) == 0)
		listener->armed = 0;
	/* Out of the set and not back in it: it must rest and try again, or nobody accepts any more. */
	if (arm(reactor, listener) < 0)
		listener->ops->on_accept(listener, -ENOMEM);
}

static void accept_ready(struct reactor *reactor, struct gb__endpoint *listener)
{
	struct gb__os *os = reactor->engine.os;
	uint64_t token = token_of(listener);
	unsigned took = 0, failures = 0;

	while (took < reactor->accept_batch) {
		int fd = os->ops->accept(os, listener->fd);

		reactor->engine.stats.accepts++;
		if (fd < 0) {
			enum gb__accept_verdict verdict = gb__accept_verdict(fd);

			if (verdict == GB__ACCEPT_RETRY && ++failures < GB__ACCEPT_RETRIES_MAX)
				continue;
			if (verdict == GB__ACCEPT_NONE) {
				reactor->engine.stats.again++;
				break;
			}
			listener->ops->on_accept(listener, fd);
			return;
		}
		took++;
		failures = 0;
		listener->ops->on_accept(listener, fd);
		if (!find(reactor, token) || !(listener->wants & GB__WANT_INPUT))
			return;
	}
	if (took && listener->armed && exclusive(reactor, listener))
		rotate(reactor, listener);
}

static void connect_ready(struct reactor *reactor, struct gb__stream *stream)
{
	struct gb__os *os = reactor->engine.os;
	int result = os->ops->connect_result(os, stream->endpoint.fd);

	stream->endpoint.bits &= (uint8_t)~GB__REACTOR_CONNECTING;
	stream->endpoint.ops->on_connected(stream, result);
}

static inline void output_ready(struct reactor *reactor, struct gb__stream *stream, bool packets)
{
	size_t before = stream->output.bytes;
	int result = packets ? gb__reactor_send_packets(reactor, stream) : send_queued(reactor, stream);

	if (result != 1)
		stream->endpoint.wants &= (uint8_t)~GB__WANT_OUTPUT;
	if (result < 0)
		stream->endpoint.ops->on_output(stream, result);
	else if (stream->output.bytes < before || result == 0)
		stream->endpoint.ops->on_output(stream, 0);
}

void gb__reactor_received_nothing(struct reactor *reactor, struct gb__stream *stream, ssize_t size)
{
	if (size == -EAGAIN || size == -EINTR) {
		reactor->engine.stats.again++;
		return;
	}
	stream->endpoint.bits |= GB__REACTOR_ENDED;
	stream->endpoint.wants &= (uint8_t)~GB__WANT_INPUT;
	if (size < 0)
		stream->endpoint.wants = 0;
	stream->endpoint.ops->on_end(stream, (int)size);
}

static inline void input_ready(struct reactor *reactor, struct gb__stream *stream)
{
	const struct gb__engine *engine = &reactor->engine;
	ssize_t size = gb__os_recv_as(
		engine->simulated, engine->os, stream->endpoint.fd, reactor->input, reactor->input_size);

	gb__reactor_received(reactor, stream, size);
}

static inline __attribute__((always_inline)) void stream_ready(
	struct reactor *reactor, struct gb__stream *stream, unsigned ready, bool packets)
{
	const unsigned broken = GB__READY_ERROR | GB__READY_HANGUP;
	struct gb__endpoint *endpoint = &stream->endpoint;
	uint64_t token = token_of(endpoint);
	unsigned wanted = ready_wanted(endpoint);

	/* A callback may detach the endpoint and free it: what is still there is found by its name. */
	if (gb__unlikely(endpoint->bits & GB__REACTOR_CONNECTING)) {
		connect_ready(reactor, stream);
	} else {
		if ((endpoint->wants & GB__WANT_OUTPUT) && (ready & (GB__READY_OUT | broken)))
			output_ready(reactor, stream, packets);
		if (find(reactor, token) && (ready_wanted(endpoint) & GB__READY_IN) &&
			(ready & (GB__READY_IN | broken))) {
			if (packets)
				gb__reactor_packet_ready(reactor, stream);
			else
				input_ready(reactor, stream);
		}
	}
	if (!find(reactor, token))
		return;
	/* Room for output is reported as long as it is asked for; input only once it has come unwanted, since
	 * most pauses are over before. A failure to change it shows at the next event. */
	if ((endpoint->armed & ~ready_wanted(endpoint) & GB__READY_OUT) ||
		((ready & (GB__READY_IN | broken)) && !(wanted & GB__READY_IN)))
		arm(reactor, endpoint);
}

static __attribute__((noinline)) void packets_ready(
	struct reactor *reactor, struct gb__stream *stream, unsigned ready)
{
	stream_ready(reactor, stream, ready, true);
}

static __attribute__((noinline)) void endpoint_ready(
	struct reactor *reactor, struct gb__endpoint *endpoint, unsigned ready)
{
	switch (endpoint->kind) {
	case GB__ENDPOINT_STREAM:
		stream_ready(reactor, (struct gb__stream *)endpoint, ready, false);
		break;
	case GB__ENDPOINT_PACKET:
		packets_ready(reactor, (struct gb__stream *)endpoint, ready);
		break;
	case GB__ENDPOINT_WATCH:
		if (ready_wanted(endpoint))
			endpoint->ops->on_ready(endpoint, ready);
		break;
	default:
		if (reactor->accept_first)
			break; /* it had its turn */
		if (endpoint->wants & GB__WANT_INPUT)
			accept_ready(reactor, endpoint);
		else
			arm(reactor, endpoint);
	}
}

/* Whether it is a stream that waits for input and nothing else, as nearly all do: one comparison. */
static inline bool only_listens(const struct gb__endpoint *endpoint)
{
	static const struct gb__endpoint_state listening = {
		.kind = GB__ENDPOINT_STREAM, .wants = GB__WANT_INPUT, .armed = GB__READY_IN
	};

	return memcmp(&endpoint->state, &listening, sizeof(listening)) == 0;
}

static __attribute__((noinline)) void accepts_first(struct reactor *reactor, int count)
{
	for (int i = 0; i < count; i++) {
		struct gb__endpoint *endpoint = find(reactor, reactor->events[i].token);

		if (!endpoint || endpoint->kind != GB__ENDPOINT_LISTENER)
			continue;
		if (endpoint->wants & GB__WANT_INPUT)
			accept_ready(reactor, endpoint);
		else
			arm(reactor, endpoint);
	}
	reactor->engine.on_accepts_told(reactor->engine.on_accepts_told_arg);
}

int gb__reactor_wait(struct gb__engine *engine, int64_t timeout_ns)
{
	struct reactor *reactor = (struct reactor *)engine;
	int count = reactor->ops->wait(reactor->poller, reactor->events, reactor->events_max, timeout_ns);
	const struct gb__poll_event *event = reactor->events, *end;
	int result = count;

	gb__engine_woke(engine);
	if (gb__unlikely(reactor->accept_first) && (count >= 0 || count == -EINTR))
		accepts_first(reactor, count);
	if (count <= 0)
		return count == -EINTR ? 0 : count;
	end = event + (unsigned)count;
	engine->stats.events += (unsigned)count;
	for (; event != end; event++) {
		struct gb__endpoint *endpoint = find(reactor, event->token);

		gb__engine_fetch(engine, (uint32_t)event[GB__ENGINE_AHEAD].token);
		if (gb__unlikely(!endpoint)) {
			int failed = reported_gone(reactor);

			if (failed < 0)
				result = failed;
			continue;
		}
		/* Nothing is left to do for it after the callback, which may have detached it. */
		if (gb__likely(event->ready == GB__READY_IN) && gb__likely(only_listens(endpoint)))
			input_ready(reactor, (struct gb__stream *)endpoint);
		else
			endpoint_ready(reactor, endpoint, event->ready);
	}
	return result;
}

void gb__reactor_wake(struct gb__engine *engine)
{
	engine->os->ops->event_signal(engine->os, ((struct reactor *)engine)->wakeup.fd);
}

/* The set stays the same one: so whoever leaves is removed from it (`forgets`), and it is never made anew. */
static int polled_begin(struct gb__engine *engine)
{
	struct reactor *reactor = (struct reactor *)engine;

	if (!reactor->ops->descriptor)
		return -ENOTSUP;
	reactor->forgets = false;
	return reactor->ops->descriptor(reactor->poller);
}

static void polled_heard(struct gb__engine *engine)
{
	(void)engine;
}

static bool polled_due(const struct gb__engine *engine)
{
	(void)engine;
	return false;
}

static const struct gb__engine_polled_ops polled_ops = { polled_begin, polled_heard, polled_due };

static int create(const struct gb__engine_options *options, struct gb__engine **ret, struct gb_error *error)
{
	static const struct gb__reactor_kind kind = {
		.ops = &gb__engine_reactor,
		.size = sizeof(struct reactor),
		.events_max = EVENTS_MAX,
		.input_size = GB__INPUT_MAX,
	};

	return gb__reactor_create(options, &kind, ret, error);
}

const struct gb__engine_ops gb__engine_reactor = {
	.name = "reactor",
	.caps = GB__ENGINE_SENDS_AT_ONCE,
	.create = create,
	.destroy = gb__reactor_destroy,
	.attach = gb__reactor_attach,
	.detach = gb__reactor_detach,
	.input_start = gb__reactor_input_start,
	.input_stop = gb__reactor_input_stop,
	.flush = gb__reactor_flush,
	.connect = gb__reactor_connect,
	.watch = gb__reactor_watch,
	.wait = gb__reactor_wait,
	.wake = gb__reactor_wake,
	.polled = &polled_ops,
};
