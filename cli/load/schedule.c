#include "load/schedule.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void lower(uint64_t *bound, uint64_t by)
{
	if (*bound != SCHEDULE_NO_BOUND)
		*bound -= by;
}

void gb__schedule_begin(struct schedule *schedule, uint64_t now_ns)
{
	bool bounded = schedule->lasting_ns < SCHEDULE_NO_BOUND - now_ns;

	schedule->end_ns = bounded ? now_ns + schedule->lasting_ns : SCHEDULE_NO_BOUND;
}

void gb__schedule_end(struct schedule *schedule)
{
	schedule->left = 0;
}

bool gb__schedule_ended(const struct schedule *schedule, uint64_t now_ns)
{
	return schedule->left == 0 || now_ns >= schedule->end_ns;
}

struct schedule_batch gb__schedule_take(
	struct schedule *schedule, uint64_t *share, uint32_t awaited, uint64_t now_ns)
{
	struct schedule_batch batch = { 0, now_ns };

	if (awaited >= schedule->depth || gb__schedule_ended(schedule, now_ns))
		return batch;
	batch.count = (uint32_t)least(schedule->depth - awaited, least(*share, schedule->left));
	lower(share, batch.count);
	lower(&schedule->left, batch.count);
	return batch;
}
