/* Workers as threads. A thread tells the chief when it has ended, and is joined then, or when there is time. */
#include "model/crew.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "os/thread.h"

#include <errno.h>
#include <semaphore.h>

#define LEFT_MAX 16u /* for one connection, that have ended and are not joined */

struct start {
	struct gb__seat *seat;
	struct gb__handed handed;
	sem_t begun; /* without a connection: the chief waits */
	int result;
	struct gb_error *error; /* the chief's */
};

static void joined(struct gb__seat *seat)
{
	gb__seat_ended(seat, seat->result < 0 ? gb_strerror(seat->result) : NULL);
}

static void thread_ended(struct gb__post *post, bool alive)
{
	struct gb__seat *seat = gb__container_of(post, struct gb__seat, ended);

	pthread_join(seat->thread, NULL);
	joined(seat);
}

static void leave_push(struct gb__crew *crew, struct gb__seat *seat)
{
	seat->left = atomic_load(&crew->left);
	while (!atomic_compare_exchange_weak(&crew->left, &seat->left, seat))
		;
}

/* Who is about to end is waited for when all do, or its seat is needed. */
static bool join(struct gb__crew *crew, struct gb__seat *seat)
{
	if (crew->commanded != GB__COMMAND_RUN || !gb__crew_has_seat(crew))
		return pthread_join(seat->thread, NULL) == 0;
	return pthread_tryjoin_np(seat->thread, NULL) == 0;
}

static void thread_reap(struct gb__crew *crew)
{
	struct gb__seat *seat;

	if (!atomic_load_explicit(&crew->left, memory_order_relaxed))
		return;
	seat = atomic_exchange(&crew->left, NULL);
	while (seat) {
		struct gb__seat *before = seat->left;

		if (join(crew, seat)) {
			atomic_fetch_sub(&crew->left_count, 1);
			joined(seat);
		} else {
			leave_push(crew, seat);
		}
		seat = before;
	}
}

/*
 * The end of a thread for one connection. The chief has to know at once only when it waits for the last one: either it sees
 * the seat here after it has commanded, or the command is seen here; all four accesses are sequentially consistent.
 */
static void leave(struct gb__seat *seat)
{
	struct gb__crew *crew = seat->crew;
	const struct gb_server *server = crew->server;
	bool wakes = seat->result < 0;

	leave_push(crew, seat);
	wakes |= atomic_fetch_add(&crew->left_count, 1) + 1 == LEFT_MAX;
	if (wakes || atomic_load(&server->shared->command) != GB__COMMAND_RUN)
		gb__os_linux.ops->event_signal(&gb__os_linux, server->wake_fd);
}

static void *thread_main(void *arg)
{
	struct start *start = arg;
	struct gb__seat *seat = start->seat;
	struct gb__handed handed = start->handed;
	struct gb_worker *worker = seat->memory;
	struct gb_error error = { 0 };
	unsigned command;
	int result;

	result = gb__seat_init_worker(seat, worker, &error);
	if (result == 0) {
		pthread_mutex_lock(&seat->lock);
		seat->worker = worker;
		pthread_mutex_unlock(&seat->lock);
		gb__signal_watches_begin(worker);
	}
	if (handed.fd < 0) {
		start->result = result;
		if (result < 0)
			*start->error = error;
		sem_post(&start->begun); /* `start` is gone from here on */
	} else {
		gb__free(start);
		/* A command may have been given before there was a worker to take it. */
		command = atomic_load(&seat->crew->server->shared->command);
		if (result == 0 && command != GB__COMMAND_RUN)
			gb__worker_command(worker, command);
	}
	if (result == 0) {
		if (handed.fd >= 0)
			gb__worker_adopt(worker, handed);
		gb__worker_run(worker);
		pthread_mutex_lock(&seat->lock);
		seat->worker = NULL;
		pthread_mutex_unlock(&seat->lock);
		gb__worker_end(worker);
	} else if (handed.fd >= 0) {
		gb__seat_refuse(seat, handed, gb__seat_reason(result));
	}
	seat->result = result;
	/* The chief and its loop outlive the crew. */
	if (handed.fd >= 0)
		leave(seat);
	else if (result == 0)
		gb__loop_post(&seat->crew->chief->loop, &seat->ended);
	return NULL;
}

static int thread_start(struct gb__seat *seat, struct gb__handed handed, bool await, struct gb_error *error)
{
	struct start waiting = { .seat = seat, .handed = handed, .error = error }, *start = &waiting;
	int result;

	gb__assert(await == (handed.fd < 0)); /* threads do not crash alone: none is started again */
	seat->ended.run = thread_ended;
	/* Its memory stays with the seat: others may hold handles that name it. */
	if (!seat->memory)
		seat->memory = gb__alloc_zero(sizeof(*seat->memory));
	if (!seat->memory) {
		if (handed.fd >= 0)
			gb__seat_refuse(seat, handed, GB_CLOSE_NO_MEMORY);
		return gb_error_set(error, -ENOMEM, "no memory for worker %u", seat->id);
	}
	if (handed.fd >= 0) {
		start = gb__alloc(sizeof(*start));
		if (!start) {
			gb__seat_refuse(seat, handed, GB_CLOSE_NO_MEMORY);
			return gb_error_set(error, -ENOMEM, "no memory for a thread");
		}
		*start = waiting;
	} else {
		sem_init(&start->begun, 0, 0);
	}
	result = gb__thread_start(&seat->thread, seat->crew->server->model.stack, thread_main, start);
	if (result < 0) {
		if (handed.fd >= 0) {
			gb__free(start);
			gb__seat_refuse(seat, handed, GB_CLOSE_OVER_LIMIT);
		}
		return gb_error_set(error, result,
			"cannot start a thread: %s; see `ulimit -u`, kernel.threads-max and vm.max_map_count",
			gb_strerror(result));
	}
	if (handed.fd >= 0)
		return 0;
	while (sem_wait(&start->begun) < 0 && errno == EINTR)
		;
	sem_destroy(&start->begun);
	if (start->result < 0)
		pthread_join(seat->thread, NULL);
	return start->result;
}

static void thread_command(struct gb__seat *seat, enum gb__command command)
{
	pthread_mutex_lock(&seat->lock);
	if (seat->worker)
		gb__worker_command(seat->worker, command);
	pthread_mutex_unlock(&seat->lock);
}

static void thread_ring(struct gb__seat *seat)
{
	pthread_mutex_lock(&seat->lock);
	if (seat->worker)
		gb__signal_watches_ring(seat->worker);
	pthread_mutex_unlock(&seat->lock);
}

const struct gb__unit_ops gb__unit_thread = {
	.start = thread_start,
	.command = thread_command,
	.ring = thread_ring,
	.reap = thread_reap,
};
