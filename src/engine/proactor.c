/*
 * The proactor: starts operations on a ring and dispatches their completions.
 *
 * Happy path of a message: a receive armed long ago completes with a provided buffer and goes on
 * (multishot), on_input, the core queues a reply and calls flush, which prepares a send; the buffer returns
 * to the ring, unless the reply is borrowed from it; the next wait submits the send together with everybody
 * else's; its completion drops the bytes from the queue (and returns a borrowed buffer) and says on_output. No system call and no allocation of its own.
 *
 * A peer that sends in bulk fills its buffer, and more waits: from then on its receives are single ones into large
 * buffers, each started when the last one's bytes were told, until two in a row bring little. The receive that goes on
 * is cancelled first, and what it still brings is told.
 *
 * What can come between: a multishot operation ends early (completions without MORE re-arm it), the
 * buffers run out (the receive is parked until some came back), the ring takes no more for the moment
 * (the endpoint is put in line for the next turn), an operation is cancelled (it may succeed all the
 * same), a completion arrives for an endpoint that is gone (its generation no longer matches; what it
 * carries is given back).
 */
#include "engine/proactor.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "os/process.h"
#include "os/tsan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SLOTS_MAX (1u << 24) /* what a token has room for */

#define ENTRIES 512u
#define SUBMITS_MAX 100u    /* of what a ring has when it ends: the kernel may lack memory */
#define QUEUE_ENTRIES 8192u /* completions */
#define BUFFERS 1024u       /* the ring touches only as many as the load needs */
#define BUFFER_SIZE (16u << 10)
#define BULK_BUFFERS 128u /* made for the first who needs one, touched in the same way: 8 MiB at most */
#define BULK_BUFFER_SIZE GB__INPUT_MAX

static void line_add(struct proactor *proactor, uint32_t slot)
{
	struct line *line = &proactor->line;
	uint32_t link = slot + 1;

	if (proactor->next[slot] != LINE_NOT)
		return;
	proactor->next[slot] = LINE_END;
	if (line->first == LINE_NOT)
		line->first = link;
	else
		proactor->next[line->last - 1] = link;
	line->last = link;
}

void gb__proactor_retry(struct proactor *proactor, const struct gb__endpoint *endpoint)
{
	line_add(proactor, endpoint->slot);
}

void gb__proactor_error_hold(struct proactor *proactor, struct gb__endpoint *endpoint, int error)
{
	endpoint->wants |= ENDED_BADLY;
	if (proactor->errors_count == proactor->errors_size) {
		unsigned size = 2 * proactor->errors_size + 8;
		struct held_error *errors = gb__realloc(proactor->errors, size * sizeof(*errors));

		if (!errors)
			return; /* it will be told as a reset, as most are */
		proactor->errors = errors;
		proactor->errors_size = size;
	}
	proactor->errors[proactor->errors_count++] = (struct held_error){ endpoint->slot, error };
}

int gb__proactor_error_take(struct proactor *proactor, const struct gb__endpoint *endpoint)
{
	if (!(endpoint->wants & ENDED_BADLY))
		return 0;
	for (unsigned i = 0; i < proactor->errors_count; i++) {
		struct held_error *held = &proactor->errors[i];
		int error = held->error;

		if (held->slot != endpoint->slot)
			continue;
		*held = proactor->errors[--proactor->errors_count];
		return error;
	}
	return -ECONNRESET;
}

static int proactor_error_untold(struct gb__engine *engine, const struct gb__stream *stream)
{
	const struct proactor *proactor = (const struct proactor *)engine;
	const struct gb__endpoint *endpoint = &stream->endpoint;

	if (!(endpoint->wants & ENDED_BADLY))
		return 0;
	for (unsigned i = 0; i < proactor->errors_count; i++)
		if (proactor->errors[i].slot == endpoint->slot)
			return proactor->errors[i].error;
	return -ECONNRESET;
}

struct target *gb__proactor_target(struct proactor *proactor, const struct gb__endpoint *endpoint)
{
	for (struct gb__list *node = proactor->targets.next; node != &proactor->targets; node = node->next) {
		struct target *target = gb__container_of(node, struct target, link);

		if (target->slot == endpoint->slot)
			return target;
	}
	return NULL;
}

