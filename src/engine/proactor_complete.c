/* The proactor's completion handlers: from a result to the endpoint's callback, and to what comes next. */
#include "base/assert.h"
#include "base/macros.h"
#include "engine/proactor.h"

#include "base/alloc.h"

#include <errno.h>

/* After the callbacks of a completion: the endpoint may be gone, or be ready to. */
static void conclude(struct proactor *proactor, uint32_t slot, uint32_t generation)
{
	struct gb__endpoint *endpoint = gb__engine_find(&proactor->engine, slot, generation);

	if (gb__unlikely(!endpoint))
		return;
	if (gb__unlikely((endpoint->bits & DETACHING) && !endpoint->armed)) {
		gb__proactor_leave(proactor, endpoint);
		endpoint->ops->on_detached(endpoint);
		return;
	}
	gb__proactor_settle(proactor, endpoint);
}

void gb__proactor_end(struct proactor *proactor, struct gb__stream *stream, int error)
{
	struct gb__endpoint *endpoint = &stream->endpoint;

	endpoint->bits |= ENDED;
	if (endpoint->bits & DETACHING)
		return; /* a FIN is found again by whoever reads next, an error by whoever writes */
	if (!(endpoint->wants & GB__WANT_INPUT)) {
		endpoint->bits |= END_HELD;
		if (error)
			gb__proactor_error_hold(proactor, endpoint, error);
		return;
	}
	endpoint->bits &= (uint8_t)~END_HELD;
	endpoint->wants &= (uint8_t) ~(GB__WANT_INPUT | ENDED_BADLY);
	if (error) {
		endpoint->bits |= BROKEN;
		endpoint->wants = 0;
	}
	endpoint->ops->on_end(stream, error);
}

/* A receive's result that is not bytes. */
static void received_nothing(struct proactor *proactor, struct gb__stream *stream, int result)
{
	struct gb__endpoint *endpoint = &stream->endpoint;

	switch (result) {
	case -ECANCELED:
	case -EINTR:
		break;
	case -ENOBUFS:
		proactor->engine.stats.starved++;
		endpoint->bits |= STARVED;
		gb__proactor_retry(proactor, endpoint);
		break;
	case -EAGAIN: /* a spurious wake-up, or a kernel that minds O_NONBLOCK */
		proactor->engine.stats.again++;
		endpoint->bits |= VIA_POLL_IN;
		break;
	default:
		gb__proactor_end(proactor, stream, result);
	}
}

/* Choose the kind of the next receive by what the one for bulk brought. */
static void bulk_brought(struct proactor *proactor, struct gb__endpoint *endpoint, int result)
{
	if (result >= proactor->bulk_from)
		endpoint->wants &= (uint8_t)~LITTLE;
	else if (endpoint->wants & LITTLE)
		endpoint->wants &= (uint8_t) ~(BULK | LITTLE);
	else
		endpoint->wants |= LITTLE;
}

/* A small buffer is full. If more waits, receive as for bulk once the receive that goes on is cancelled. */
static void buffer_filled(
	struct proactor *proactor, struct gb__endpoint *endpoint, const struct gb__completion *completion)
{
	if (!(completion->flags & GB__COMPLETION_NONEMPTY) || (endpoint->wants & BULK) ||
		!gb__proactor_bulk_start(proactor))
		return;
	endpoint->wants |= BULK;
	if (endpoint->armed & ARMED_IN)
		gb__proactor_settle_input(proactor, endpoint);
}

/* A receive ended, or it filled its buffer. */
static __attribute__((noinline)) void recv_turned(
	struct proactor *proactor, struct gb__endpoint *endpoint, const struct gb__completion *completion)
{
	bool bulk = endpoint->armed & BULK;

	if (!(completion->flags & GB__COMPLETION_MORE))
		endpoint->armed &= (uint8_t) ~(ARMED_IN | BULK);
	if (completion->result == -ENOBUFS)
		proactor->ops->buffers_missed(proactor->ring, bulk);
	else if (bulk && completion->result > 0)
		bulk_brought(proactor, endpoint, completion->result);
	else if (completion->result >= proactor->bulk_from)
		buffer_filled(proactor, endpoint, completion);
}

