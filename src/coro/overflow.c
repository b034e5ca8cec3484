#include "coro/overflow.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/stderr.h"
#include "coro/coro.h"
#include "os/signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define SIGNAL_STACK (64u << 10) /* room for handlers of the program; untouched pages cost nothing */
#define LINE_BYTES 512
#define SIGNALS 2

static const int signals[SIGNALS] = { SIGSEGV, SIGBUS };
static struct sigaction before[SIGNALS];
static bool installed; /* ours are somewhere in the chain */
static bool inherited; /* by a fork, all this */
static unsigned users;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Read in signal context, by faults of the thread itself: nothing that is loaded late, which would allocate. */
static __thread struct gb__coros *here __attribute__((tls_model("initial-exec")));

static size_t append(char *line, size_t at, const char *text)
{
	while (*text && at < LINE_BYTES - 1)
		line[at++] = *text++;
	return at;
}

static size_t append_number(char *line, size_t at, size_t number)
{
	char digits[24], *digit = digits + sizeof(digits) - 1;

	*digit = 0;
	do
		*--digit = (char)('0' + number % 10);
	while (number /= 10);
	return append(line, at, digit);
}

static void report(const struct gb__coro *coro, size_t size)
{
	char line[LINE_BYTES];
	size_t at = append(line, 0, gb__log_name());

	at = append(line, at, coro->name ? ": the coroutine of service " : ": a coroutine");
	at = append(line, at, coro->name ? coro->name : "");
	at = append(line, at, " overflowed its stack of ");
	at = append_number(line, at, size);
	at = append(line, at, " bytes (larger: stack=");
	at = append_number(line, at, size * 2);
	at = append(line, at, ")");
	line[at++] = '\n';
	gb__stderr_write(line, at);
}

/* The running coroutine whose guard the address is in. Those of others are hit by stray pointers. */
static const struct gb__coro *overflown(const char *address, size_t *ret_size)
{
	for (const struct gb__coros *coros = here; coros; coros = coros->outer)
		if (coros->running && address < coros->running->stack->low &&
			address >= coros->running->stack->low - coros->stacks.guard) {
			*ret_size = coros->stacks.size;
			return coros->running;
		}
	return NULL;
}

static void set_default(int signal)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigaction(signal, &action, NULL);
}

/* As the kernel would with what was there before. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	const struct sigaction *own = &before[signal == signals[0] ? 0 : 1];
	const bool sent = info->si_code <= 0; /* by somebody: it does not come again by itself */

	if (!(own->sa_flags & SA_SIGINFO) && (own->sa_handler == SIG_DFL || own->sa_handler == SIG_IGN)) {
		if (own->sa_handler == SIG_IGN && sent)
			return;
		set_default(signal);
		if (sent)
			raise(signal); /* when this has returned */
		return;
	}
	if (own->sa_flags & SA_RESETHAND)
		set_default(signal);
	if (own->sa_flags & SA_SIGINFO)
		own->sa_sigaction(signal, info, context);
	else
		own->sa_handler(signal);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const struct gb__coro *coro = NULL;
	int kept = errno;
	size_t size;

	if (info->si_code > 0)
		coro = overflown(info->si_addr, &size);
	if (coro)
		report(coro, size);
	errno = kept;
	pass_on(signal, info, context);
}

static void install(void)
{
	for (int i = 0; i < SIGNALS; i++) {
		struct sigaction action;

		sigaction(signals[i], NULL, &before[i]);
		action = before[i];
		action.sa_sigaction = on_fault;
		action.sa_flags &= SA_NODEFER | SA_RESTART;
		action.sa_flags |= SA_SIGINFO | SA_ONSTACK;
		sigaction(signals[i], &action, NULL);
		gb__signal_lend(signals[i], &before[i]);
	}
}

static bool is_ours(int signal)
{
	struct sigaction now;

	return sigaction(signal, NULL, &now) == 0 && now.sa_sigaction == on_fault;
}

/* Where another handler has come on top, it may still call ours. */
static bool uninstall(void)
{
	for (int i = 0; i < SIGNALS; i++)
		if (!is_ours(signals[i]))
			return false;
	for (int i = 0; i < SIGNALS; i++) {
		sigaction(signals[i], &before[i], NULL);
		gb__signal_lend(signals[i], NULL);
	}
	return true;
}

static int give_signal_stack(struct gb__coros *coros)
{
	stack_t stack, given = { 0 };

	if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE))
		return 0; /* the program's, or a sanitizer's */
	given.ss_size = SIGNAL_STACK + getauxval(AT_MINSIGSTKSZ);
	given.ss_sp = mmap(NULL, given.ss_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (given.ss_sp == MAP_FAILED)
		return -ENOMEM;
	sigaltstack(&given, NULL);
	coros->signal_stack = given.ss_sp;
	coros->signal_stack_size = given.ss_size;
	return 0;
}

static void take_signal_stack(struct gb__coros *coros)
{
	stack_t stack, none = { .ss_flags = SS_DISABLE };

	if (!coros->signal_stack)
		return;
	if (sigaltstack(NULL, &stack) == 0 && stack.ss_sp == coros->signal_stack)
		sigaltstack(&none, NULL);
	munmap(coros->signal_stack, coros->signal_stack_size);
	coros->signal_stack = NULL;
}

/* What the parent's worker had is nothing to a child. One that is no worker has the program's handlers back
 * (src/os/signal.h). */
static void forked(void)
{
	here = NULL;
	users = 0;
	inherited = true;
}

static bool was_put_back(void)
{
	struct sigaction now;

	return sigaction(signals[0], NULL, &now) == 0 && now.sa_sigaction == before[0].sa_sigaction;
}

static void prepare(void)
{
	pthread_atfork(NULL, NULL, forked);
}

int gb__overflow_arm(struct gb__coros *coros)
{
	int result = give_signal_stack(coros);

	if (result < 0)
		return result;
	pthread_once(&once, prepare);
	coros->outer = here;
	here = coros;
	coros->armed = getpid();
	pthread_mutex_lock(&lock);
	users++;
	if (inherited && installed)
		installed = !was_put_back();
	inherited = false;
	if (!installed) {
		install();
		installed = true;
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

void gb__overflow_disarm(struct gb__coros *coros)
{
	struct gb__coros **link = &here;

	if (coros->armed != getpid()) {
		coros->armed = 0;
		return;
	}
	while (*link && *link != coros)
		link = &(*link)->outer;
	gb__assert(*link); /* the thread that armed it */
	*link = coros->outer;
	coros->armed = 0;
	pthread_mutex_lock(&lock);
	if (--users == 0 && installed)
		installed = !uninstall();
	pthread_mutex_unlock(&lock);
	take_signal_stack(coros);
}
