#include "pool/apart.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/task.h"
#include "os/os.h"

#include <string.h>

struct apart {
	struct gb__exchange *exchange;
	struct gb__net *net;
	struct gb__terms *terms;
	void (*ring)(void *arg, uint32_t source);
	void *arg;
	struct gb__limits limits;
	struct gb__task task;
	struct { /* what the task's connection is taken for: its state alone */
		struct gb_conn conn;
		unsigned char state[GB__EXCHANGE_STATE_MAX];
	} __attribute__((aligned(16))) real;
};

/* The limits of the connection, which it may have for itself. */
static struct gb__terms *terms_of(struct apart *apart, const struct gb__exchange_slot *slot)
{
	struct gb__terms *terms = &apart->terms[slot->service];

	apart->limits.output_low = slot->output_low;
	apart->limits.output_high = slot->output_high;
	apart->limits.output_bytes_max = slot->output_max;
	terms->limits = &apart->limits;
	return terms;
}

static void task_begin(struct apart *apart, struct gb__exchange_slot *slot, struct gb_bytes message)
{
	struct gb__task *task = &apart->task;

	task->facade = (struct gb_conn){
		.stream.endpoint = { .fd = -1, .slot = slot->conn_slot, .generation = slot->conn_generation },
		.net = apart->net,
		.terms = terms_of(apart, slot),
		.flags = GB__CONN_CLOSING,
		.state = GB__CONN_TASK,
	};
	apart->real.conn.terms = task->facade.terms;
	task->conn = &apart->real.conn;
	task->cancelled_there = &slot->cancelled;
	task->frame = (struct gb_frame){
		.consumed = slot->consumed,
		.offset = slot->offset,
		.size = message.size,
		.key = slot->key,
		.parsed = slot->parsed <= message.size ? message.data + slot->parsed : NULL,
	};
	task->route = (const struct gb_route *)(uintptr_t)slot->route;
	task->on_message = task->route ? task->route->on_message : task->facade.terms->on_message;
	task->aborted = false;
	task->holds = 0;
	task->failed = -1;
	atomic_store(&task->paused, 0);
	memcpy(apart->real.state, slot->state, task->facade.terms->service->conn_state_size);
}

/* The reply in parts, of which the last comes with the outcome. */
static void task_end(struct apart *apart, unsigned n)
{
	struct gb__exchange_slot *slot = &apart->exchange->slots[n];
	struct gb__task *task = &apart->task;
	struct gb__output *output = &task->facade.stream.output;
	uint32_t part = 0;

	while (!gb__output_empty(output)) {
		struct iovec front = gb__output_front(output);
		size_t some = gb__min(front.iov_len, (size_t)(GB__EXCHANGE_PART - part));

		memcpy(slot->reply + part, front.iov_base, some);
		part += (uint32_t)some;
		gb__output_consume(output, &task->chunks, some);
		if (part == GB__EXCHANGE_PART && !gb__output_empty(output)) {
			slot->reply_part = part;
			gb__exchange_ask(apart->exchange, n, GB__EXCHANGE_PARTIAL, apart->ring, apart->arg);
			part = 0;
		}
	}
	slot->reply_part = part;
	slot->outcome = (struct gb__exchange_outcome){
		.holds = task->holds,
		.failed = task->failed,
		.flags = task->facade.flags & (GB__CONN_REFUSED_TRY | GB__CONN_RESET | GB__CONN_OUTPUT_END),
		.aborted = task->aborted,
		.paused = task->paused,
	};
	memcpy(slot->state, apart->real.state, task->facade.terms->service->conn_state_size);
	atomic_store(&apart->exchange->phases[n], GB__EXCHANGE_DONE);
	apart->ring(apart->arg, slot->source);
}

/* One that is longer than a slot: part by part into memory of its own. NULL without. */
static unsigned char *gather(struct apart *apart, unsigned n)
{
	struct gb__exchange_slot *slot = &apart->exchange->slots[n];
	unsigned char *bytes = gb__alloc(slot->size);
	uint64_t held = 0;

	while (bytes) {
		memcpy(bytes + held, slot->request, slot->part);
		held += slot->part;
		if (held == slot->size)
			break;
		gb__exchange_ask(apart->exchange, n, GB__EXCHANGE_WANTS, apart->ring, apart->arg);
	}
	return bytes;
}

static void handle(struct apart *apart, unsigned n)
{
	struct gb__exchange_slot *slot = &apart->exchange->slots[n];
	struct gb_bytes message = { slot->request, slot->size };
	unsigned char *whole = NULL;

	if (slot->size > slot->part)
		message.data = whole = gather(apart, n);
	task_begin(apart, slot, message);
	if (!message.data) {
		apart->task.failed = GB_CLOSE_NO_MEMORY;
		apart->task.facade.flags |= GB__CONN_RESET;
	} else if (!gb_conn_cancelled(&apart->task.facade)) {
		apart->task.on_message(&apart->task.facade, message);
	}
	apart->task.facade.state = GB__CONN_STALE;
	task_end(apart, n);
	gb__free(whole);
}

void gb__apart_run(struct gb__exchange *exchange, struct gb__net *net, struct gb__terms *terms,
	void (*ring)(void *arg, uint32_t source), void *arg)
{
	/* The first one that calls for memory may be the handler of a message: it is its own. */
	static struct apart apart;
	int slot;

	apart.exchange = exchange;
	apart.net = net;
	apart.terms = terms;
	apart.limits = *net->limits;
	apart.ring = ring;
	apart.arg = arg;
	gb__pool_init(&apart.task.chunks);
	while ((slot = gb__exchange_next(exchange)) >= 0) {
		net->engine->now_ms = gb__os_now_ms(&gb__os_linux);
		handle(&apart, (unsigned)slot);
	}
	gb__pool_finish(&apart.task.chunks);
}
