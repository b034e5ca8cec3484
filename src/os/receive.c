#include "os/receive.h"

#include "base/macros.h"
#include "os/process.h"
#include "os/signal.h"
#include "os/syscall.h"
#include "os/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define SIGNAL SIGURG
#define YIELDS_MAX 100u /* waiting for a signal that was sent: so often at once, then so many milliseconds */
#define RESTS_MAX 100u
#define AGAIN_MAX 8u /* other handlers on top of one receive */

#if defined(__x86_64__) && !defined(__ILP32__)
#define PROGRAM_COUNTER(context) ((context)->uc_mcontext.gregs[REG_RIP])
#elif defined(__aarch64__)
#define PROGRAM_COUNTER(context) ((context)->uc_mcontext.pc)
#endif

#if defined(PROGRAM_COUNTER) && !GB__SYSCALL_WATCHED

/* receive_*.S. Receives with the state changed from AWAKE to RECEIVES and back; `state` is the one it found. */
struct outcome {
	long result, state;
};
struct outcome gb__receive_blocking(_Atomic int *state, int fd, void *data, size_t size);
/* Its parts: the look at the state, behind the system call, the way out, the end. */
extern const char gb__receive_look[], gb__receive_done[], gb__receive_out[], gb__receive_end[];

static _Thread_local struct gb__receiver *here __attribute__((tls_model("initial-exec")));
static GB__PER_PROCESS pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GB__PER_PROCESS unsigned users; /* of the signal */
static struct sigaction before;
static bool installed;     /* `on_signal` is, in place of `before` */
static _Atomic bool ready; /* and whoever waits can trust in it */

static void signal_send(const struct gb__receiver *receiver)
{
	syscall(SYS_tgkill, receiver->process, receiver->thread, SIGNAL);
}

static bool within(uintptr_t at, const char *begin, const char *end)
{
	return at >= (uintptr_t)begin && at < (uintptr_t)end;
}

static void on_signal(int number, siginfo_t *info, void *argument)
{
	ucontext_t *context = argument;
	struct gb__receiver *receiver = here;
	const uintptr_t at = (uintptr_t)PROGRAM_COUNTER(context);
	const int kept = errno;

	(void)number;
	/* A handler's child has nothing of it. */
	if (!receiver || receiver->process != gb__process_self())
		return;
	if (within(at, gb__receive_look, gb__receive_done))
		PROGRAM_COUNTER(context) = (uintptr_t)gb__receive_out;
	if (info->si_code != SI_TKILL)
		return;
	if (atomic_load(&receiver->state) != GB__RECEIVER_CALLED ||
		within(at, (const char *)(uintptr_t)gb__receive_blocking, gb__receive_end)) {
		atomic_store(&receiver->arrived, true);
		return;
	}
	/* Another signal's handler runs on top of the receive. Ours comes again when that one has returned, which
	 * restores the mask. */
	if (++receiver->again > AGAIN_MAX) {
		/* The mask of a context that returns is not kept here (valgrind's own): the receive ends by its bound. */
		atomic_store(&ready, false);
		atomic_store(&receiver->arrived, true);
		return;
	}
	sigaddset(&context->uc_sigmask, SIGNAL);
	signal_send(receiver);
	errno = kept;
}

bool gb__receivers_begin(void)
{
	/* Without SA_ONSTACK: whoever receives is on its thread's own stack, and valgrind, told that there may be
	 * another, does not extend that one. */
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	bool possible;

	pthread_mutex_lock(&lock);
	if (users++ == 0 && sigaction(SIGNAL, NULL, &before) == 0 && before.sa_handler == SIG_DFL) {
		sigemptyset(&action.sa_mask);
		installed = sigaction(SIGNAL, &action, NULL) == 0;
		atomic_store(&ready, installed);
		gb__signal_lend(SIGNAL, &before);
	}
	possible = atomic_load(&ready);
	pthread_mutex_unlock(&lock);
	return possible;
}

