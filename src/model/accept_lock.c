#include "model/accept_lock.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "model/worker.h"

#include <errno.h>

#define RETRY_NS 50000000
#define TAKEN_FIRST 32u

int gb__accept_lock_init(struct gb_worker *worker)
{
	struct gb__accept_lock *lock = &worker->accept_lock;

	lock->used = true;
	lock->taken = gb__alloc(TAKEN_FIRST * sizeof(*lock->taken));
	lock->size = TAKEN_FIRST;
	gb__acceptance_bar(&worker->acceptance, GB__BAR_LOCK);
	return lock->taken ? 0 : -ENOMEM;
}

void gb__accept_lock_finish(struct gb_worker *worker)
{
	gb__accept_lock_release(worker);
	gb__free(worker->accept_lock.taken);
}

int64_t gb__accept_lock_enter(struct gb_worker *worker)
{
	struct gb__accept_lock *lock = &worker->accept_lock;
	int result;

	if (lock->holding || !gb__acceptance_open_but(&worker->acceptance, GB__BAR_LOCK))
		return -1;
	result = pthread_mutex_trylock(&worker->server->shared->accept_lock);
	if (result == EOWNERDEAD)
		result = pthread_mutex_consistent(&worker->server->shared->accept_lock);
	if (result != 0)
		return RETRY_NS;
	lock->holding = true;
	gb__acceptance_clear(&worker->acceptance, GB__BAR_LOCK);
	return -1;
}

void gb__accept_lock_keep(struct gb_worker *worker, struct gb__handed handed)
{
	struct gb__accept_lock *lock = &worker->accept_lock;

	if (lock->count == lock->size) {
		struct gb__handed *grown = gb__realloc(lock->taken, 2 * lock->size * sizeof(*grown));

		if (!grown) {
			gb__worker_refuse(worker, handed, GB_CLOSE_NO_MEMORY);
			return;
		}
		lock->taken = grown;
		lock->size *= 2;
	}
	lock->taken[lock->count++] = handed;
}

void gb__accept_lock_release(struct gb_worker *worker)
{
	struct gb__accept_lock *lock = &worker->accept_lock;

	if (!lock->holding)
		return;
	gb__acceptance_bar(&worker->acceptance, GB__BAR_LOCK);
	lock->holding = false;
	pthread_mutex_unlock(&worker->server->shared->accept_lock);
	for (size_t i = 0; i < lock->count; i++)
		gb__worker_adopt(worker, lock->taken[i]);
	lock->count = 0;
	gb__worker_fewer(worker); /* those that were refused are no clients */
}