void gb__proactor_target_drop(struct proactor *proactor, const struct gb__endpoint *endpoint)
{
	struct target *target = gb__proactor_target(proactor, endpoint);

	gb__list_remove(&target->link);
	gb__free(target);
}

void gb__proactor_leave(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	gb__assert(!endpoint->armed);
	/* Of a watch this bit is in its mask. */
	if (gb__unlikely(endpoint->bits & CONNECTING) && gb__endpoint_is_stream(endpoint))
		gb__proactor_target_drop(proactor, endpoint);
	if (gb__unlikely(endpoint->wants & ENDED_BADLY))
		gb__proactor_error_take(proactor, endpoint);
	gb__engine_slot_give(&proactor->engine, endpoint);
}

/* A receive that found no buffer is tried again when one is there. Returns whether it still waits. */
static bool starves(struct proactor *proactor, struct gb__endpoint *endpoint)
{
	struct buffers *buffers = gb__proactor_buffers_for(proactor, endpoint);

	if (!(endpoint->bits & STARVED))
		return false;
	if (!buffers->credits)
		return true;
	endpoint->bits &= (uint8_t)~STARVED;
	buffers->credits--;
	return false;
}

/* Start, cancel or tell what could not be at its time. Returns whether the coming wait must not block. */
static bool settle_line(struct proactor *proactor)
{
	struct line turn = proactor->line;
	bool told = false;

	/* Those who come back into the line while it is worked off have their turn in the next wait. */
	proactor->line = (struct line){ 0 };
	for (uint32_t link = turn.first, next; link != LINE_NOT; link = next == LINE_END ? LINE_NOT : next) {
		uint32_t slot = link - 1;
		struct gb__endpoint *endpoint = proactor->engine.slots[slot];

		next = proactor->next[slot];
		proactor->next[slot] = LINE_NOT;
		if ((uintptr_t)endpoint & 1u)
			continue; /* left meanwhile */
		if (endpoint->kind == GB__ENDPOINT_FILE) {
			told |= gb__proactor_settle_file(proactor, (struct gb__file *)endpoint);
			continue;
		}
		if (starves(proactor, endpoint))
			line_add(proactor, slot);
		/* Settled in any case: a send may be in line beside the end of input. */
		gb__proactor_settle(proactor, endpoint);
		if (gb__unlikely((endpoint->bits & END_HELD) && (endpoint->wants & GB__WANT_INPUT) &&
			    gb__endpoint_is_stream(endpoint))) {
			gb__proactor_end(proactor, (struct gb__stream *)endpoint,
				gb__proactor_error_take(proactor, endpoint));
			told = true;
		}
	}
	return told || proactor->line.first != LINE_NOT;
}

static int proactor_wait(struct gb__engine *engine, int64_t timeout_ns)
{
	struct proactor *proactor = (struct proactor *)engine;
	int count;

	gb__assert(!proactor->waiting);
	proactor->waiting = true;
	if (proactor->line.first != LINE_NOT) {
		engine->awake = true; /* it may tell of ends */
		if (settle_line(proactor))
			timeout_ns = 0;
		engine->awake = timeout_ns == 0;
	}
	count = proactor->ops->wait(
		proactor->ring, proactor->completions, GB__PROACTOR_COMPLETIONS, timeout_ns);
	gb__engine_woke(engine);
	proactor->small.credits = proactor->large.credits = 0;
	if (gb__unlikely(proactor->accept_first) && count >= 0)
		gb__proactor_accepts_first(proactor, (unsigned)count);
	if (gb__likely(count > 0)) {
		gb__proactor_complete(proactor, (unsigned)count);
		engine->stats.events += (unsigned)count;
	}
	/* Every buffer is back that no completion still to be taken holds: none does when these were all. */
	if (count < (int)GB__PROACTOR_COMPLETIONS) {
		proactor->small.credits = proactor->small.count - proactor->small.borrowed;
		proactor->large.credits = proactor->large.count - proactor->large.borrowed;
	}
	proactor->waiting = false;
	return count;
}

