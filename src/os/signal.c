#include "os/signal.h"

#include "os/tsan.h"

#include <errno.h>
#include <pthread.h>
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
} subscribers[SUBSCRIBERS_MAX];

static struct sigaction before[NSIG];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void deliver(int signal)
{
	int kept = errno;

	for (int i = 0; i < SUBSCRIBERS_MAX; i++)
		if (atomic_load(&subscribers[i].signal) == signal)
			subscribers[i].handler(subscribers[i].arg);
	errno = kept;
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
	struct sigaction action = { .sa_handler = deliver, .sa_flags = SA_RESTART | SA_NOCLDSTOP };
	int ticket = 0;

	gb__tsan_settle();
	pthread_mutex_lock(&lock);
	while (ticket < SUBSCRIBERS_MAX && atomic_load(&subscribers[ticket].signal))
		ticket++;
	if (ticket == SUBSCRIBERS_MAX) {
		ticket = -ENOSPC;
	} else {
		bool first = !subscribed(signal);

		subscribers[ticket].handler = handler;
		subscribers[ticket].arg = arg;
		atomic_store(&subscribers[ticket].signal, signal);
		if (first) {
			sigemptyset(&action.sa_mask);
			sigaction(signal, &action, &before[signal]);
		}
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
		sigaction(signal, &before[signal], NULL);
	pthread_mutex_unlock(&lock);
}

void gb__signal_reset(void)
{
	for (int i = 0; i < SUBSCRIBERS_MAX; i++) {
		int signal_number = atomic_exchange(&subscribers[i].signal, 0);

		if (signal_number)
			signal(signal_number, SIG_DFL);
	}
}
