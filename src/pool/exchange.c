/*
 * Who sleeps and who wakes is a handshake as between a loop and its posters (loop.h): the process says that it sleeps and
 * looks once more, the server publishes and looks whether it sleeps; all of it sequentially consistent.
 */
#include "pool/exchange.h"

#include "base/macros.h"
#include "os/futex.h"

#include <string.h>

static uint32_t put_part(struct gb__exchange_slot *slot, struct gb_bytes message, uint64_t sent)
{
	const size_t left = message.size - sent;
	const uint32_t part = (uint32_t)gb__min(left, (size_t)GB__EXCHANGE_PART);

	if (part > 0)
		memcpy(slot->request, message.data + sent, part);
	slot->part = part;
	return part;
}

void gb__exchange_queue(struct gb__exchange *exchange, unsigned slot, struct gb_bytes message)
{
	exchange->slots[slot].size = message.size;
	put_part(&exchange->slots[slot], message, 0);
	exchange->orders[slot] = exchange->order++;
	atomic_store(&exchange->phases[slot], GB__EXCHANGE_QUEUED);
}

uint32_t gb__exchange_feed(
	struct gb__exchange *exchange, unsigned slot, struct gb_bytes message, uint64_t sent)
{
	return put_part(&exchange->slots[slot], message, sent);
}

bool gb__exchange_take_back(struct gb__exchange *exchange, unsigned slot)
{
	uint32_t phase = GB__EXCHANGE_QUEUED;

	return atomic_compare_exchange_strong(&exchange->phases[slot], &phase, GB__EXCHANGE_FREE);
}

void gb__exchange_resume(struct gb__exchange *exchange, unsigned slot)
{
	atomic_store(&exchange->phases[slot], GB__EXCHANGE_RUNNING);
}

void gb__exchange_wake(struct gb__exchange *exchange)
{
	atomic_fetch_add(&exchange->doorbell, 1);
	if (atomic_exchange(&exchange->sleeping, 0))
		gb__futex_wake(&exchange->doorbell);
}

void gb__exchange_end(struct gb__exchange *exchange)
{
	atomic_store(&exchange->ending, 1);
	gb__exchange_wake(exchange);
}

/* The one that waits longest, or -1. */
static int oldest(struct gb__exchange *exchange)
{
	int best = -1;

	for (unsigned i = 0; i < GB__EXCHANGE_SLOTS; i++)
		if (atomic_load(&exchange->phases[i]) == GB__EXCHANGE_QUEUED &&
			(best < 0 || (int32_t)(exchange->orders[i] - exchange->orders[best]) < 0))
			best = (int)i;
	return best;
}

static bool begin(struct gb__exchange *exchange, int slot)
{
	uint32_t phase = GB__EXCHANGE_QUEUED;

	return atomic_compare_exchange_strong(&exchange->phases[slot], &phase, GB__EXCHANGE_RUNNING);
}

int gb__exchange_next(struct gb__exchange *exchange)
{
	for (;;) {
		const uint32_t rung = atomic_load(&exchange->doorbell);
		int slot = oldest(exchange);

		if (slot >= 0) {
			if (begin(exchange, slot))
				return slot;
			continue;
		}
		if (atomic_load(&exchange->ending))
			return -1;
		atomic_store(&exchange->sleeping, 1);
		if (oldest(exchange) < 0 && !atomic_load(&exchange->ending))
			gb__futex_wait(&exchange->doorbell, rung);
		atomic_store(&exchange->sleeping, 0);
	}
}

void gb__exchange_ask(struct gb__exchange *exchange, unsigned slot, enum gb__exchange_phase phase,
	void (*ring)(void *arg, uint32_t source), void *arg)
{
	atomic_store(&exchange->phases[slot], phase);
	ring(arg, exchange->slots[slot].source);
	for (;;) {
		const uint32_t rung = atomic_load(&exchange->doorbell);

		if (atomic_load(&exchange->phases[slot]) == GB__EXCHANGE_RUNNING)
			return;
		atomic_store(&exchange->sleeping, 1);
		if (atomic_load(&exchange->phases[slot]) != GB__EXCHANGE_RUNNING)
			gb__futex_wait(&exchange->doorbell, rung);
		atomic_store(&exchange->sleeping, 0);
	}
}
