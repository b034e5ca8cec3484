#include "os/receive.h"

#include "base/macros.h"
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 2000u

static struct gb__receiver *receiver; /* in shared memory */
static int fds[2];

/* Whether there can be a receiver here; the calling thread's, on fds[0]. Calls that are lost leave it there for ever. */
static bool begin(void)
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	receiver = mmap(NULL, sizeof(*receiver), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(receiver != MAP_FAILED);
	if (gb__receivers_begin() && gb__receiver_join(receiver))
		return true;
	fprintf(stderr, "SKIPPED: no receiver here\n");
	return false;
}

static void end(void)
{
	gb__receiver_leave();
	gb__receivers_end();
	close(fds[0]);
	close(fds[1]);
	munmap(receiver, sizeof(*receiver));
}

static ssize_t receive_any(char *data, size_t size)
{
	return gb__receiver_receive(receiver, fds[0], data, size);
}

TEST(bytes_and_the_end_arrive)
{
	char data[8] = "";

	if (!begin())
		return;
	CHECK_INT(write(fds[1], "abc", 3), 3);
	CHECK_INT(receive_any(data, sizeof(data)), 3);
	CHECK_STR(data, "abc");
	shutdown(fds[1], SHUT_WR);
	CHECK_INT(receive_any(data, sizeof(data)), 0);
	CHECK_INT(gb__receiver_receive(receiver, -1, data, sizeof(data)), -EBADF);
	CHECK_INT(receiver->state, GB__RECEIVER_AWAKE);
	end();
}

TEST(a_bound_ends_a_receive)
{
	char data[8];

	if (!begin())
		return;
	CHECK_INT(gb__receive_bound(fds[0], 20), 0);
	CHECK_INT(receive_any(data, sizeof(data)), -EAGAIN);
	end();
}

TEST(a_call_before_the_receive_is_kept_once)
{
	char data[8];

	if (!begin())
		return;
	CHECK(!gb__receiver_call(receiver));
	CHECK(!gb__receiver_call(receiver));
	CHECK_INT(receive_any(data, sizeof(data)), -ECANCELED);
	CHECK(!gb__receiver_call(receiver));
	CHECK(!gb__receiver_polls(receiver));
	CHECK(gb__receiver_polls(receiver));
	CHECK(gb__receiver_call(receiver));
	CHECK(!gb__receiver_call(receiver));
	gb__receiver_polled(receiver);
	CHECK_INT(write(fds[1], "a", 1), 1);
	CHECK_INT(receive_any(data, sizeof(data)), 1);
	end();
}

/* Each call of a receive that has begun is answered before the next: a lost one would be waited for, for ever. */
static _Atomic unsigned answered;

static void call_often(unsigned calls)
{
	for (unsigned i = 0; i < calls; i++) {
		while (atomic_load(&answered) != i)
			sched_yield();
		gb__receiver_call(receiver);
	}
}

static void *call_from_thread(void *argument)
{
	call_often(CALLS);
	return NULL;
}

static void answer_calls(unsigned calls)
{
	char data[8];

	for (unsigned i = 0; i < calls; i++) {
		ssize_t size = receive_any(data, sizeof(data));

		CHECK(size == -EINTR || size == -ECANCELED);
		atomic_store(&answered, i + 1);
	}
}

TEST(no_call_of_another_thread_is_lost)
{
	pthread_t thread;

	if (!begin())
		return;
	atomic_store(&answered, 0);
	CHECK_INT(pthread_create(&thread, NULL, call_from_thread, NULL), 0);
	answer_calls(CALLS);
	CHECK_INT(pthread_join(thread, NULL), 0);
	end();
}

static void call_in_handler(int number)
{
	gb__receiver_call(receiver);
}

static pthread_t receiving;

static void *signal_often(void *argument)
{
	for (unsigned i = 0; i < CALLS; i++) {
		while (atomic_load(&answered) != i)
			sched_yield();
		pthread_kill(receiving, SIGUSR1);
	}
	return NULL;
}

/* The signal of the call comes while the other handler is still there: it is put off, and not lost. */
TEST(a_handler_calls_the_thread_that_it_runs_on)
{
	const struct sigaction action = { .sa_handler = call_in_handler, .sa_flags = SA_RESTART };
	pthread_t thread;

	if (!begin())
		return;
	atomic_store(&answered, 0);
	receiving = pthread_self();
	CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_INT(pthread_create(&thread, NULL, signal_often, NULL), 0);
	answer_calls(CALLS);
	CHECK_INT(pthread_join(thread, NULL), 0);
	signal(SIGUSR1, SIG_DFL);
	end();
}

static _Atomic bool in_handler, go_on;

static void stay_in_handler(int number)
{
	atomic_store(&in_handler, true);
	while (!atomic_load(&go_on))
		;
}

static void *call_during_handler(void *argument)
{
	pthread_kill(receiving, SIGUSR1);
	while (!atomic_load(&in_handler))
		sched_yield();
	gb__receiver_call(receiver);
	atomic_store(&go_on, true);
	return NULL;
}

