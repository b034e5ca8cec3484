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
	schedule->end_ns = SCHEDULE_NO_BOUND;
	if (!schedule->open)
		return;
	gb__arrivals_begin(&schedule->arrivals, now_ns);
	schedule->next_ns = gb__arrivals_next(&schedule->arrivals);
}

void gb__schedule_last(struct schedule *schedule, uint64_t from_ns, uint64_t lasting_ns)
{
	schedule->end_ns =
		lasting_ns < SCHEDULE_NO_BOUND - from_ns ? from_ns + lasting_ns : SCHEDULE_NO_BOUND;
}

void gb__schedule_end(struct schedule *schedule)
{
	schedule->left = 0;
}

bool gb__schedule_ended(const struct schedule *schedule, uint64_t now_ns)
{
	return schedule->left == 0 || (schedule->open ? schedule->next_ns : now_ns) >= schedule->end_ns;
}

/* The next arrival is taken. */
static uint64_t arrive(struct schedule *schedule)
{
	uint64_t due_ns = schedule->next_ns;

	schedule->next_ns = gb__arrivals_next(&schedule->arrivals);
	lower(&schedule->left, 1);
	return due_ns;
}

bool gb__schedule_skip(struct schedule *schedule, uint64_t now_ns, uint64_t *ret_due_ns)
{
	if (!schedule->open || gb__schedule_ended(schedule, now_ns) || schedule->next_ns > now_ns)
		return false;
	*ret_due_ns = arrive(schedule);
	return true;
}

struct schedule_batch gb__schedule_take(
	struct schedule *schedule, uint64_t *share, uint32_t room, uint64_t now_ns)
{
	struct schedule_batch batch = { 0, now_ns };

	if (room == 0 || *share == 0 || gb__schedule_ended(schedule, now_ns))
		return batch;
	if (schedule->open && schedule->next_ns > now_ns)
		return batch;
	if (schedule->open) {
		batch.count = 1;
		batch.due_ns = arrive(schedule);
	} else {
		batch.count = (uint32_t)least(room, least(*share, schedule->left));
		lower(&schedule->left, batch.count);
	}
	lower(share, batch.count);
	return batch;
}
