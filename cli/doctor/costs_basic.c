/* What needs nobody else, and handing a lock over. */
#include "doctor/bench.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int run_syscall(struct bench *bench, unsigned count)
{
	(void)bench;
	while (count-- > 0)
		syscall(SYS_getppid);
	return 0;
}

static int run_clock(struct bench *bench, unsigned count)
{
	struct timespec time;

	(void)bench;
	while (count-- > 0)
		clock_gettime(CLOCK_MONOTONIC, &time);
	return 0;
}

/* The C library locks without atomics while a process has one thread; so that it has two, one stands by. */
struct lone_lock {
	pthread_mutex_t mutex;
	pthread_t bystander;
	int ends[2];
};

static void *stand_by(void *argument)
{
	const struct lone_lock *lock = argument;
	char byte;

	while (read(lock->ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

static int prepare_mutex(struct bench *bench, unsigned kind)
{
	struct lone_lock *lock = calloc(1, sizeof(*lock));
	int code;

	(void)kind;
	if (!lock)
		return -ENOMEM;
	if (pipe(lock->ends) < 0) {
		code = -errno;
		free(lock);
		return code;
	}
	pthread_mutex_init(&lock->mutex, NULL);
	code = -pthread_create(&lock->bystander, NULL, stand_by, lock);
	if (code < 0) {
		close(lock->ends[0]);
		close(lock->ends[1]);
		free(lock);
		return code;
	}
	bench->state = lock;
	return 0;
}

static int run_mutex(struct bench *bench, unsigned count)
{
	struct lone_lock *lock = bench->state;

	while (count-- > 0) {
		pthread_mutex_lock(&lock->mutex);
		pthread_mutex_unlock(&lock->mutex);
	}
	return 0;
}

static void finish_mutex(struct bench *bench)
{
	struct lone_lock *lock = bench->state;

	if (!lock)
		return;
	close(lock->ends[1]); /* the bystander leaves */
	pthread_join(lock->bystander, NULL);
	close(lock->ends[0]);
	pthread_mutex_destroy(&lock->mutex);
	free(lock);
}

/* A word says whose turn it is; the other one waits for it: a lock that is always contended. */
enum { TURN_HERE, TURN_THERE, TURN_OVER };

struct turns {
	_Atomic uint32_t turn;
	const struct bench *bench;
	pthread_t thread;
};

static uint32_t wait_while(struct turns *turns, uint32_t other)
{
	uint32_t turn;

	while ((turn = atomic_load(&turns->turn)) == other)
		syscall(SYS_futex, &turns->turn, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
	return turn;
}

static void hand_over(struct turns *turns, uint32_t turn)
{
	atomic_store(&turns->turn, turn);
	syscall(SYS_futex, &turns->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *take_turns(void *argument)
{
	struct turns *turns = argument;

	gb__bench_pin(turns->bench, 1);
	while (wait_while(turns, TURN_HERE) != TURN_OVER)
		hand_over(turns, TURN_HERE);
	return NULL;
}

static int prepare_futex(struct bench *bench, unsigned kind)
{
	struct turns *turns = calloc(1, sizeof(*turns));
	int code;

	(void)kind;
	if (!turns)
		return -ENOMEM;
	turns->bench = bench;
	code = -pthread_create(&turns->thread, NULL, take_turns, turns);
	if (code < 0) {
		free(turns);
		return code;
	}
	bench->state = turns;
	return gb__bench_pin(bench, 0);
}

static int run_futex(struct bench *bench, unsigned count)
{
	struct turns *turns = bench->state;

	while (count-- > 0) {
		hand_over(turns, TURN_THERE);
		wait_while(turns, TURN_THERE);
	}
	return 0;
}

static void finish_futex(struct bench *bench)
{
	struct turns *turns = bench->state;

	if (!turns)
		return;
	hand_over(turns, TURN_OVER);
	pthread_join(turns->thread, NULL);
	free(turns);
}

const struct cost gb__costs_basic[] = {
	{ "syscall", "system call (getppid)", .run = run_syscall },
	{ "clock", "reading the clock (clock_gettime)", .run = run_clock },
	{ "mutex", "mutex, nobody waits: lock and unlock", .prepare = prepare_mutex, .run = run_mutex,
		.finish = finish_mutex },
	{ "futex-handover", "futex hand-over to a waiting thread, two CPUs", .parts = 2, .two_cpus = true,
		.prepare = prepare_futex, .run = run_futex, .finish = finish_futex },
	{ NULL },
};