static void proactor_close(struct gb__engine *engine, int fd)
{
	struct proactor *proactor = (struct proactor *)engine;
	const bool may = engine->os->simulated || gb__tsan_close_unseen();

	if (!may || proactor->ops->close(proactor->ring, fd, gb__proactor_nobody(OP_CLOSE)) < 0)
		engine->os->ops->close(engine->os, fd);
}

static void proactor_wake(struct gb__engine *engine)
{
	struct proactor *proactor = (struct proactor *)engine;

	/* A message is taken as a completion, an event must be cleared and watched again. */
	if (!proactor->messages || proactor->ops->wake(proactor->ring, gb__proactor_nobody(OP_WAKE)) < 0)
		engine->os->ops->event_signal(engine->os, proactor->wakeup.fd);
}

static int slots_grow(struct proactor *proactor)
{
	uint32_t *next;

	if (proactor->slots_size == proactor->engine.slots_size)
		return 0;
	next = gb__table_grow(proactor->next, proactor->slots_size * sizeof(*next),
		proactor->engine.slots_size * sizeof(*next));
	if (!next)
		return -ENOMEM;
	proactor->next = next;
	proactor->slots_size = proactor->engine.slots_size;
	return 0;
}

static int packet_room(struct proactor *proactor)
{
	if (proactor->packet)
		return 0;
	proactor->packet = gb__alloc(GB__INPUT_PACKET_BEFORE + GB__PACKET_MAX);
	if (!proactor->packet)
		return -ENOMEM;
	proactor->packet += GB__INPUT_PACKET_BEFORE;
	return 0;
}

static int proactor_attach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	struct proactor *proactor = (struct proactor *)engine;
	int result = gb__engine_slot_take(engine, endpoint);

	if (result < 0)
		return result;
	result = endpoint->slot < SLOTS_MAX ? slots_grow(proactor) : -GB_ELIMIT;
	if (result == 0 && gb__unlikely(endpoint->kind == GB__ENDPOINT_PACKET))
		result = packet_room(proactor);
	if (result < 0) {
		gb__engine_slot_give(engine, endpoint);
		return result;
	}
	if (endpoint->slot == proactor->slots_used)
		proactor->next[proactor->slots_used++] = LINE_NOT;
	endpoint->wants = endpoint->armed = endpoint->bits = 0;
	if (endpoint->kind == GB__ENDPOINT_PACKET ||
		(proactor->buffer && endpoint->kind == GB__ENDPOINT_STREAM) ||
		(proactor->accept_when_ready && endpoint->kind == GB__ENDPOINT_LISTENER))
		endpoint->bits = VIA_POLL_IN;
	return 0;
}

/*
 * A descriptor is free only once nothing is in flight on it: what is gets cancelled, by the next wait.
 * Until then received bytes and accepted connections are still told, and sent bytes leave the queue,
 * which therefore must not be cleared before.
 */
static int proactor_detach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	struct proactor *proactor = (struct proactor *)engine;

	gb__assert(!(endpoint->bits & DETACHING));
	endpoint->wants &= ENDED_BADLY;
	if (!endpoint->armed) {
		gb__proactor_leave(proactor, endpoint);
		return 0;
	}
	endpoint->bits |= DETACHING;
	gb__proactor_retry(proactor, endpoint);
	return 1;
}

static int proactor_input_start(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	struct proactor *proactor = (struct proactor *)engine;

	gb__assert(!(endpoint->bits & DETACHING));
	endpoint->wants |= GB__WANT_INPUT;
	if (endpoint->bits & END_HELD)
		gb__proactor_retry(proactor, endpoint);
	else
		gb__proactor_settle_input(proactor, endpoint);
	return 0;
}

/* Most pauses are over before the next wait, which cancels what is then still not wanted. */
static void proactor_input_stop(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	endpoint->wants &= (uint8_t)~GB__WANT_INPUT;
	if (endpoint->armed & ARMED_IN)
		gb__proactor_retry((struct proactor *)engine, endpoint);
}