static void recv_completed(
	struct proactor *proactor, struct gb__stream *stream, const struct gb__completion *completion)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	uint32_t slot = endpoint->slot, generation = endpoint->generation;
	bool more = completion->flags & GB__COMPLETION_MORE;

	if (gb__unlikely(!more) || gb__unlikely(completion->result >= proactor->bulk_from))
		recv_turned(proactor, endpoint, completion);
	if (gb__likely(completion->result > 0)) {
		gb__assert(completion->flags & GB__COMPLETION_BUFFER);
		endpoint->ops->on_input(stream,
			proactor->ops->buffer(proactor->ring, gb__completion_buffer(completion)),
			(size_t)completion->result);
	} else if (!more) {
		received_nothing(proactor, stream, completion->result);
	}
	if (gb__unlikely(!more))
		conclude(proactor, slot, generation);
}

/* Without provided buffers: readable now, so that one buffer serves all and the idle hold none. */
static void read_now(struct proactor *proactor, struct gb__stream *stream)
{
	struct gb__os *os = proactor->engine.os;
	unsigned char *data = proactor->buffer + GB__INPUT_HEADROOM;
	ssize_t size = gb__os_recv(os, stream->endpoint.fd, data, proactor->buffer_size);

	proactor->engine.stats.receives++;
	if (size > 0)
		stream->endpoint.ops->on_input(stream, data, (size_t)size);
	else
		received_nothing(proactor, stream, (int)size);
}

/* As the ring says that there is a packet: its receive tells the size of one that is larger, and no two come as one. */
static void packet_now(struct proactor *proactor, struct gb__stream *stream)
{
	ssize_t size = gb__os_recv_packet(
		proactor->engine.os, stream->endpoint.fd, proactor->packet, GB__PACKET_MAX);

	proactor->engine.stats.receives++;
	if (size > 0)
		gb__stream_tell_packet(stream, proactor->packet, size);
	else
		received_nothing(proactor, stream, (int)size);
}

/* Whether so many failed in a row that they do not pass. */
static bool accept_fails_on(struct proactor *proactor)
{
	return ++proactor->accept_failures >= GB__ACCEPT_RETRIES_MAX;
}

/* Somebody waits in the backlog, or did: others look there as well. */
static void accept_now(struct proactor *proactor, struct gb__endpoint *listener)
{
	uint32_t slot = listener->slot, generation = listener->generation;
	struct gb__os *os = proactor->engine.os;

	for (unsigned took = 0; took < proactor->accept_batch;) {
		int fd = os->ops->accept(os, listener->fd);

		proactor->engine.stats.accepts++;
		if (fd < 0) {
			enum gb__accept_verdict verdict = gb__accept_verdict(fd);

			if (verdict == GB__ACCEPT_RETRY && !accept_fails_on(proactor))
				continue;
			if (verdict == GB__ACCEPT_NONE)
				proactor->engine.stats.again++;
			else
				listener->ops->on_accept(listener, fd);
			return;
		}
		took++;
		proactor->accept_failures = 0;
		listener->ops->on_accept(listener, fd);
		if (!gb__engine_find(&proactor->engine, slot, generation) ||
			!(listener->wants & GB__WANT_INPUT))
			return;
	}
}

static void poll_in_completed(struct proactor *proactor, struct gb__endpoint *endpoint, int result)
{
	uint32_t slot = endpoint->slot, generation = endpoint->generation;
	bool wanted = result >= 0 && (endpoint->wants & GB__WANT_INPUT);

	endpoint->armed &= (uint8_t) ~(ARMED_IN | BULK);
	if (endpoint->kind == GB__ENDPOINT_LISTENER && proactor->accept_when_ready) {
		if (wanted)
			accept_now(proactor, endpoint);
	} else if (endpoint->kind == GB__ENDPOINT_PACKET) {
		if (wanted)
			packet_now(proactor, (struct gb__stream *)endpoint);
	} else if (endpoint->kind == GB__ENDPOINT_LISTENER || !proactor->buffer) {
		endpoint->bits &= (uint8_t)~VIA_POLL_IN; /* what polling stood in for is tried again */
	} else if (wanted) {
		read_now(proactor, (struct gb__stream *)endpoint);
	}
	conclude(proactor, slot, generation);
}

