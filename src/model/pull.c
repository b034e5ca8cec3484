#include "model/pull.h"

#include "base/alloc.h"
#include "model/worker.h"

#include <errno.h>
#include <unistd.h>

int gb__pull_init(struct gb__pull *pull, unsigned workers)
{
	*pull = (struct gb__pull){ .idle = gb__alloc_zero(workers * sizeof(struct gb_worker *)) };
	if (!pull->idle)
		return -ENOMEM;
	return -pthread_mutex_init(&pull->lock, NULL);
}

void gb__pull_finish(struct gb__pull *pull)
{
	if (!pull->idle)
		return;
	for (; pull->count > 0; pull->count--)
		close(pull->queue[pull->first++ % GB__PULL_QUEUE_MAX].fd);
	gb__free(pull->idle);
	pthread_mutex_destroy(&pull->lock);
}

int gb__pull_give(struct gb__pull *pull, struct gb__handed handed)
{
	struct gb_worker *worker = NULL;
	bool full;

	pthread_mutex_lock(&pull->lock);
	if (pull->idle_count > 0)
		worker = pull->idle[--pull->idle_count];
	else
		pull->queue[(pull->first + pull->count++) % GB__PULL_QUEUE_MAX] = handed;
	full = pull->full = pull->count == GB__PULL_QUEUE_MAX;
	pthread_mutex_unlock(&pull->lock);
	/* An idle worker stays alive until it is told to end, which nobody does while connections are given. */
	if (worker && gb__inbox_put(&worker->inbox, &worker->loop, handed) < 0)
		close(handed.fd);
	return full;
}

bool gb__pull_fetch(struct gb__pull *pull, struct gb_worker *worker)
{
	struct gb__handed handed = { .fd = -1 };
	bool was_full = false;

	pthread_mutex_lock(&pull->lock);
	if (pull->count > 0) {
		handed = pull->queue[pull->first];
		pull->first = (pull->first + 1) % GB__PULL_QUEUE_MAX;
		pull->count--;
		was_full = pull->full && pull->count <= GB__PULL_QUEUE_MAX / 2;
		if (was_full)
			pull->full = false;
	} else {
		pull->idle[pull->idle_count++] = worker;
	}
	pthread_mutex_unlock(&pull->lock);
	if (handed.fd >= 0)
		gb__worker_adopt(worker, handed);
	return was_full;
}
