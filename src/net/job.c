#include "net/job.h"

/* Of each level, how often it may be passed over in a row. */
static const unsigned patience[GB__LEVELS] = { 0, 8, 32 };

void gb__jobs_put(struct gb__jobs *jobs, struct gb__job *job)
{
	__typeof__(*jobs->levels) *level = &jobs->levels[job->level];

	job->next = NULL;
	if (level->last)
		level->last->next = job;
	else
		level->first = job;
	level->last = job;
	level->count++;
	jobs->count++;
}

void gb__jobs_put_back(struct gb__jobs *jobs, struct gb__job *job)
{
	__typeof__(*jobs->levels) *level = &jobs->levels[job->level];

	job->next = level->first;
	level->first = job;
	if (!level->last)
		level->last = job;
	level->count++;
	jobs->count++;
}

/* The lowest that has waited long enough, or the highest that has any. */
static unsigned choose(const struct gb__jobs *jobs)
{
	unsigned level = 0;

	for (unsigned i = GB__LEVELS - 1; i > 0; i--)
		if (jobs->levels[i].first && jobs->levels[i].passed >= patience[i])
			return i;
	while (!jobs->levels[level].first)
		level++;
	return level;
}

struct gb__job *gb__jobs_take(struct gb__jobs *jobs)
{
	struct gb__job *job;
	unsigned level;

	if (jobs->count == 0)
		return NULL;
	level = choose(jobs);
	job = jobs->levels[level].first;
	jobs->levels[level].first = job->next;
	if (!job->next)
		jobs->levels[level].last = NULL;
	jobs->levels[level].count--;
	jobs->levels[level].passed = 0;
	jobs->count--;
	for (unsigned i = level + 1; i < GB__LEVELS; i++)
		if (jobs->levels[i].first)
			jobs->levels[i].passed++;
	return job;
}