static void accept_completed(
	struct proactor *proactor, struct gb__endpoint *listener, const struct gb__completion *completion)
{
	uint32_t slot = listener->slot, generation = listener->generation;
	bool more = completion->flags & GB__COMPLETION_MORE;
	int result = completion->result;

	if (!more)
		listener->armed &= (uint8_t)~ARMED_IN;
	if (result >= 0) {
		proactor->accept_failures = 0;
		listener->ops->on_accept(listener, result);
	} else if (result != -ECANCELED) {
		switch (gb__accept_verdict(result)) {
		case GB__ACCEPT_NONE:
			proactor->engine.stats.again++;
			if (!more)
				listener->bits |= VIA_POLL_IN;
			break;
		case GB__ACCEPT_RETRY:
			if (!accept_fails_on(proactor))
				break;
			__attribute__((fallthrough));
		default:
			if (listener->wants & GB__WANT_INPUT)
				listener->ops->on_accept(listener, result);
		}
	}
	if (!more)
		conclude(proactor, slot, generation);
}

/* The buffer that the bytes came in, lent and sent whole, as nearly all are. Returns false when it is anything else. */
static inline bool delivered_sent(struct proactor *proactor, struct gb__stream *stream, int result)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	struct gb__output *output = &stream->output;
	struct gb__chunk *chunk = output->tail;

	if (gb__unlikely(chunk->next != chunk) || gb__unlikely(chunk->size_class != GB__POOL_BORROWED) ||
		gb__unlikely((size_t)result != output->bytes) || /* which is not 0 */
		gb__unlikely(endpoint->bits & (DETACHING | BROKEN)))
		return false;
	endpoint->word &=
		~gb__state_word((struct gb__endpoint_state){ .wants = GB__WANT_OUTPUT, .armed = ARMED_OUT });
	output->tail = NULL;
	output->bytes = 0;
	gb__proactor_give_back(proactor, chunk);
	endpoint->ops->on_output(stream, 0);
	return true;
}

/* What a send of a packet has taken of the queue, or an error: it is sent whole, or not. */
static int packet_sent(const struct vector *vector, int result)
{
	size_t size = 0;

	for (size_t i = 0; i < vector->message.msg_iovlen; i++)
		size += vector->parts[i].iov_len;
	return (size_t)result == size ? result + (int)GB__PACKET_HEADER : -EIO;
}

static __attribute__((noinline)) void send_completed(
	struct proactor *proactor, struct gb__stream *stream, int result)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	uint32_t slot = endpoint->slot, generation = endpoint->generation;
	struct gb__chunk *head = stream->output.tail->next;

	endpoint->armed &= (uint8_t)~ARMED_OUT;
	if (gb__unlikely(head->operation)) {
		if (gb__unlikely(endpoint->kind == GB__ENDPOINT_PACKET) && result > 0)
			result = packet_sent(head->operation, result);
		gb__proactor_vector_give(proactor, head->operation);
		head->operation = NULL;
	}
	if (gb__likely(result > 0)) {
		bool told = endpoint->bits & (DETACHING | BROKEN);

		gb__output_consume(&stream->output, &proactor->engine.pool, (size_t)result);
		if (gb__likely(gb__output_empty(&stream->output))) {
			endpoint->wants &= (uint8_t)~GB__WANT_OUTPUT;
			if (gb__likely(!told)) {
				endpoint->ops->on_output(stream, 0);
				return; /* whatever more is wanted was begun by who wants it */
			}
		}
		if (!told)
			endpoint->ops->on_output(stream, 0);
	} else if (result == 0 || result == -EAGAIN) {
		proactor->engine.stats.again++;
		endpoint->bits |= VIA_POLL_OUT;
	} else if (result != -ECANCELED && result != -EINTR) {
		bool told = endpoint->bits & (DETACHING | BROKEN);

		endpoint->bits |= BROKEN;
		endpoint->wants &= (uint8_t)~GB__WANT_OUTPUT;
		if (!told)
			endpoint->ops->on_output(stream, result);
	}
	conclude(proactor, slot, generation);
}

