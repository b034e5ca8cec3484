/*
 * Workers as threads. A thread tells the chief when its worker has ended, and is joined then, or when there is time.
 *
 * A thread that served one connection rests and serves another, with a worker that begins anew: the beginning and the end
 * of a thread cost more than a connection of one message. Who was not needed for a while ends.
 */
#include "model/crew.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "os/thread.h"

#include <errno.h>
#include <semaphore.h>

#define LEFT_MAX 16u /* workers for one connection, that have ended and were not seen to */
#define RESTING_MAX 64u
#define REST_MS 1000u /* between two looks at who rests */

/* Of a thread that the chief waits for. */
struct start {
	struct gb__seat *seat;
	sem_t begun;
	int result;
	struct gb_error *error; /* the chief's */
};

static void semaphore_await(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0 && errno == EINTR)
		;
}

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

/* Returns how many there are. */
static unsigned leave_push(struct gb__crew *crew, struct gb__seat *seat)
{
	const unsigned count = atomic_fetch_add(&crew->left_count, 1) + 1;

	seat->left = atomic_load(&crew->left);
	while (!atomic_compare_exchange_weak(&crew->left, &seat->left, seat))
		;
	return count;
}

/* Who is about to end is waited for when all do, or its seat is needed. */
static bool join(struct gb__crew *crew, struct gb__seat *seat)
{
	if (seat->rests)
		return true;
	if (crew->commanded != GB__COMMAND_RUN || !gb__crew_has_seat(crew))
		return pthread_join(seat->thread, NULL) == 0;
	return pthread_tryjoin_np(seat->thread, NULL) == 0;
}

static void reap(struct gb__crew *crew)
{
	struct gb__seat *seat = atomic_exchange(&crew->left, NULL);

	while (seat) {
		struct gb__seat *before = seat->left;

		atomic_fetch_sub(&crew->left_count, 1);
		if (join(crew, seat))
			joined(seat);
		else
			leave_push(crew, seat);
		seat = before;
	}
}

/* A thread that rests has something to do. */
static void call(struct gb__seat *seat, struct gb__handed handed)
{
	seat->rests = false;
	seat->handed = handed;
	atomic_fetch_sub(&seat->crew->staying, 1);
	sem_post(&seat->call);
}

static void dismiss(struct gb__crew *crew)
{
	struct gb__seat *seat = gb__crew_seat_take(crew);

	gb__assert(seat->rests);
	call(seat, (struct gb__handed){ .fd = -1 });
	leave_push(crew, seat);
}

static void rest_look(struct gb_timer *timer, void *arg);

/* While anybody rests, or is to be joined. */
static void rest_begin(struct gb__crew *crew)
{
	if (crew->commanded != GB__COMMAND_RUN || (crew->resting_count == 0 && !atomic_load(&crew->left)))
		return;
	atomic_store(&crew->rest_looks, true);
	gb__worker_timer(crew->chief, &crew->rest, REST_MS, rest_look, crew);
}

/* Those that the busiest moment since the last look did not need end. */
static void rest_look(struct gb_timer *timer, void *arg)
{
	struct gb__crew *crew = arg;

	(void)timer;
	reap(crew);
	gb__assert(crew->resting_count <= RESTING_MAX);
	for (unsigned unneeded = crew->resting_least; unneeded > 0; unneeded--)
		dismiss(crew);
	crew->resting_least = crew->resting_count;
	/* Who leaves from here on is seen, or sees that nobody looks. */
	atomic_store(&crew->rest_looks, false);
	rest_begin(crew);
}

static void thread_reap(struct gb__crew *crew)
{
	if (!atomic_load_explicit(&crew->left, memory_order_relaxed))
		return;
	reap(crew);
	if (!atomic_load_explicit(&crew->rest_looks, memory_order_relaxed))
		rest_begin(crew);
}

/* Nobody is alive any more. */
static void thread_finish(struct gb__crew *crew)
{
	while (crew->resting_count > 0)
		dismiss(crew);
	for (const struct gb__seat *seat = atomic_exchange(&crew->left, NULL); seat; seat = seat->left)
		pthread_join(seat->thread, NULL);
}

/*
 * The end of a worker for one connection. The chief has to know at once only when it waits for the last one: either it sees
 * the seat here after it has commanded, or the command is seen here; all four accesses are sequentially consistent. So it is
 * with the first that leaves while the chief does not look at who rests.
 */
static void leave(struct gb__seat *seat)
{
	struct gb__crew *crew = seat->crew;
	const struct gb_server *server = crew->server;
	bool wakes = seat->result < 0;

	wakes |= leave_push(crew, seat) == LEFT_MAX;
	wakes |= !atomic_load(&crew->rest_looks);
	if (wakes || atomic_load(&server->shared->command) != GB__COMMAND_RUN)
		gb__os_linux.ops->event_signal(&gb__os_linux, server->wake_fd);
}

