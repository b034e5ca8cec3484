/* The proactor's initiator: starts operations on the ring, and cancels them. */
#include "base/macros.h"
#include "engine/proactor.h"

#include "base/alloc.h"

#include <errno.h>

#define VECTORS_KEPT_MAX 64u

static uint64_t token_of(const struct gb__endpoint *endpoint, enum operation operation)
{
	return (uint64_t)endpoint->slot << 40 | (uint64_t)operation << 32 | endpoint->generation;
}

struct vector *gb__proactor_vector_take(struct proactor *proactor)
{
	struct vector *vector = proactor->vectors;

	if (!vector)
		return gb__alloc(sizeof(*vector));
	proactor->vectors = vector->next;
	proactor->vectors_count--;
	return vector;
}

void gb__proactor_vector_give(struct proactor *proactor, struct vector *vector)
{
	if (proactor->vectors_count == VECTORS_KEPT_MAX) {
		gb__free(vector);
		return;
	}
	vector->next = proactor->vectors;
	proactor->vectors = vector;
	proactor->vectors_count++;
}

/* Starting: each returns 0 or -EBUSY. */

static int input_begin(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	struct gb__engine_stats *stats = &proactor->engine.stats;
	int fd = endpoint->fd;

	if (endpoint->bits & VIA_POLL_IN)
		return proactor->ops->poll(proactor->ring, fd, GB__READY_IN, token_of(endpoint, OP_POLL_IN));
	if (endpoint->kind == GB__ENDPOINT_LISTENER) {
		stats->accepts++;
		return proactor->ops->accept(
			proactor->ring, fd, proactor->multishot_accept, token_of(endpoint, OP_ACCEPT));
	}
	stats->receives++;
	if (endpoint->wants & BULK)
		return proactor->ops->recv_bulk(proactor->ring, fd, token_of(endpoint, OP_RECV));
	return proactor->ops->recv(proactor->ring, fd, proactor->multishot_recv, token_of(endpoint, OP_RECV));
}

/* What is sent stays as it is until the completion; bytes appended meanwhile lie behind it. */
static int send_begin(struct proactor *proactor, struct gb__stream *stream)
{
	const struct gb__output *output = &stream->output;
	struct gb__endpoint *endpoint = &stream->endpoint;
	uint64_t token = token_of(endpoint, OP_SEND);
	struct vector *vector = NULL;
	struct iovec front;
	int result;

	proactor->engine.stats.sends++;
	if (gb__unlikely(output->tail->next != output->tail))
		vector = gb__proactor_vector_take(proactor);
	if (gb__likely(!vector)) { /* one part, or no memory to name more */
		front = gb__output_front(output);
		return proactor->ops->send(
			proactor->ring, endpoint->fd, front.iov_base, (uint32_t)front.iov_len, token);
	}
	vector->message = (struct msghdr){ .msg_iov = vector->parts,
		.msg_iovlen = gb__output_vector(output, vector->parts, GB__PROACTOR_PARTS) };
	result = proactor->ops->sendmsg(proactor->ring, endpoint->fd, &vector->message, token);
	if (result == 0)
		output->tail->next->operation = vector;
	else
		gb__proactor_vector_give(proactor, vector);
	return result;
}

/* One packet, as one send. Without memory to name its parts it is tried again. */
static int packet_begin(struct proactor *proactor, struct gb__stream *stream)
{
	const struct gb__output *output = &stream->output;
	struct vector *vector = gb__proactor_vector_take(proactor);
	size_t size;
	int result;

	static_assert(GB__PACKET_PARTS <= GB__PROACTOR_PARTS, "a packet has room");
	if (!vector)
		return -EBUSY;
	proactor->engine.stats.sends++;
	vector->message = (struct msghdr){ .msg_iov = vector->parts,
		.msg_iovlen = gb__output_packet(output, vector->parts, &size) };
	result = proactor->ops->sendmsg(
		proactor->ring, stream->endpoint.fd, &vector->message, token_of(&stream->endpoint, OP_SEND));
	if (result == 0)
		output->tail->next->operation = vector;
	else
		gb__proactor_vector_give(proactor, vector);
	return result;
}

static int output_begin(struct proactor *proactor, struct gb__stream *stream)
{
	struct gb__endpoint *endpoint = &stream->endpoint;
	const struct target *target;

	if (endpoint->bits & VIA_POLL_OUT)
		return proactor->ops->poll(
			proactor->ring, endpoint->fd, GB__READY_OUT, token_of(endpoint, OP_POLL_OUT));
	if (!(endpoint->bits & CONNECTING))
		return gb__unlikely(endpoint->kind == GB__ENDPOINT_PACKET) ? packet_begin(proactor, stream)
									   : send_begin(proactor, stream);
	target = gb__proactor_target(proactor, endpoint);
	return proactor->ops->connect(proactor->ring, endpoint->fd, (const struct sockaddr *)&target->address,
		target->size, token_of(endpoint, OP_CONNECT));
}

/* Note what was begun, or come back to it. */
static void begun(struct proactor *proactor, struct gb__endpoint *endpoint, unsigned armed, int result)
{
	if (gb__likely(result == 0))
		endpoint->armed |= (uint8_t)armed;
	else
		gb__proactor_retry(proactor, endpoint);
}