void gb__receivers_end(void)
{
	struct sigaction now;

	pthread_mutex_lock(&lock);
	if (--users == 0 && installed) {
		atomic_store(&ready, false);
		if (sigaction(SIGNAL, NULL, &now) == 0 && now.sa_sigaction == on_signal)
			sigaction(SIGNAL, &before, NULL);
		gb__signal_lend(SIGNAL, NULL);
		installed = false;
	}
	pthread_mutex_unlock(&lock);
}

bool gb__receivers_there(void)
{
	return atomic_load(&ready);
}

bool gb__receiver_join(struct gb__receiver *receiver)
{
	sigset_t blocked;

	if (!atomic_load(&ready) || pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0 ||
		sigismember(&blocked, SIGNAL))
		return false;
	receiver->process = gb__process_self();
	receiver->thread = gb__thread_id();
	here = receiver;
	return true;
}

void gb__receiver_leave(void)
{
	here = NULL;
}

/* It is on its way, and must not come later, when it would interrupt who knows what. */
static __attribute__((noinline)) void signal_await(struct gb__receiver *receiver)
{
	for (unsigned i = 0; i < YIELDS_MAX && !atomic_load(&receiver->arrived); i++)
		sched_yield();
	for (unsigned i = 0; i < RESTS_MAX && !atomic_load(&receiver->arrived); i++)
		gb__thread_rest(1);
	if (!atomic_load(&receiver->arrived))
		atomic_store(&ready, false); /* somebody else has the signal now: from here on all poll */
	atomic_store(&receiver->arrived, false);
}

ssize_t gb__receiver_receive(struct gb__receiver *receiver, int fd, void *data, size_t size)
{
	struct outcome outcome = gb__receive_blocking(&receiver->state, fd, data, size);

	if (gb__unlikely(outcome.state != GB__RECEIVER_RECEIVES)) {
		if (outcome.state == GB__RECEIVER_CALLED) {
			signal_await(receiver);
			receiver->again = 0;
		} else {
			atomic_store(&receiver->state, GB__RECEIVER_AWAKE);
			return -ECANCELED;
		}
	}
	return outcome.result;
}

#else

bool gb__receivers_begin(void)
{
	return false;
}

void gb__receivers_end(void)
{
}

bool gb__receivers_there(void)
{
	return false;
}

bool gb__receiver_join(struct gb__receiver *receiver)
{
	return false;
}

void gb__receiver_leave(void)
{
}

ssize_t gb__receiver_receive(struct gb__receiver *receiver, int fd, void *data, size_t size)
{
	return -ENOSYS;
}

static void signal_send(const struct gb__receiver *receiver)
{
}

#endif

bool gb__receiver_polls(struct gb__receiver *receiver)
{
	int found = GB__RECEIVER_AWAKE;

	if (atomic_compare_exchange_strong(&receiver->state, &found, GB__RECEIVER_POLLS))
		return true;
	atomic_store(&receiver->state, GB__RECEIVER_AWAKE);
	return false;
}

void gb__receiver_polled(struct gb__receiver *receiver)
{
	atomic_store(&receiver->state, GB__RECEIVER_AWAKE);
}

bool gb__receiver_call(struct gb__receiver *receiver)
{
	int found = atomic_load(&receiver->state), next;

	do {
		if (found == GB__RECEIVER_CALLED || found == GB__RECEIVER_WOKEN)
			return false;
		next = found == GB__RECEIVER_RECEIVES ? GB__RECEIVER_CALLED : GB__RECEIVER_WOKEN;
	} while (!atomic_compare_exchange_weak(&receiver->state, &found, next));
	if (found == GB__RECEIVER_RECEIVES)
		signal_send(receiver);
	return found == GB__RECEIVER_POLLS;
}

int gb__receive_bound(int fd, unsigned ms)
{
	const struct timeval time = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) < 0 ? -errno : 0;
}
