/* A job server: each worker has a thread that does the jobs, and the answers come from there, in the order of the lines. */
#include <gearbox/gearbox.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct job *next;
	struct gb_reply reply;
	size_t size;
	char text[];
};

/* Of one worker. */
struct jobs {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job *first, *last;
	bool ended;
};

static const struct gb_service jobs_service;

static void do_job(struct job *job)
{
	char answer[64];
	unsigned sum = 0;
	int size;

	for (size_t i = 0; i < job->size; i++)
		sum = sum * 31 + (unsigned char)job->text[i];
	size = snprintf(answer, sizeof(answer), "%zu bytes, hash %08x\n", job->size, sum);
	/* Whoever asked may have gone: then there is nobody to tell. */
	(void)gb_reply_finish(job->reply, answer, (size_t)size);
	free(job);
}

static void *do_jobs(void *arg)
{
	struct jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	while (!jobs->ended || jobs->first) {
		struct job *job = jobs->first;

		if (!job) {
			pthread_cond_wait(&jobs->changed, &jobs->lock);
			continue;
		}
		jobs->first = job->next;
		pthread_mutex_unlock(&jobs->lock);
		do_job(job);
		pthread_mutex_lock(&jobs->lock);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

static int on_start(struct gb_worker *worker, void *user)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	(void)user;
	if (!jobs || gb_worker_set_data(worker, &jobs_service, jobs) < 0) {
		free(jobs);
		return -ENOMEM;
	}
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->changed, NULL);
	return -pthread_create(&jobs->thread, NULL, do_jobs, jobs);
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct jobs *jobs = gb_worker_data(worker, &jobs_service);

	(void)user;
	pthread_mutex_lock(&jobs->lock);
	jobs->ended = true;
	pthread_cond_signal(&jobs->changed);
	pthread_mutex_unlock(&jobs->lock);
	pthread_join(jobs->thread, NULL);
	free(jobs);
}

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	struct jobs *jobs = gb_worker_data(gb_conn_worker(conn), &jobs_service);
	struct job *job = malloc(sizeof(*job) + line.size);

	if (!job || gb_conn_defer(conn, &job->reply) < 0) {
		free(job);
		gb_conn_fail(conn, GB_CLOSE_NO_MEMORY);
		return;
	}
	job->next = NULL;
	job->size = line.size;
	memcpy(job->text, line.data, line.size);
	pthread_mutex_lock(&jobs->lock);
	if (jobs->first)
		jobs->last->next = job;
	else
		jobs->first = job;
	jobs->last = job;
	pthread_cond_signal(&jobs->changed);
	pthread_mutex_unlock(&jobs->lock);
}

static const struct gb_service jobs_service = { GB_SERVICE_INIT, .name = "jobs",
	.summary = "measures each line on a thread of its own making, and answers from there",
	.codec = &gb_codec_line, .state = GB_STATE_WORKER, .traits = GB_TRAIT_STATE_APART,
	.on_start = on_start, .on_stop = on_stop, .on_message = on_message };

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &jobs_service);
}