void gb__proactor_send_alone(
	struct proactor *proactor, struct gb__stream *stream, const void *data, uint32_t size)
{
	struct gb__endpoint *endpoint = &stream->endpoint;

	proactor->engine.stats.sends++;
	endpoint->word |=
		gb__state_word((struct gb__endpoint_state){ .wants = GB__WANT_OUTPUT, .armed = ARMED_OUT });
	if (gb__likely(proactor->ops->send(
			       proactor->ring, endpoint->fd, data, size, token_of(endpoint, OP_SEND)) == 0))
		return;
	endpoint->armed &= (uint8_t)~ARMED_OUT;
	gb__proactor_retry(proactor, endpoint);
}

static void input_cancel(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	enum operation operation = OP_RECV;

	if (endpoint->kind == GB__ENDPOINT_WATCH)
		operation = OP_WATCH;
	else if (endpoint->kind == GB__ENDPOINT_FILE)
		operation = OP_FILE;
	else if (endpoint->bits & VIA_POLL_IN)
		operation = OP_POLL_IN;
	else if (endpoint->kind == GB__ENDPOINT_LISTENER)
		operation = OP_ACCEPT;
	begun(proactor, endpoint, ARMED_CANCEL_IN,
		proactor->ops->cancel(
			proactor->ring, token_of(endpoint, operation), token_of(endpoint, OP_CANCEL_IN)));
}

static void output_cancel(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	enum operation operation = OP_SEND;

	if (endpoint->bits & VIA_POLL_OUT)
		operation = OP_POLL_OUT;
	else if (endpoint->bits & CONNECTING)
		operation = OP_CONNECT;
	begun(proactor, endpoint, ARMED_CANCEL_OUT,
		proactor->ops->cancel(
			proactor->ring, token_of(endpoint, operation), token_of(endpoint, OP_CANCEL_OUT)));
}

void gb__proactor_settle_watch(struct proactor *proactor, struct gb__endpoint *watch)
{
	unsigned mask = watch->bits & WATCHED;

	if (watch->armed & ARMED_CANCEL_IN)
		return;
	if (watch->armed & ARMED_IN) {
		if (watch->wants != mask)
			input_cancel(proactor, watch);
	} else if (watch->wants) {
		watch->bits = watch->wants; /* not DETACHING, which wants nothing */
		begun(proactor, watch, ARMED_IN,
			proactor->ops->poll(
				proactor->ring, watch->fd, watch->wants, token_of(watch, OP_WATCH)));
	}
}

bool gb__proactor_settle_file(struct proactor *proactor, struct gb__file *file)
{
	struct gb__endpoint *endpoint = &file->endpoint;

	if (endpoint->armed & ARMED_CANCEL_IN)
		return false;
	if (endpoint->armed & ARMED_IN) {
		if (endpoint->bits & FILE_CANCEL)
			input_cancel(proactor, endpoint);
		if (endpoint->armed & ARMED_CANCEL_IN)
			endpoint->bits = 0;
	} else if (endpoint->bits & FILE_CANCEL) {
		file->result = -ECANCELED;
		gb__proactor_file_over(proactor, file);
		return true;
	} else {
		begun(proactor, endpoint, ARMED_IN,
			proactor->ops->file(proactor->ring, &file->call, token_of(endpoint, OP_FILE)));
	}
	return false;
}

void gb__proactor_settle_input(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	if (endpoint->armed & ARMED_CANCEL_IN)
		return;
	if (endpoint->armed & ARMED_IN) {
		/* Or what goes on is in the way of bulk; a receive for bulk ends by itself. */
		if (!(endpoint->wants & GB__WANT_INPUT) || (endpoint->wants & ~endpoint->armed & BULK))
			input_cancel(proactor, endpoint);
	} else if ((endpoint->wants & GB__WANT_INPUT) && !(endpoint->bits & (CONNECTING | STARVED | ENDED))) {
		begun(proactor, endpoint, ARMED_IN | (endpoint->wants & BULK),
			input_begin(proactor, endpoint));
	}
}

void gb__proactor_settle_output(struct proactor *proactor, struct gb__stream *stream)
{
	struct gb__endpoint *endpoint = &stream->endpoint;

	if (endpoint->armed & ARMED_CANCEL_OUT)
		return;
	if (endpoint->armed & ARMED_OUT) {
		/* Nobody takes back what he asked to send, but for leaving. */
		if (endpoint->bits & DETACHING)
			output_cancel(proactor, endpoint);
	} else if ((endpoint->wants & GB__WANT_OUTPUT) ||
		(endpoint->bits & (CONNECTING | DETACHING)) == CONNECTING) {
		begun(proactor, endpoint, ARMED_OUT, output_begin(proactor, stream));
	}
}

void gb__proactor_settle(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	if (endpoint->kind == GB__ENDPOINT_WATCH) {
		gb__proactor_settle_watch(proactor, endpoint);
	} else {
		gb__proactor_settle_input(proactor, endpoint);
		if (gb__endpoint_is_stream(endpoint))
			gb__proactor_settle_output(proactor, (struct gb__stream *)endpoint);
	}
}
