#include "model/accept_lock.h"

#include "model/worker.h"

#include <errno.h>

#define RETRY_MS 50u

static void retry(struct gb_timer *timer, void *arg)
{
	/* Otherwise the turn that this timer ended is all it is for. */
	((struct gb_worker *)arg)->accept_lock.barred = false;
}

static void retry_later(struct gb_worker *worker)
{
	gb__worker_timer(worker, &worker->accept_lock.retry, RETRY_MS, retry, worker);
}

void gb__accept_lock_enter(struct gb_worker *worker)
{
	struct gb__accept_lock *lock = &worker->accept_lock;
	int result;

	if (lock->holding || lock->barred || !gb__worker_could_accept(worker))
		return;
	result = pthread_mutex_trylock(&worker->server->shared->accept_lock);
	if (result == EOWNERDEAD)
		result = pthread_mutex_consistent(&worker->server->shared->accept_lock);
	if (result == 0) {
		lock->holding = true;
		lock->accepted = worker->record->counters.stats.accepted;
		gb__worker_accept_start(worker);
	} else if (!lock->retry.heap_index) {
		retry_later(worker);
	}
}

void gb__accept_lock_leave(struct gb_worker *worker)
{
	struct gb__accept_lock *lock = &worker->accept_lock;

	if (!lock->holding)
		return;
	if (gb__worker_exhausted(worker)) {
		gb__accept_lock_release(worker);
		retry_later(worker);
		lock->barred = true;
	} else if (worker->record->counters.stats.accepted != lock->accepted) {
		gb__accept_lock_release(worker);
	}
}

void gb__accept_lock_release(struct gb_worker *worker)
{
	if (!worker->accept_lock.holding)
		return;
	gb__worker_accept_stop(worker);
	worker->accept_lock.holding = false;
	pthread_mutex_unlock(&worker->server->shared->accept_lock);
}