TEST(a_call_during_another_handler_is_not_lost)
{
	const struct sigaction action = { .sa_handler = stay_in_handler, .sa_flags = SA_RESTART };

	if (!begin())
		return;
	receiving = pthread_self();
	CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
	for (unsigned i = 0; i < CALLS / 10; i++) {
		pthread_t thread;
		char data[8];

		atomic_store(&in_handler, false);
		atomic_store(&go_on, false);
		CHECK_INT(pthread_create(&thread, NULL, call_during_handler, NULL), 0);
		CHECK(receive_any(data, sizeof(data)) < 0);
		CHECK_INT(pthread_join(thread, NULL), 0);
	}
	signal(SIGUSR1, SIG_DFL);
	end();
}

TEST(another_process_calls)
{
	char data[8];
	pid_t child;

	if (!begin())
		return;
	for (unsigned i = 0; i < 20; i++) {
		ssize_t size;

		child = fork();
		if (child == 0) {
			gb__receiver_call(receiver);
			_exit(0);
		}
		size = receive_any(data, sizeof(data));
		CHECK(size == -EINTR || size == -ECANCELED);
		CHECK_INT(waitpid(child, NULL, 0), child);
	}
	end();
}

static void *send_and_call(void *argument)
{
	for (unsigned i = 0; i < CALLS; i++) {
		while (atomic_load(&answered) != i)
			sched_yield();
		CHECK_INT(write(fds[1], "a", 1), 1);
		gb__receiver_call(receiver);
	}
	return NULL;
}

/* What the kernel had received when the signal came is delivered. */
TEST(no_byte_is_lost_to_a_call)
{
	pthread_t thread;
	unsigned bytes = 0;
	char data[8];

	if (!begin())
		return;
	atomic_store(&answered, 0);
	CHECK_INT(pthread_create(&thread, NULL, send_and_call, NULL), 0);
	while (bytes < CALLS) {
		ssize_t size = receive_any(data, 1);

		CHECK(size == 1 || size == -EINTR || size == -ECANCELED);
		if (size == 1)
			atomic_store(&answered, ++bytes);
	}
	CHECK_INT(pthread_join(thread, NULL), 0);
	end();
}

/* A signal that came after the receive would cut short what a handler does next. */
static _Atomic bool over;

static void *call_always(void *argument)
{
	while (!atomic_load(&over))
		if (atomic_load(&receiver->state) == GB__RECEIVER_RECEIVES)
			gb__receiver_call(receiver);
	return NULL;
}

TEST(outside_of_a_receive_nothing_is_interrupted)
{
	const struct timespec moment = { .tv_nsec = 200000 };
	pthread_t thread;
	char data[8];

	if (!begin())
		return;
	atomic_store(&over, false);
	CHECK_INT(pthread_create(&thread, NULL, call_always, NULL), 0);
	for (unsigned i = 0; i < CALLS / 4; i++) {
		CHECK(receive_any(data, sizeof(data)) < 0);
		CHECK_INT(nanosleep(&moment, NULL), 0); /* EINTR, if anything came */
	}
	atomic_store(&over, true);
	CHECK_INT(pthread_join(thread, NULL), 0);
	end();
}

TEST(a_program_keeps_the_signal_that_it_uses)
{
	struct gb__receiver mine = { 0 };
	struct sigaction found;
	sigset_t signals;

	signal(SIGURG, call_in_handler);
	CHECK(!gb__receivers_begin());
	CHECK(!gb__receivers_there());
	gb__receivers_end();
	CHECK_INT(sigaction(SIGURG, NULL, &found), 0);
	CHECK(found.sa_handler == call_in_handler);
	signal(SIGURG, SIG_DFL);
	if (gb__receivers_begin())
		CHECK(gb__receivers_there());
	sigemptyset(&signals);
	sigaddset(&signals, SIGURG);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	CHECK(!gb__receiver_join(&mine));
	gb__receivers_end();
	CHECK_INT(sigaction(SIGURG, NULL, &found), 0);
	CHECK(found.sa_handler == SIG_DFL);
}

/* As a caller that is stopped between what it notes and its signal: too long for the receiver. */
static void *call_without_a_signal(void *argument)
{
	int found = GB__RECEIVER_RECEIVES;

	while (!atomic_compare_exchange_weak(&receiver->state, &found, GB__RECEIVER_CALLED)) {
		found = GB__RECEIVER_RECEIVES;
		sched_yield();
	}
	CHECK_INT(write(fds[1], "a", 1), 1);
	return NULL;
}

TEST(a_signal_that_never_came_leaves_the_program_as_it_was)
{
	struct sigaction found;
	pthread_t thread;
	char data[8];

	if (!begin())
		return;
	CHECK_INT(pthread_create(&thread, NULL, call_without_a_signal, NULL), 0);
	CHECK_INT(receive_any(data, sizeof(data)), 1);
	CHECK_INT(pthread_join(thread, NULL), 0);
	CHECK(!gb__receivers_there());
	end();
	CHECK_INT(sigaction(SIGURG, NULL, &found), 0);
	CHECK(found.sa_handler == SIG_DFL);
	CHECK(gb__receivers_begin()); /* the next server has it again */
	gb__receivers_end();
}