static int proactor_flush(struct gb__engine *engine, struct gb__stream *stream)
{
	struct gb__endpoint *endpoint = &stream->endpoint;

	gb__assert(!(endpoint->bits & DETACHING));
	if (gb__output_empty(&stream->output))
		return 0;
	if (endpoint->bits & BROKEN)
		return -EPIPE;
	endpoint->wants |= GB__WANT_OUTPUT;
	gb__proactor_settle_output((struct proactor *)engine, stream);
	return 1;
}

static int proactor_connect(
	struct gb__engine *engine, struct gb__stream *stream, const struct sockaddr *address, socklen_t size)
{
	struct proactor *proactor = (struct proactor *)engine;
	struct gb__endpoint *endpoint = &stream->endpoint;
	struct target *target;

	if (size > sizeof(target->address))
		return -EINVAL;
	gb__assert(!(endpoint->bits & CONNECTING));
	target = gb__alloc(sizeof(*target));
	if (!target)
		return -ENOMEM;
	memcpy(&target->address, address, size);
	target->size = size;
	target->slot = endpoint->slot;
	gb__list_append(&proactor->targets, &target->link);
	endpoint->bits |= CONNECTING;
	gb__proactor_settle_output(proactor, stream);
	return 0;
}

static int proactor_watch(struct gb__engine *engine, struct gb__endpoint *endpoint, unsigned ready)
{
	gb__assert(!(endpoint->bits & DETACHING));
	endpoint->wants = (uint8_t)(ready & WATCHED);
	/* One that rests now may be wanted again before the next wait, which cancels it otherwise. */
	if (endpoint->armed)
		gb__proactor_retry((struct proactor *)engine, endpoint);
	else
		gb__proactor_settle_watch((struct proactor *)engine, endpoint);
	return 0;
}

static int proactor_file(struct gb__engine *engine, struct gb__file *file)
{
	int result;

	file->endpoint.kind = GB__ENDPOINT_FILE;
	result = proactor_attach(engine, &file->endpoint);
	if (result == 0)
		(void)gb__proactor_settle_file((struct proactor *)engine, file);
	return result;
}

static void proactor_file_cancel(struct gb__engine *engine, struct gb__file *file)
{
	file->endpoint.bits |= FILE_CANCEL;
	gb__proactor_retry((struct proactor *)engine, &file->endpoint);
}

static void wakeup_ready(struct gb__endpoint *watch, unsigned ready)
{
	struct proactor *proactor = gb__container_of(watch, struct proactor, wakeup);

	(void)ready;
	proactor->engine.os->ops->event_clear(proactor->engine.os, watch->fd);
}

static const struct gb__endpoint_ops wakeup_ops = { .on_ready = wakeup_ready };

static void chunks_lend(struct gb__chunk *chunks, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		chunks[i].size_class = GB__POOL_BORROWED;
}

static int chunks_create(struct proactor *proactor)
{
	unsigned count = proactor->small.count + proactor->large.count;

	proactor->chunks = gb__alloc_zero(count * sizeof(*proactor->chunks));
	if (!proactor->chunks)
		return -ENOMEM;
	chunks_lend(proactor->chunks, proactor->small.count);
	return 0;
}

bool gb__proactor_bulk_start(struct proactor *proactor)
{
	if (proactor->bulk_started)
		return true;
	if (proactor->ops->bulk_start(proactor->ring) < 0) {
		proactor->bulk_from = INT32_MAX;
		return false;
	}
	chunks_lend(proactor->chunks + proactor->small.count, proactor->large.count);
	proactor->bulk_started = true;
	return true;
}

/* Half of the buffers stay for receiving, however slowly what is borrowed leaves. */
static inline struct gb__chunk *borrow(struct proactor *proactor, const void *data, size_t size)
{
	struct buffers *buffers;
	struct gb__chunk *chunk;

	if (proactor->delivering == NOT_DELIVERING)
		return NULL;
	buffers = gb__proactor_buffers_of(proactor, proactor->delivering);
	if (buffers->borrowed >= buffers->count / 2)
		return NULL;
	chunk = &proactor->chunks[proactor->delivering];
	gb__assert(!chunk->data);
	chunk->data = (unsigned char *)data;
	chunk->begin = 0;
	chunk->end = (uint32_t)size;
	proactor->delivering = NOT_DELIVERING; /* whose buffer it is now */
	buffers->borrowed++;
	return chunk;
}

