#include "file/threads.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "file/file.h"
#include "os/thread.h"

#include <pthread.h>

struct gb__file_threads {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct gb__file_job *first, **last; /* waiting */
	unsigned waiting, idle;             /* jobs, respectively threads */
	bool ending;
	size_t stack;
	unsigned count;
	pthread_t threads[GB__FILE_THREADS_MAX];
};

static void *thread_main(void *arg)
{
	struct gb__file_threads *threads = arg;

	pthread_mutex_lock(&threads->lock);
	for (;;) {
		struct gb__file_job *job = threads->first;

		if (!job) {
			if (threads->ending)
				break;
			threads->idle++;
			pthread_cond_wait(&threads->filled, &threads->lock);
			threads->idle--;
			continue;
		}
		threads->first = job->next;
		if (!threads->first)
			threads->last = &threads->first;
		threads->waiting--;
		pthread_mutex_unlock(&threads->lock);
		job->run(job);
		pthread_mutex_lock(&threads->lock);
	}
	pthread_mutex_unlock(&threads->lock);
	return NULL;
}

struct gb__file_threads *gb__file_threads_create(size_t stack)
{
	struct gb__file_threads *threads = gb__alloc_zero(sizeof(*threads));

	if (!threads)
		return NULL;
	pthread_mutex_init(&threads->lock, NULL);
	pthread_cond_init(&threads->filled, NULL);
	threads->last = &threads->first;
	threads->stack = stack;
	return threads;
}

void gb__file_threads_destroy(struct gb__file_threads *threads)
{
	if (!threads)
		return;
	pthread_mutex_lock(&threads->lock);
	gb__assert(!threads->first);
	threads->ending = true;
	pthread_cond_broadcast(&threads->filled);
	pthread_mutex_unlock(&threads->lock);
	for (unsigned i = 0; i < threads->count; i++)
		pthread_join(threads->threads[i], NULL);
	pthread_cond_destroy(&threads->filled);
	pthread_mutex_destroy(&threads->lock);
	gb__free(threads);
}

/* With the lock, which whoever is made waits for. */
static int one_more(struct gb__file_threads *threads)
{
	int result =
		gb__thread_start(&threads->threads[threads->count], threads->stack, thread_main, threads);

	threads->count += result == 0;
	return result;
}

int gb__file_threads_submit(struct gb__file_threads *threads, struct gb__file_job *job)
{
	int result = 0;

	job->next = NULL;
	pthread_mutex_lock(&threads->lock);
	/* Those that were woken and have not run yet count as idle, so jobs are compared with all of them. */
	if (threads->waiting >= threads->idle && threads->count < GB__FILE_THREADS_MAX)
		result = one_more(threads);
	if (threads->count > 0) {
		threads->waiting++;
		*threads->last = job;
		threads->last = &job->next;
		pthread_cond_signal(&threads->filled);
		result = 0;
	}
	pthread_mutex_unlock(&threads->lock);
	return result;
}
