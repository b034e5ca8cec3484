/*
 * A reader copies first and looks then whether the writer has come that far meanwhile: `begin` moves before anything is
 * overwritten, so who finds it behind what was copied has copied what was written (a sequence lock; Lameter, 2005).
 */
#include "model/broadcast.h"

#include "base/assert.h"
#include "base/macros.h"
#include "os/futex.h"
#include "os/process.h"

#include <string.h>

struct head {
	uint64_t number;
	uint32_t size, zero;
};

static size_t length(size_t size)
{
	return sizeof(struct head) + (size + 7) / 8 * 8;
}

static bool sane(const struct head *head)
{
	return head->size <= GB__BROADCAST_SIZE / 4;
}

struct gb__broadcast *gb__broadcast_create(void)
{
	return gb__shared_map(sizeof(struct gb__broadcast) + GB__BROADCAST_SIZE);
}

void gb__broadcast_destroy(struct gb__broadcast *broadcast)
{
	gb__shared_unmap(broadcast, sizeof(struct gb__broadcast) + GB__BROADCAST_SIZE);
}

static void copy_in(struct gb__broadcast *broadcast, uint64_t at, const void *data, size_t size)
{
	size_t offset = at % GB__BROADCAST_SIZE, part = gb__min(size, GB__BROADCAST_SIZE - offset);

	memcpy(broadcast->bytes + offset, data, part);
	memcpy(broadcast->bytes, (const unsigned char *)data + part, size - part);
}

static void copy_out(const struct gb__broadcast *broadcast, uint64_t at, void *data, size_t size)
{
	size_t offset = at % GB__BROADCAST_SIZE, part = gb__min(size, GB__BROADCAST_SIZE - offset);

	memcpy(data, broadcast->bytes + offset, part);
	memcpy((unsigned char *)data + part, broadcast->bytes, size - part);
}

/* Give up the oldest messages until those from `begin` on fit beside so many bytes more. */
static void make_room(struct gb__broadcast *broadcast, uint64_t end)
{
	uint64_t begin = atomic_load_explicit(&broadcast->begin, memory_order_relaxed);
	struct head head;

	while (end - begin > GB__BROADCAST_SIZE) {
		copy_out(broadcast, begin, &head, sizeof(head));
		/* Whoever shares the memory may have run wild in it. */
		begin = sane(&head) ? begin + length(head.size) : atomic_load(&broadcast->end);
	}
	(void)atomic_exchange(&broadcast->begin, begin); /* before what is overwritten changes */
}

void gb__broadcast_write(struct gb__broadcast *broadcast, const void *data, size_t size)
{
	uint64_t end = atomic_load_explicit(&broadcast->end, memory_order_relaxed);
	struct head head = { .number = atomic_load_explicit(&broadcast->number, memory_order_relaxed),
		.size = (uint32_t)size };

	gb__assert(sane(&head));
	atomic_store_explicit(&broadcast->number, head.number + 1, memory_order_relaxed);
	make_room(broadcast, end + length(size));
	copy_in(broadcast, end, &head, sizeof(head));
	copy_in(broadcast, end + sizeof(head), data, size);
	atomic_store_explicit(&broadcast->end, end + length(size), memory_order_release);
}

void gb__broadcast_announce(struct gb__broadcast *broadcast)
{
	atomic_fetch_add(&broadcast->turns, 1);
	gb__futex_wake_all(&broadcast->turns);
}

void gb__broadcast_begin(struct gb__broadcast *broadcast, struct gb__broadcast_reader *reader)
{
	uint64_t at;

	/* The number may be one too high, of a message that is being written. */
	do {
		at = atomic_load(&broadcast->end);
		*reader = (struct gb__broadcast_reader){ at, atomic_load(&broadcast->number) };
	} while (atomic_load(&broadcast->end) != at);
}

/* Adding nothing is a load that what was copied comes before: a load alone is no such, and the thread sanitizer knows no
 * fences. */
static bool overtaken(struct gb__broadcast *broadcast, uint64_t at)
{
	return atomic_fetch_add(&broadcast->begin, 0) > at;
}

bool gb__broadcast_read(struct gb__broadcast *broadcast, struct gb__broadcast_reader *reader, void *data,
	size_t room, size_t *ret_size, uint64_t *ret_lost)
{
	struct head head;
	uint64_t end;

	for (;;) {
		end = atomic_load_explicit(&broadcast->end, memory_order_acquire);
		if (reader->at == end)
			return false;
		copy_out(broadcast, reader->at, &head, sizeof(head));
		if (!overtaken(broadcast, reader->at)) {
			if (head.size > room) {
				reader->at = end; /* nonsense: as in make_room */
				continue;
			}
			copy_out(broadcast, reader->at + sizeof(head), data, head.size);
			if (!overtaken(broadcast, reader->at))
				break;
		}
		reader->at = atomic_load_explicit(&broadcast->begin, memory_order_acquire);
	}
	*ret_lost = head.number > reader->number ? head.number - reader->number : 0;
	*ret_size = head.size;
	reader->number = head.number + 1;
	reader->at += length(head.size);
	return true;
}
