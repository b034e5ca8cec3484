/**
 * Memory that the server shares with one process of its pool: messages go in, replies come back.
 *
 * A few slots, each of which holds one message and its reply. What is longer than a slot goes through it in parts, in
 * either direction, so that no message needs more memory than that. A slot belongs to the server while it is free or
 * waits, wants or has a part, or is done; to the process while it runs. Whoever gives it to the other side stores the
 * phase last. What a process may have spoilt is looked at once and never trusted.
 */
#ifndef POOL_EXCHANGE_H
#define POOL_EXCHANGE_H

#include <gearbox/types.h>

#include <stdatomic.h>

#define GB__EXCHANGE_SLOTS 8u
#define GB__EXCHANGE_PART (32u << 10)
#define GB__EXCHANGE_STATE_MAX 4096u /* bytes of a connection's state that go along */

enum gb__exchange_phase {
	GB__EXCHANGE_FREE,
	GB__EXCHANGE_QUEUED,  /* a message that has not begun: the server may take it back */
	GB__EXCHANGE_RUNNING, /* the process has it */
	GB__EXCHANGE_WANTS,   /* the next part of the message */
	GB__EXCHANGE_PARTIAL, /* a part of the reply is there, and more of it follows */
	GB__EXCHANGE_DONE,    /* the last part of it, and the outcome */
};

/** What the handler did besides sending: as in struct gb__task. */
struct gb__exchange_outcome {
	int32_t holds, failed;
	uint16_t flags;
	bool aborted;
	signed char paused;
};

struct gb__exchange_slot {
	/* the server's */
	_Atomic uint32_t cancelled;     /* its connection has ended */
	uint32_t source;                /* whose bell to ring */
	uint32_t service;               /* index of the binding */
	uint32_t part;                  /* bytes of the message that are here */
	uint64_t size;                  /* of it all */
	uint64_t route;                 /* its row, at the same address there; or 0 */
	uint64_t key, offset, consumed; /* of its frame */
	uint64_t parsed;                /* likewise: where in the message; UINT64_MAX: nowhere */
	uint64_t output_low, output_high, output_max;
	uint32_t conn_slot, conn_generation;
	/* the process's */
	uint32_t reply_part __attribute__((aligned(64))); /* bytes of the reply that are here */
	struct gb__exchange_outcome outcome;
	/* both sides' */
	unsigned char state[GB__EXCHANGE_STATE_MAX] __attribute__((aligned(64)));
	unsigned char request[GB__EXCHANGE_PART], reply[GB__EXCHANGE_PART];
};

struct gb__exchange {
	_Atomic uint32_t doorbell; /* the process sleeps on it */
	_Atomic uint32_t sleeping;
	_Atomic uint32_t ending;
	_Atomic uint32_t phases[GB__EXCHANGE_SLOTS];
	uint32_t orders[GB__EXCHANGE_SLOTS]; /* in which they were queued */
	uint32_t order;                      /* the server's: of the next */
	struct gb__exchange_slot slots[GB__EXCHANGE_SLOTS];
};

/* The server. One thread at a time. */

/** The slot, which is filled but for what this fills, waits to be run: the process has to be woken. */
void gb__exchange_queue(struct gb__exchange *exchange, unsigned slot, struct gb_bytes message);
/** Put the next part of the message into a slot that wants it. `sent`: bytes before it. Returns how many more. */
uint32_t gb__exchange_feed(
	struct gb__exchange *exchange, unsigned slot, struct gb_bytes message, uint64_t sent);
/** Take a message back that has not begun. Returns whether it had not. */
bool gb__exchange_take_back(struct gb__exchange *exchange, unsigned slot);
/** The process may go on with a slot. */
void gb__exchange_resume(struct gb__exchange *exchange, unsigned slot);
static inline uint32_t gb__exchange_phase(struct gb__exchange *exchange, unsigned slot)
{
	return atomic_load_explicit(&exchange->phases[slot], memory_order_acquire);
}
/** The process has something to look at. */
void gb__exchange_wake(struct gb__exchange *exchange);
/** It has to end once nothing waits. */
void gb__exchange_end(struct gb__exchange *exchange);

/* The process. */

/** Wait for a message and begin it. Returns its slot, or -1: there will be none. */
int gb__exchange_next(struct gb__exchange *exchange);
/** Give a slot to the server in a phase that it answers, and wait for the answer. `ring(arg)` tells the server. */
void gb__exchange_ask(struct gb__exchange *exchange, unsigned slot, enum gb__exchange_phase phase,
	void (*ring)(void *arg, uint32_t source), void *arg);

#endif
