#include "loop/timer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>

/* timer->heap_index is the index in the heap plus 1, 0 when not running. */

void gb__timers_init(struct gb__timers *timers)
{
	*timers = (struct gb__timers){ 0 };
}

void gb__timers_finish(struct gb__timers *timers)
{
	for (size_t i = 0; i < timers->count; i++)
		timers->heap[i].timer->heap_index = 0;
	gb__free(timers->heap);
	*timers = (struct gb__timers){ 0 };
}

static bool before(const struct gb__timer_entry *a, const struct gb__timer_entry *b)
{
	return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

static void put(struct gb__timers *timers, size_t at, struct gb__timer_entry entry)
{
	timers->heap[at] = entry;
	entry.timer->heap_index = at + 1;
}

static void sift(struct gb__timers *timers, size_t at, struct gb__timer_entry entry)
{
	while (at > 0 && before(&entry, &timers->heap[(at - 1) / 2])) {
		put(timers, at, timers->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < timers->count && before(&timers->heap[child + 1], &timers->heap[child]))
			child++;
		if (child >= timers->count || !before(&timers->heap[child], &entry))
			break;
		put(timers, at, timers->heap[child]);
		at = child;
	}
	put(timers, at, entry);
}

static int room_make(struct gb__timers *timers, size_t wanted)
{
	size_t size = gb__max(gb__max(wanted, timers->size * 2), 16u);
	struct gb__timer_entry *heap;

	if (wanted <= timers->size)
		return 0;
	heap = gb__realloc(timers->heap, size * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	timers->heap = heap;
	timers->size = size;
	return 0;
}

/* There is room. */
static void start(struct gb__timers *timers, struct gb_timer *timer)
{
	struct gb__timer_entry entry = { timer->deadline_ns, timers->started++, timer };
	size_t at = timer->heap_index ? timer->heap_index - 1 : timers->count++;

	gb__assert(timers->count <= timers->size);
	sift(timers, at, entry);
}

/* All that may run besides the reserved ones leave room for these, so that `size` is never too small for them. */
int gb__timers_start(struct gb__timers *timers, struct gb_timer *timer)
{
	if (!timer->heap_index && room_make(timers, timers->count + 1 + timers->reserved) < 0)
		return -ENOMEM;
	start(timers, timer);
	return 0;
}

int gb__timers_reserve(struct gb__timers *timers, size_t count)
{
	int result = room_make(timers, timers->count + timers->reserved + count);

	if (result == 0)
		timers->reserved += count;
	return result;
}

void gb__timers_start_reserved(struct gb__timers *timers, struct gb_timer *timer)
{
	start(timers, timer);
}

void gb__timers_stop(struct gb__timers *timers, struct gb_timer *timer)
{
	size_t at = timer->heap_index - 1;

	if (!timer->heap_index)
		return;
	gb__assert(at < timers->count && timers->heap[at].timer == timer);
	timer->heap_index = 0;
	timers->count--;
	if (at < timers->count)
		sift(timers, at, timers->heap[timers->count]);
}

unsigned gb__timers_run(struct gb__timers *timers, uint64_t now_ns)
{
	uint64_t newest = timers->started;
	unsigned ran = 0;

	while (timers->count > 0 && timers->heap[0].deadline_ns <= now_ns && timers->heap[0].order < newest) {
		struct gb_timer *timer = timers->heap[0].timer;

		gb__timers_stop(timers, timer);
		timer->on_expire(timer, timer->arg);
		ran++;
	}
	return ran;
}

uint64_t gb__timers_next_ns(const struct gb__timers *timers)
{
	return timers->count ? timers->heap[0].deadline_ns : UINT64_MAX;
}
