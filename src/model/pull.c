#include "model/pull.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "model/crew.h"
#include "model/starvation.h"
#include "os/socket.h"

#include <errno.h>

#define PATIENCE_MS 1000u /* that connections wait without one being taken, before it is said */

/* A worker found room in the full queue. */
static void on_room(struct gb__post *post, bool alive)
{
	struct gb__crew *crew = gb__container_of(post, struct gb__crew, pull.room);

	if (alive)
		gb__acceptance_clear(&crew->chief->acceptance, GB__BAR_QUEUE);
}

static int pull_init(struct gb__crew *crew)
{
	struct gb__pull *pull = &crew->pull;

	pull->idle = gb__alloc_zero(crew->seats_count * sizeof(struct gb_worker *));
	if (!pull->idle)
		return -ENOMEM;
	if (gb__timers_reserve(&crew->chief->loop.timers, 1) < 0) {
		gb__free(pull->idle);
		pull->idle = NULL;
		return -ENOMEM;
	}
	pull->room.run = on_room;
	return -pthread_mutex_init(&pull->lock, NULL);
}

static void pull_finish(struct gb__crew *crew)
{
	struct gb__pull *pull = &crew->pull;

	if (!pull->idle)
		return;
	for (; pull->count > 0; pull->count--)
		gb__worker_refuse(
			crew->chief, pull->queue[pull->first++ % GB__PULL_QUEUE_MAX], GB_CLOSE_DRAIN);
	gb__free(pull->idle);
	pthread_mutex_destroy(&pull->lock);
}

static void patience_over(struct gb_timer *timer, void *arg);

static void be_patient(struct gb__crew *crew)
{
	struct gb__pull *pull = &crew->pull;

	pthread_mutex_lock(&pull->lock);
	pull->first_then = pull->first;
	pthread_mutex_unlock(&pull->lock);
	gb__worker_timer(crew->chief, &pull->patience, PATIENCE_MS, patience_over, crew);
}

/* Those at the front wait for whole connections to end, which nobody sees from outside: it is said, once. */
static void patience_over(struct gb_timer *timer, void *arg)
{
	struct gb__crew *crew = arg;
	struct gb__pull *pull = &crew->pull;
	unsigned waiting;
	bool moved;

	pthread_mutex_lock(&pull->lock);
	waiting = pull->count;
	moved = pull->first != pull->first_then;
	pthread_mutex_unlock(&pull->lock);
	if (waiting == 0)
		return;
	if (moved) {
		be_patient(crew);
		return;
	}
	pull->told = true;
	gb__starvation_tell(waiting, crew->seats_count);
}

static void pull_give(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__pull *pull = &crew->pull;
	struct gb_worker *worker = NULL;
	bool full;

	pthread_mutex_lock(&pull->lock);
	if (pull->idle_count > 0)
		worker = pull->idle[--pull->idle_count];
	else
		pull->queue[(pull->first + pull->count++) % GB__PULL_QUEUE_MAX] = handed;
	full = pull->full = pull->count == GB__PULL_QUEUE_MAX;
	pthread_mutex_unlock(&pull->lock);
	/* An idle worker stays alive until it is told to end at once, or that nobody gives any more. */
	if (worker && gb__inbox_put(&worker->inbox, &worker->loop, handed) < 0) {
		pthread_mutex_lock(&pull->lock);
		pull->idle[pull->idle_count++] = worker;
		pthread_mutex_unlock(&pull->lock);
		gb__worker_refuse(crew->chief, handed, GB_CLOSE_NO_MEMORY);
	}
	if (!worker && !pull->told && !pull->patience.heap_index)
		be_patient(crew);
	if (full)
		gb__acceptance_bar(&crew->chief->acceptance, GB__BAR_QUEUE);
}

/* The next one that waits; when there is none the worker is offered. */
static struct gb__handed next(struct gb__crew *crew, struct gb_worker *worker)
{
	struct gb__pull *pull = &crew->pull;
	struct gb__handed handed = { .fd = -1 };
	bool room = false;

	pthread_mutex_lock(&pull->lock);
	if (pull->count > 0) {
		handed = pull->queue[pull->first];
		pull->first = (pull->first + 1) % GB__PULL_QUEUE_MAX;
		pull->count--;
		room = pull->full && pull->count <= GB__PULL_QUEUE_MAX / 2;
		if (room)
			pull->full = false;
	} else {
		pull->idle[pull->idle_count++] = worker;
		worker->offered = true;
	}
	pthread_mutex_unlock(&pull->lock);
	if (room)
		gb__loop_post(&crew->chief->loop, &pull->room);
	return handed;
}

/* On the worker's thread: serve one, or wait to be given one. Those that are refused at once leave it idle. */
static void fetch(struct gb_worker *worker)
{
	struct gb__crew *crew = worker->server->crew;

	while (gb__net_clients(&worker->net) == 0 && !worker->offered) {
		struct gb__handed handed = next(crew, worker);

		if (handed.fd >= 0)
			gb__worker_adopt(worker, handed);
	}
}

static int pull_join(struct gb__seat *seat, struct gb_worker *worker)
{
	worker->on_idle = fetch;
	fetch(worker);
	return 0;
}

const struct gb__handover_ops gb__handover_pull = {
	.init = pull_init, .finish = pull_finish, .give = pull_give, .join = pull_join
};