static struct gb__chunk *proactor_borrow(struct gb__engine *engine, const void *data, size_t size)
{
	return borrow((struct proactor *)engine, data, size);
}

static bool proactor_send_delivered(
	struct gb__engine *engine, struct gb__stream *stream, const void *data, size_t size)
{
	struct proactor *proactor = (struct proactor *)engine;
	const struct gb__endpoint_state in_the_way = { .armed = ARMED_OUT | ARMED_CANCEL_OUT,
		.bits = VIA_POLL_OUT | BROKEN | DETACHING };
	struct gb__endpoint *endpoint = &stream->endpoint;
	struct gb__chunk *chunk;

	if (gb__unlikely(endpoint->word & gb__state_word(in_the_way)))
		return false;
	chunk = borrow(proactor, data, size);
	if (gb__unlikely(!chunk))
		return false;
	chunk->next = stream->output.tail = chunk;
	stream->output.bytes = size;
	gb__proactor_send_alone(proactor, stream, data, (uint32_t)size);
	return true;
}

static void give_back(struct gb__pool *pool, struct gb__chunk *chunk)
{
	gb__proactor_give_back((struct proactor *)gb__container_of(pool, struct gb__engine, pool), chunk);
}

static void proactor_destroy(struct gb__engine *engine)
{
	struct proactor *proactor = (struct proactor *)engine;
	bool own;

	if (!engine)
		return;
	own = engine->pid == gb__process_self();
	if (own && proactor->wakeup.generation) {
		/* Its poll ends with the ring. */
		proactor->wakeup.armed = 0;
		gb__proactor_leave(proactor, &proactor->wakeup);
	}
	if (own) {
		gb__assert(engine->attached == 0 && proactor->small.borrowed + proactor->large.borrowed == 0);
		/* A ring that ends forgets what it has not passed on yet, and descriptors are to be closed. */
		for (unsigned i = 0;
			proactor->ring && proactor->ops->waiting(proactor->ring) && i < SUBMITS_MAX; i++)
			proactor->ops->wait(
				proactor->ring, proactor->completions, GB__PROACTOR_COMPLETIONS, 0);
	}
	if (proactor->ring)
		proactor->ops->destroy(proactor->ring);
	if (proactor->wakeup.fd >= 0)
		engine->os->ops->close(engine->os, proactor->wakeup.fd);
	if (proactor->notify_fd >= 0)
		engine->os->ops->close(engine->os, proactor->notify_fd);
	while (proactor->vectors)
		gb__free(gb__proactor_vector_take(proactor));
	gb__free(proactor->buffer);
	if (proactor->packet)
		gb__free(proactor->packet - GB__INPUT_PACKET_BEFORE);
	gb__table_free(proactor->next, proactor->slots_size * sizeof(*proactor->next));
	gb__free(proactor->errors);
	gb__free(proactor->chunks);
	gb__engine_finish(engine);
	gb__free(proactor);
}

/* Without borrowers and with all completions handled no receive buffer holds anything. */
static bool proactor_trim(struct gb__engine *engine)
{
	struct proactor *proactor = (struct proactor *)engine;

	gb__assert(!proactor->waiting && proactor->delivering == NOT_DELIVERING);
	while (proactor->vectors)
		gb__free(gb__proactor_vector_take(proactor));
	if (!proactor->ops->trim)
		return true;
	return proactor->small.borrowed + proactor->large.borrowed == 0 &&
		proactor->ops->trim(proactor->ring);
}