static int worker_begin(struct gb__seat *seat, struct gb_error *error)
{
	int result = gb__seat_init_worker(seat, seat->memory, error);

	if (result < 0)
		return result;
	pthread_mutex_lock(&seat->lock);
	seat->worker = seat->memory;
	pthread_mutex_unlock(&seat->lock);
	gb__signal_watches_begin(seat->memory);
	return 0;
}

/* To its end. */
static void worker_run(struct gb__seat *seat)
{
	gb__worker_run(seat->memory);
	pthread_mutex_lock(&seat->lock);
	seat->worker = NULL;
	pthread_mutex_unlock(&seat->lock);
	gb__worker_end(seat->memory);
}

/* A worker for one connection. Returns 0, or why it could not begin. */
static int serve(struct gb__seat *seat, struct gb__handed handed)
{
	struct gb_error error = { 0 };
	int result = worker_begin(seat, &error);
	unsigned command;

	if (result < 0) {
		gb__seat_refuse(seat, handed, gb__seat_reason(result));
		return result;
	}
	/* A command may have been given before there was a worker to take it. */
	command = atomic_load(&seat->crew->server->shared->command);
	if (command != GB__COMMAND_RUN)
		gb__worker_command(seat->memory, command);
	gb__worker_adopt(seat->memory, handed);
	worker_run(seat);
	return 0;
}

static bool stays(const struct gb__seat *seat)
{
	struct gb__crew *crew = seat->crew;

	if (seat->result < 0 || atomic_load(&crew->server->shared->command) != GB__COMMAND_RUN)
		return false;
	if (atomic_fetch_add(&crew->staying, 1) < RESTING_MAX)
		return true;
	atomic_fetch_sub(&crew->staying, 1);
	return false;
}

/* Of a thread that has its connections from the chief, one after the other. */
static void *passing_main(void *arg)
{
	struct gb__seat *seat = arg;
	bool rests;

	do {
		seat->result = serve(seat, seat->handed);
		seat->rests = rests = stays(seat);
		leave(seat); /* it is the chief's from here on */
		if (rests)
			semaphore_await(&seat->call);
	} while (rests && seat->handed.fd >= 0);
	return NULL;
}

static void *thread_main(void *arg)
{
	struct start *start = arg;
	struct gb__seat *seat = start->seat;
	struct gb_error error = { 0 };
	int result = worker_begin(seat, &error);

	start->result = seat->result = result;
	if (result < 0)
		*start->error = error;
	sem_post(&start->begun); /* `start` is gone from here on, and the seat when it could not begin */
	if (result < 0)
		return NULL;
	worker_run(seat);
	/* The chief and its loop outlive the crew. */
	gb__loop_post(&seat->crew->chief->loop, &seat->ended);
	return NULL;
}

static int begin(struct gb__seat *seat, void *(*run)(void *arg), void *arg, struct gb_error *error)
{
	int result = gb__thread_start(&seat->thread, seat->crew->server->model.stack, run, arg);

	return result < 0
		? gb_error_set(error, result,
			  "cannot start a thread: %s; see `ulimit -u`, kernel.threads-max and vm.max_map_count",
			  gb_strerror(result))
		: 0;
}

static int begin_and_await(struct gb__seat *seat, struct gb_error *error)
{
	struct start start = { .seat = seat, .error = error };
	int result;

	seat->ended.run = thread_ended;
	sem_init(&start.begun, 0, 0);
	result = begin(seat, thread_main, &start, error);
	if (result == 0) {
		semaphore_await(&start.begun);
		result = start.result;
		if (result < 0)
			pthread_join(seat->thread, NULL);
	}
	sem_destroy(&start.begun);
	return result;
}

static int begin_for(struct gb__seat *seat, struct gb__handed handed, struct gb_error *error)
{
	int result;

	if (seat->rests) {
		call(seat, handed);
		return 0;
	}
	seat->handed = handed;
	result = begin(seat, passing_main, seat, error);
	if (result < 0)
		gb__seat_refuse(seat, handed, GB_CLOSE_OVER_LIMIT);
	return result;
}

static int thread_start(struct gb__seat *seat, struct gb__handed handed, bool await, struct gb_error *error)
{
	gb__assert(await == (handed.fd < 0)); /* threads do not crash alone: none is started again */
	/* Its memory stays with the seat: others may hold handles that name it. */
	if (!seat->memory) {
		seat->memory = gb__alloc_zero(sizeof(*seat->memory));
		sem_init(&seat->call, 0, 0);
	}
	if (!seat->memory) {
		if (handed.fd >= 0)
			gb__seat_refuse(seat, handed, GB_CLOSE_NO_MEMORY);
		return gb_error_set(error, -ENOMEM, "no memory for worker %u", seat->id);
	}
	return handed.fd < 0 ? begin_and_await(seat, error) : begin_for(seat, handed, error);
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
	.finish = thread_finish,
};
