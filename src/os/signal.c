#include "os/signal.h"

#include "base/macros.h"

#include "os/tsan.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define SUBSCRIBERS_MAX 64

/* Read in signal context: `signal` is set last and cleared first. */
static struct {
	_Atomic int signal;
	void (*handler)(void *arg);
	void *arg;
} subscribers[SUBSCRIBERS_MAX] GB__PER_PROCESS;
static GB__PER_PROCESS _Atomic unsigned delivering; /* handlers that run */

/* Of the program: what is put back. */
static GB__PER_PROCESS bool installed[NSIG]; /* ours is, in place of `before` */
static struct sigaction before[NSIG];
static GB__PER_PROCESS bool lent[NSIG];    /* that handler is another's of the library */
static GB__PER_PROCESS sigset_t unblocked; /* by us, although it had them blocked */

static GB__PER_PROCESS bool holding;
static GB__PER_PROCESS sigset_t held_before; /* the mask to go back to */
static GB__PER_PROCESS pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The ends of children are everybody's: what the program had there is called as well. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	const struct sigaction *own = &before[signal];

	if (signal != SIGCHLD)
		return;
	if (own->sa_flags & SA_SIGINFO)
		own->sa_sigaction(signal, info, context);
	else if (own->sa_handler != SIG_DFL && own->sa_handler != SIG_IGN)
		own->sa_handler(signal);
}

static void deliver(int signal, siginfo_t *info, void *context)
{
	int kept = errno;

	atomic_fetch_add(&delivering, 1);
	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		if (atomic_load(&subscribers[i].signal) == signal)
			subscribers[i].handler(subscribers[i].arg);
	pass_on(signal, info, context);
	atomic_fetch_sub(&delivering, 1);
	errno = kept;
}

/* A worker process: the signals of its parent are not for it. */
static void become_worker(void)
{
	for (int i = 1; i < NSIG; i++)
		if (sigismember(&unblocked, i) > 0)
			sigaddset(&held_before, i);
	sigemptyset(&unblocked);
}

/* Somebody's own child: nothing of ours may act in it. */
static void become_stranger(void)
{
	for (int i = 1; i < NSIG; i++)
		if (installed[i]) {
			sigaction(i, &before[i], NULL);
			installed[i] = lent[i] = false;
		}
	pthread_sigmask(SIG_BLOCK, &unblocked, NULL);
	sigemptyset(&unblocked);
}

static void forked(void)
{
	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		atomic_store(&subscribers[i].signal, 0);
	atomic_store(&delivering, 0);
	if (holding)
		become_worker();
	else
		become_stranger();
}

static void prepare(void)
{
	sigemptyset(&unblocked);
	pthread_atfork(NULL, NULL, forked);
}

static void install(int signal)
{
	struct sigaction action = { .sa_sigaction = deliver,
		.sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP };

	sigemptyset(&action.sa_mask);
	if (!installed[signal])
		sigaction(signal, &action, &before[signal]);
	installed[signal] = true;
}

static void unblock(int signal)
{
	sigset_t one, mask;

	sigemptyset(&one);
	sigaddset(&one, signal);
	if (holding)
		mask = held_before;
	else
		pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, signal) <= 0)
		return;
	sigaddset(&unblocked, signal);
	if (holding)
		sigdelset(&held_before, signal);
	else
		pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

/* Nobody is subscribed any more: as the program had it. */
static void uninstall(int signal)
{
	sigset_t one;

	sigaction(signal, &before[signal], NULL);
	installed[signal] = false;
	if (sigismember(&unblocked, signal) <= 0)
		return;
	sigemptyset(&one);
	sigaddset(&one, signal);
	sigdelset(&unblocked, signal);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
}

static bool subscribed(int signal)
{
	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		if (atomic_load(&subscribers[i].signal) == signal)
			return true;
	return false;
}

int gb__signal_subscribe(int signal, void (*handler)(void *arg), void *arg)
{
	int ticket = 0;

	gb__tsan_settle();
	pthread_once(&once, prepare);
	pthread_mutex_lock(&lock);
	while (ticket < SUBSCRIBERS_MAX && atomic_load(&subscribers[ticket].signal))
		ticket++;
	if (lent[signal]) {
		ticket = -EBUSY;
	} else if (ticket == SUBSCRIBERS_MAX) {
		ticket = -ENOSPC;
	} else {
		subscribers[ticket].handler = handler;
		subscribers[ticket].arg = arg;
		atomic_store(&subscribers[ticket].signal, signal);
		install(signal);
		unblock(signal);
	}
	pthread_mutex_unlock(&lock);
	return ticket;
}

void gb__signal_unsubscribe(int ticket)
{
	int signal;

	if (ticket < 0)
		return;
	pthread_mutex_lock(&lock);
	signal = atomic_exchange(&subscribers[ticket].signal, 0);
	if (signal && !subscribed(signal))
		uninstall(signal);
	pthread_mutex_unlock(&lock);
	gb__signal_await();
}

void gb__signal_lend(int signal, const struct sigaction *program)
{
	pthread_once(&once, prepare);
	pthread_mutex_lock(&lock);
	installed[signal] = lent[signal] = program;
	if (program)
		before[signal] = *program;
	pthread_mutex_unlock(&lock);
}

void gb__signal_await(void)
{
	while (atomic_load(&delivering))
		sched_yield();
}

bool gb__signal_ignored(int signal)
{
	struct sigaction now;

	return sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

bool gb__signal_handled(int signal)
{
	struct sigaction now;
	bool ours;

	pthread_mutex_lock(&lock);
	ours = installed[signal];
	pthread_mutex_unlock(&lock);
	return !ours && sigaction(signal, NULL, &now) == 0 && now.sa_handler != SIG_DFL &&
		now.sa_handler != SIG_IGN;
}

void gb__signal_quiet(int signal)
{
	pthread_once(&once, prepare);
	pthread_mutex_lock(&lock);
	if (!installed[signal] && !gb__signal_ignored(signal))
		install(signal);
	pthread_mutex_unlock(&lock);
}

void gb__signal_mask_of_program(sigset_t *ret)
{
	pthread_mutex_lock(&lock);
	pthread_sigmask(SIG_SETMASK, NULL, ret);
	for (int i = 1; i < NSIG; i++)
		if (sigismember(&unblocked, i) > 0)
			sigaddset(ret, i);
	pthread_mutex_unlock(&lock);
}

void gb__signal_hold(void)
{
	sigset_t held;

	pthread_once(&once, prepare);
	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGCHLD);
	/* Else one that comes before the child has forgotten its parent's subscribers is counted twice. */
	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		if (atomic_load(&subscribers[i].signal))
			sigaddset(&held, atomic_load(&subscribers[i].signal));
	pthread_sigmask(SIG_BLOCK, &held, &held_before);
	holding = true;
}

void gb__signal_release(void)
{
	holding = false;
	pthread_sigmask(SIG_SETMASK, &held_before, NULL);
}