static int proactor_create(
	const struct gb__engine_options *options, struct gb__engine **ret, struct gb_error *error)
{
	struct gb__ring_options ring_options = {
		.os = options->os,
		.entries = options->entries ? options->entries : ENTRIES,
		.completions = options->completions ? options->completions : QUEUE_ENTRIES,
		.buffers = options->buffers ? options->buffers : BUFFERS,
		.buffer_size = options->buffer_size ? options->buffer_size : BUFFER_SIZE,
		.bulk_buffers = options->bulk_buffers ? options->bulk_buffers : BULK_BUFFERS,
		.bulk_buffer_size = options->bulk_buffer_size ? options->bulk_buffer_size : BULK_BUFFER_SIZE,
		.headroom = GB__INPUT_HEADROOM,
		.mask = options->ring_mask,
		.tried = options->tried,
	};
	struct proactor *proactor = gb__alloc_zero(sizeof(*proactor));
	unsigned features;
	int result;

	if (!proactor)
		return gb_error_set(error, -ENOMEM, "no memory for an event loop");
	gb__engine_init(&proactor->engine, &gb__engine_proactor, options->os);
	proactor->engine.name = options->ring->name;
	proactor->ops = options->ring;
	gb__list_init(&proactor->targets);
	proactor->engine.pool.give_back = give_back;
	proactor->delivering = NOT_DELIVERING;
	proactor->notify_fd = -1;
	proactor->small.count = proactor->small.credits = ring_options.buffers;
	proactor->large.count = ring_options.bulk_buffers;
	proactor->buffer_size = ring_options.buffer_size;
	proactor->wakeup = (struct gb__endpoint){ .ops = &wakeup_ops, .fd = -1, .kind = GB__ENDPOINT_WATCH };

	result = proactor->ops->create(&ring_options, &proactor->ring, error);
	if (result < 0)
		goto fail;
	features = proactor->ops->features(proactor->ring);
	proactor->multishot_accept = features & GB__RING_MULTISHOT_ACCEPT;
	proactor->accept_when_ready = options->accept_when_ready;
	proactor->accept_first = options->accept_first;
	proactor->accept_batch = options->accept_batch ? options->accept_batch : GB__ACCEPT_BATCH;
	proactor->messages = features & GB__RING_MESSAGES;
	proactor->multishot_recv = features & GB__RING_MULTISHOT_RECV;
	proactor->bulk_from = features & GB__RING_BULK ? (int32_t)proactor->buffer_size : INT32_MAX;
	if (features & GB__RING_PROVIDED_BUFFERS) {
		result = chunks_create(proactor);
	} else {
		proactor->buffer = gb__alloc(GB__INPUT_HEADROOM + proactor->buffer_size);
		result = proactor->buffer ? 0 : -ENOMEM;
	}
	if (result < 0) {
		gb_error_set(error, result, "no memory for an event loop");
		goto fail;
	}
	result = options->os->ops->event_create(options->os);
	if (result < 0) {
		gb_error_set(error, result, "cannot make a wake-up descriptor: %s", gb_strerror(result));
		goto fail;
	}
	proactor->wakeup.fd = result;
	result = proactor_attach(&proactor->engine, &proactor->wakeup);
	if (result < 0) {
		gb_error_set(error, result, "no memory for an event loop");
		goto fail;
	}
	proactor_watch(&proactor->engine, &proactor->wakeup, GB__READY_IN);
	*ret = &proactor->engine;
	return 0;

fail:
	proactor_destroy(&proactor->engine);
	return result;
}

const struct gb__engine_ops gb__engine_proactor = {
	.name = "proactor",
	.create = proactor_create,
	.destroy = proactor_destroy,
	.attach = proactor_attach,
	.detach = proactor_detach,
	.input_start = proactor_input_start,
	.input_stop = proactor_input_stop,
	.flush = proactor_flush,
	.borrow = proactor_borrow,
	.send_delivered = proactor_send_delivered,
	.connect = proactor_connect,
	.done_untold = gb__proactor_done_untold,
	.error_untold = proactor_error_untold,
	.close = proactor_close,
	.watch = proactor_watch,
	.file = proactor_file,
	.file_cancel = proactor_file_cancel,
	.trim = proactor_trim,
	.wait = proactor_wait,
	.wake = proactor_wake,
	.polled = &gb__proactor_polled,
};