static void connect_decided(struct proactor *proactor, struct gb__stream *stream, int result)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	struct gb__os *os = proactor->engine.os;

	if (endpoint->bits & DETACHING)
		return;
	if (result == 0)
		result = os->ops->connect_result(os, endpoint->fd);
	gb__proactor_target_drop(proactor, endpoint);
	endpoint->bits &= (uint8_t)~CONNECTING;
	endpoint->ops->on_connected(stream, result);
}

static void connect_completed(struct proactor *proactor, struct gb__stream *stream, int result)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	uint32_t slot = endpoint->slot, generation = endpoint->generation;

	endpoint->armed &= (uint8_t)~ARMED_OUT;
	if (result == -EINPROGRESS || result == -EALREADY || result == -EINTR)
		endpoint->bits |= VIA_POLL_OUT; /* it goes on without us (connect(2)) */
	else if (result != -ECANCELED)
		connect_decided(proactor, stream, result == -EISCONN ? 0 : result);
	conclude(proactor, slot, generation);
}

static void poll_out_completed(struct proactor *proactor, struct gb__stream *stream, int result)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	uint32_t slot = endpoint->slot, generation = endpoint->generation;

	endpoint->armed &= (uint8_t)~ARMED_OUT;
	endpoint->bits &= (uint8_t)~VIA_POLL_OUT;
	if ((endpoint->bits & CONNECTING) && result != -ECANCELED)
		connect_decided(proactor, stream, gb__min(result, 0));
	conclude(proactor, slot, generation);
}

static void watch_completed(struct proactor *proactor, struct gb__endpoint *watch, int result)
{
	uint32_t slot = watch->slot, generation = watch->generation;
	unsigned ready = 0;

	watch->armed &= (uint8_t)~ARMED_IN;
	if (result > 0)
		ready = (unsigned)result & (watch->wants | GB__READY_ERROR | GB__READY_HANGUP);
	else if (result != -ECANCELED && result != -EINTR)
		ready = GB__READY_ERROR;
	if (ready && watch->wants)
		watch->ops->on_ready(watch, ready);
	conclude(proactor, slot, generation);
}

void gb__proactor_file_over(struct proactor *proactor, struct gb__file *file)
{
	gb__proactor_leave(proactor, &file->endpoint);
	file->endpoint.ops->on_file(file, file->result);
}

static void file_completed(struct proactor *proactor, struct gb__file *file, int result)
{
	file->result = result;
	file->endpoint.armed &= (uint8_t)~ARMED_IN;
	file->endpoint.bits = 0;
	if (!file->endpoint.armed)
		gb__proactor_file_over(proactor, file);
}

/* The target may be on its way all the same; if not, the next turn cancels again. */
static void cancel_completed(struct proactor *proactor, struct gb__endpoint *endpoint, unsigned armed)
{
	endpoint->armed &= (uint8_t)~armed;
	if (endpoint->kind == GB__ENDPOINT_FILE) {
		if (!endpoint->armed)
			gb__proactor_file_over(proactor, (struct gb__file *)endpoint);
	} else if (endpoint->armed) {
		gb__proactor_retry(proactor, endpoint);
	} else {
		conclude(proactor, endpoint->slot, endpoint->generation);
	}
}

bool gb__proactor_done_untold(struct gb__engine *engine, const struct gb__stream *stream)
{
	const struct proactor *proactor = (const struct proactor *)engine;
	const struct gb__endpoint *endpoint = &stream->endpoint;

	return proactor->ops->completes(
		proactor->ring, (uint64_t)endpoint->slot << 40 | endpoint->generation, ~(0xffull << 32));
}

/* Unless somebody has borrowed it meanwhile. */
static inline void delivered(struct proactor *proactor)
{
	unsigned id = proactor->delivering;

	if (gb__likely(id == NOT_DELIVERING))
		return;
	proactor->delivering = NOT_DELIVERING;
	gb__proactor_buffers_of(proactor, id)->credits++;
	proactor->ops->buffer_return(proactor->ring, id);
}

static enum operation operation_of(const struct gb__completion *completion)
{
	return (enum operation)(completion->token >> 32 & 0xff);
}

static __attribute__((noinline)) void complete(
	struct proactor *proactor, const struct gb__completion *completion)
{
	enum operation operation = operation_of(completion);
	struct gb__endpoint *endpoint = gb__engine_find(
		&proactor->engine, gb__proactor_slot(completion->token), (uint32_t)completion->token);

