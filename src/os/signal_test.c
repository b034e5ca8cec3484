/* Signals as calls: who is called, and what the program has when nobody is subscribed any more. */
#include "os/signal.h"

#include "harness.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUBSCRIBERS_MAX 64

static volatile sig_atomic_t own_calls, own_details;

static void own(int signal)
{
	own_calls++;
}

static void own_with_details(int signal, siginfo_t *info, void *context)
{
	own_details += info && info->si_signo == signal;
}

static void count(void *arg)
{
	volatile sig_atomic_t *calls = arg;

	++*calls;
}

static void handled_by(int signal, void (*handler)(int signal))
{
	struct sigaction now;

	CHECK_INT(sigaction(signal, NULL, &now), 0);
	CHECK(!(now.sa_flags & SA_SIGINFO) && now.sa_handler == handler);
}

TEST(all_subscribers_of_a_signal_are_called_and_nobody_else)
{
	volatile sig_atomic_t first = 0, second = 0, other = 0;
	int tickets[3];

	tickets[0] = gb__signal_subscribe(SIGUSR1, count, (void *)&first);
	tickets[1] = gb__signal_subscribe(SIGUSR2, count, (void *)&other);
	tickets[2] = gb__signal_subscribe(SIGUSR1, count, (void *)&second);
	CHECK(tickets[0] >= 0 && tickets[1] >= 0 && tickets[2] >= 0);
	raise(SIGUSR1);
	CHECK(first == 1 && second == 1 && other == 0);
	/* The first ticket there is can be given back as well. */
	gb__signal_unsubscribe(tickets[0]);
	raise(SIGUSR1);
	CHECK(first == 1 && second == 2 && other == 0);
	gb__signal_unsubscribe(tickets[2]);
	gb__signal_unsubscribe(tickets[1]);
	gb__signal_unsubscribe(-ENOSPC);
	handled_by(SIGUSR1, SIG_DFL);
	handled_by(SIGUSR2, SIG_DFL);
}

/* Whoever subscribes to SIGHUP has it in place of the program's handler; the ends of children are everybody's. */
TEST(the_handler_of_the_program_is_called_for_children_alone)
{
	const struct sigaction details = { .sa_sigaction = own_with_details, .sa_flags = SA_SIGINFO };
	volatile sig_atomic_t calls = 0;
	int hangup, child;

	signal(SIGHUP, own);
	signal(SIGCHLD, own);
	CHECK(gb__signal_handled(SIGHUP));
	hangup = gb__signal_subscribe(SIGHUP, count, (void *)&calls);
	child = gb__signal_subscribe(SIGCHLD, count, (void *)&calls);
	CHECK(!gb__signal_handled(SIGHUP));
	raise(SIGHUP);
	CHECK(calls == 1 && own_calls == 0);
	raise(SIGCHLD);
	CHECK(calls == 2 && own_calls == 1);
	gb__signal_unsubscribe(hangup);
	gb__signal_unsubscribe(child);
	handled_by(SIGHUP, own);
	handled_by(SIGCHLD, own);
	raise(SIGHUP);
	CHECK(calls == 2 && own_calls == 2);

	CHECK_INT(sigaction(SIGCHLD, &details, NULL), 0);
	child = gb__signal_subscribe(SIGCHLD, count, (void *)&calls);
	raise(SIGCHLD);
	CHECK(calls == 3 && own_details == 1);
	gb__signal_unsubscribe(child);
	raise(SIGCHLD);
	CHECK(calls == 3 && own_details == 2);
}

TEST(a_signal_that_the_program_ignores_is_ignored_again)
{
	volatile sig_atomic_t calls = 0;
	int ticket;

	signal(SIGHUP, SIG_IGN);
	CHECK(gb__signal_ignored(SIGHUP) && !gb__signal_handled(SIGHUP));
	ticket = gb__signal_subscribe(SIGHUP, count, (void *)&calls);
	CHECK(!gb__signal_ignored(SIGHUP));
	raise(SIGHUP);
	CHECK(calls == 1);
	gb__signal_unsubscribe(ticket);
	CHECK(gb__signal_ignored(SIGHUP));
	gb__signal_quiet(SIGHUP);
	handled_by(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_DFL); /* who starts us may ignore it */
	gb__signal_quiet(SIGPIPE);
	CHECK(!gb__signal_ignored(SIGPIPE)); /* what is started has it as ever */
	raise(SIGPIPE);
}

