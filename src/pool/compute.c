#include "pool/compute.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/task.h"
#include "os/thread.h"

#include <errno.h>
#include <pthread.h>

struct gb__compute {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct gb__task *first, **last; /* waiting */
	bool ending;
	unsigned count; /* threads */
	pthread_t threads[];
};

static void *thread_main(void *arg)
{
	struct gb__compute *compute = arg;

	pthread_mutex_lock(&compute->lock);
	for (;;) {
		struct gb__task *task = compute->first;

		if (!task) {
			if (compute->ending)
				break;
			pthread_cond_wait(&compute->filled, &compute->lock);
			continue;
		}
		compute->first = task->next;
		if (!compute->first)
			compute->last = &compute->first;
		pthread_mutex_unlock(&compute->lock);
		gb__task_run(task);
		pthread_mutex_lock(&compute->lock);
	}
	pthread_mutex_unlock(&compute->lock);
	return NULL;
}

int gb__compute_create(unsigned threads, size_t stack, struct gb__compute **ret, struct gb_error *error)
{
	struct gb__compute *compute = gb__alloc_zero(sizeof(*compute) + threads * sizeof(pthread_t));

	if (!compute)
		return gb_error_set(error, -ENOMEM, "no memory for a pool of %u threads", threads);
	pthread_mutex_init(&compute->lock, NULL);
	pthread_cond_init(&compute->filled, NULL);
	compute->last = &compute->first;
	for (; compute->count < threads; compute->count++) {
		int result = gb__thread_start(&compute->threads[compute->count], stack, thread_main, compute);

		if (result < 0) {
			gb_error_set(error, result,
				"cannot start thread %u of the compute pool: %s; see `ulimit -u`",
				compute->count, gb_strerror(result));
			gb__compute_destroy(compute);
			return result;
		}
	}
	*ret = compute;
	return 0;
}

void gb__compute_destroy(struct gb__compute *compute)
{
	if (!compute)
		return;
	pthread_mutex_lock(&compute->lock);
	gb__assert(!compute->first);
	compute->ending = true;
	pthread_cond_broadcast(&compute->filled);
	pthread_mutex_unlock(&compute->lock);
	for (unsigned i = 0; i < compute->count; i++)
		pthread_join(compute->threads[i], NULL);
	pthread_cond_destroy(&compute->filled);
	pthread_mutex_destroy(&compute->lock);
	gb__free(compute);
}

void gb__compute_submit(struct gb__compute *compute, struct gb__task *task)
{
	task->next = NULL;
	pthread_mutex_lock(&compute->lock);
	*compute->last = task;
	compute->last = &task->next;
	pthread_cond_signal(&compute->filled);
	pthread_mutex_unlock(&compute->lock);
}