	if (completion->flags & GB__COMPLETION_BUFFER)
		proactor->delivering = gb__completion_buffer(completion);
	if (gb__likely(endpoint)) {
		struct gb__stream *stream = (struct gb__stream *)endpoint;

		switch (operation) {
		case OP_RECV:
			recv_completed(proactor, stream, completion);
			break;
		case OP_SEND:
			send_completed(proactor, stream, completion->result);
			break;
		case OP_ACCEPT:
			accept_completed(proactor, endpoint, completion);
			break;
		case OP_POLL_IN:
			poll_in_completed(proactor, endpoint, completion->result);
			break;
		case OP_POLL_OUT:
			poll_out_completed(proactor, stream, completion->result);
			break;
		case OP_CONNECT:
			connect_completed(proactor, stream, completion->result);
			break;
		case OP_WATCH:
			watch_completed(proactor, endpoint, completion->result);
			break;
		case OP_FILE:
			file_completed(proactor, (struct gb__file *)endpoint, completion->result);
			break;
		case OP_CANCEL_IN:
			cancel_completed(proactor, endpoint, ARMED_CANCEL_IN);
			break;
		case OP_CANCEL_OUT:
			cancel_completed(proactor, endpoint, ARMED_CANCEL_OUT);
			break;
		case OP_CLOSE:
		case OP_WAKE:
			break;
		}
	} else if (operation == OP_ACCEPT && completion->result >= 0) {
		proactor->engine.os->ops->close(proactor->engine.os, completion->result);
	} else {
		/* Whatever else close(2) says, the descriptor is gone; this one it never had. */
		gb__assert(operation != OP_CLOSE || completion->result != -EBADF);
	}
	delivered(proactor);
}

/* Bytes of a receive that goes on and did not fill its buffer, as nearly all come. */
static inline bool brings_bytes(const struct proactor *proactor, const struct gb__completion *completion)
{
	const unsigned expected = GB__COMPLETION_BUFFER | GB__COMPLETION_MORE;

	return (completion->flags & 0xffffu & ~(unsigned)GB__COMPLETION_NONEMPTY) == expected &&
		completion->result > 0 && completion->result < proactor->bulk_from;
}

/* `complete` for what nearly every message consists of; returns false for all else. */
static inline bool complete_usual(struct proactor *proactor, const struct gb__completion *completion)
{
	struct gb__endpoint *endpoint = gb__engine_find(
		&proactor->engine, gb__proactor_slot(completion->token), (uint32_t)completion->token);
	struct gb__stream *stream = (struct gb__stream *)endpoint;
	enum operation operation = operation_of(completion);
	unsigned char *data;

	if (gb__unlikely(!endpoint))
		return false;
	if (operation == OP_SEND)
		return delivered_sent(proactor, stream, completion->result);
	if (gb__unlikely(operation != OP_RECV) || gb__unlikely(!brings_bytes(proactor, completion)))
		return false;
	proactor->delivering = gb__completion_buffer(completion);
	data = proactor->ops->buffer(proactor->ring, proactor->delivering);
	endpoint->ops->on_input(stream, data, (size_t)completion->result);
	delivered(proactor);
	return true;
}

void gb__proactor_complete(struct proactor *proactor, unsigned count)
{
	const struct gb__completion *completion = proactor->completions;

	for (const struct gb__completion *end = completion + count; completion < end; completion++) {
		gb__engine_fetch(&proactor->engine, gb__proactor_slot(completion[GB__ENGINE_AHEAD].token));
		if (gb__unlikely(!complete_usual(proactor, completion)))
			complete(proactor, completion);
	}
}

void gb__proactor_accepts_first(struct proactor *proactor, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct gb__completion *completion = &proactor->completions[i];
		const struct gb__endpoint *endpoint = gb__engine_find(
			&proactor->engine, gb__proactor_slot(completion->token), (uint32_t)completion->token);

		if (!endpoint || endpoint->kind != GB__ENDPOINT_LISTENER)
			continue;
		complete(proactor, completion);
		*completion = (struct gb__completion){ .token = gb__proactor_nobody(OP_WAKE) };
	}
	proactor->engine.on_accepts_told(proactor->engine.on_accepts_told_arg);
}