TEST(what_is_blocked_is_unblocked_for_as_long_as_somebody_is_subscribed)
{
	volatile sig_atomic_t calls = 0;
	sigset_t mask, hangup;
	int ticket;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	CHECK_INT(sigprocmask(SIG_BLOCK, &hangup, NULL), 0);
	ticket = gb__signal_subscribe(SIGHUP, count, (void *)&calls);
	raise(SIGHUP);
	CHECK(calls == 1);
	gb__signal_mask_of_program(&mask);
	CHECK(sigismember(&mask, SIGHUP) == 1 && sigismember(&mask, SIGUSR1) == 0);
	gb__signal_unsubscribe(ticket);
	CHECK_INT(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	CHECK_INT(sigismember(&mask, SIGHUP), 1);
}

TEST(so_many_may_subscribe)
{
	volatile sig_atomic_t calls = 0;
	int tickets[SUBSCRIBERS_MAX];

	for (int i = 0; i < SUBSCRIBERS_MAX; i++) {
		tickets[i] = gb__signal_subscribe(SIGUSR1, count, (void *)&calls);
		CHECK(tickets[i] >= 0);
	}
	CHECK_INT(gb__signal_subscribe(SIGUSR2, count, (void *)&calls), -ENOSPC);
	raise(SIGUSR1);
	CHECK_INT(calls, SUBSCRIBERS_MAX);
	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		gb__signal_unsubscribe(tickets[i]);
	handled_by(SIGUSR1, SIG_DFL);
}

TEST(what_is_lent_is_not_subscribed_to)
{
	const struct sigaction program = { .sa_handler = SIG_DFL };
	volatile sig_atomic_t calls = 0;
	int ticket;

	gb__signal_lend(SIGUSR1, &program);
	CHECK_INT(gb__signal_subscribe(SIGUSR1, count, (void *)&calls), -EBUSY);
	gb__signal_lend(SIGUSR1, NULL);
	ticket = gb__signal_subscribe(SIGUSR1, count, (void *)&calls);
	CHECK(ticket >= 0);
	gb__signal_unsubscribe(ticket);
}

static int status_of(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	return status;
}

/* A fork without exec is the program's: nothing of ours acts in it. */
TEST(a_strangers_child_has_what_the_program_had)
{
	volatile sig_atomic_t calls = 0;
	sigset_t hangup, mask;
	pid_t pid;
	int ticket;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	CHECK_INT(sigprocmask(SIG_BLOCK, &hangup, NULL), 0);
	signal(SIGHUP, own);
	ticket = gb__signal_subscribe(SIGHUP, count, (void *)&calls);
	pid = fork();
	if (pid == 0) {
		handled_by(SIGHUP, own);
		CHECK_INT(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
		CHECK_INT(sigismember(&mask, SIGHUP), 1);
		sigprocmask(SIG_UNBLOCK, &hangup, NULL);
		raise(SIGHUP);
		_exit(calls == 0 && own_calls == 1 ? 0 : 2);
	}
	CHECK_INT(status_of(pid), 0);
	gb__signal_unsubscribe(ticket);
}

/* As a worker's process does: what is held back for the moment is nothing that the program blocks. */
TEST(who_subscribes_before_the_release_blocks_nothing_of_the_program)
{
	volatile sig_atomic_t calls = 0;
	sigset_t mask;
	int ticket;

	gb__signal_hold();
	ticket = gb__signal_subscribe(SIGTERM, count, (void *)&calls);
	raise(SIGTERM);
	CHECK(calls == 0);
	gb__signal_release();
	CHECK(calls == 1);
	gb__signal_mask_of_program(&mask);
	CHECK_INT(sigismember(&mask, SIGTERM), 0);
	gb__signal_unsubscribe(ticket);
	CHECK_INT(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	CHECK_INT(sigismember(&mask, SIGTERM), 0);
}

/* One that arrives around the fork is its parent's: no worker is told of it, and its parent is, once. */
TEST(a_workers_child_begins_without_subscribers)
{
	volatile sig_atomic_t calls = 0;
	int ticket = gb__signal_subscribe(SIGHUP, count, (void *)&calls);
	pid_t pid;

	gb__signal_hold();
	raise(SIGHUP);
	CHECK(calls == 0);
	pid = fork();
	if (pid == 0) {
		gb__signal_release();
		raise(SIGHUP); /* has no effect */
		if (calls != 0)
			_exit(2);
		ticket = gb__signal_subscribe(SIGHUP, count, (void *)&calls);
		raise(SIGHUP);
		_exit(ticket == 0 && calls == 1 ? 0 : 3);
	}
	gb__signal_release();
	CHECK_INT(status_of(pid), 0);
	CHECK(calls == 1);
	gb__signal_unsubscribe(ticket);
}
