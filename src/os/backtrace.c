#include "os/backtrace.h"

#include "base/macros.h"
#include "os/process.h"
#include "os/signal.h"
#include "os/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define SIGNAL SIGWINCH
#define KNOWN_MAX 16u /* servers of one process */

#if defined(__x86_64__) && !defined(__ILP32__)
#define PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.gregs[REG_RIP])
#elif defined(__aarch64__)
#define PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.pc)
#elif defined(__s390x__)
#define PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.psw.addr)
#else
#define PROGRAM_COUNTER(context) \
	((void)(context), (uintptr_t)0) /* the handler's own frames are shown as well */
#endif

/* Of the innermost frame that has one; 0 where the build keeps none. */
#if defined(GB__FRAME_POINTERS) && defined(__x86_64__) && !defined(__ILP32__)
#define FRAME_POINTER(context) ((uintptr_t)(context)->uc_mcontext.gregs[REG_RBP])
#elif defined(GB__FRAME_POINTERS) && defined(__aarch64__)
#define FRAME_POINTER(context) ((uintptr_t)(context)->uc_mcontext.regs[29])
#else
#define FRAME_POINTER(context) ((void)(context), (uintptr_t)0)
#endif

/* Read in signal context: a pointer that somebody else sent is none of these. */
static _Atomic(struct gb__backtrace *) known[KNOWN_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction before;
static bool installed;

struct walk {
	struct gb__backtrace *backtrace;
	uintptr_t interrupted; /* 0 once it was found, among the handler's own frames */
};

#ifdef GB__LACKS_UNWIND /* where it was interrupted, and frame pointers, are all that is known */
static void walk_stack(struct walk *walk)
{
}

static void walk_prepare(void)
{
}
#else
static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	struct gb__backtrace *backtrace = walk->backtrace;
	int exact = 0;
	uintptr_t at = (uintptr_t)_Unwind_GetIPInfo(context, &exact);

	if (walk->interrupted && at != walk->interrupted)
		return _URC_NO_REASON;
	if (walk->interrupted)
		exact = 1;
	walk->interrupted = 0;
	if (!at || backtrace->frames_count >= GB__BACKTRACE_FRAMES)
		return _URC_END_OF_STACK;
	/* What it would return to lies behind the call. */
	backtrace->frames[backtrace->frames_count++] = exact ? at : at - 1;
	return _URC_NO_REASON;
}

static void walk_stack(struct walk *walk)
{
	_Unwind_Backtrace(walk_frame, walk);
}

static _Unwind_Reason_Code walk_once(struct _Unwind_Context *context, void *arg)
{
	(void)context;
	(void)arg;
	return _URC_END_OF_STACK;
}

/* What it loads or allocates the first time is there from here on. */
static void walk_prepare(void)
{
	_Unwind_Backtrace(walk_once, NULL);
}
#endif

/* Where the C library has no unwind tables the walk ends in it: on from the frame of who called it, each of which holds where
 * the next is and what it returns to. They are read by the kernel, which refuses what is no memory. */
static void walk_frames(struct gb__backtrace *backtrace, uintptr_t frame)
{
	uintptr_t words[2];
	const struct iovec into = { words, sizeof(words) };

	while (frame && frame % sizeof(words[0]) == 0 && backtrace->frames_count < GB__BACKTRACE_FRAMES) {
		const struct iovec from = { (void *)frame, sizeof(words) };

		if (gb__process_peek(backtrace->process, &into, &from, 1) < 0 || !words[1])
			return;
		backtrace->frames[backtrace->frames_count++] = words[1] - 1;
		frame = words[0] > frame ? words[0] : 0;
	}
}

static bool is_known(const struct gb__backtrace *backtrace)
{
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		if (backtrace && atomic_load(&known[i]) == backtrace)
			return true;
	return false;
}

static void on_signal(int number, siginfo_t *info, void *argument)
{
	struct gb__backtrace *backtrace = info->si_value.sival_ptr;
	const uintptr_t at = PROGRAM_COUNTER((ucontext_t *)argument);
	struct walk walk = { backtrace, at };
	int kept = errno, asked = GB__BACKTRACE_ASKED;

	(void)number;
	if (info->si_code != SI_QUEUE || !is_known(backtrace) || atomic_load(&backtrace->state) != asked ||
		backtrace->thread != (pid_t)syscall(SYS_gettid) ||
		!atomic_compare_exchange_strong(&backtrace->state, &asked, GB__BACKTRACE_ANSWERS))
		return;
	backtrace->frames_count = 0;
	backtrace->cpu_ns = gb__thread_cpu_ns();
	if (backtrace->look)
		backtrace->look(backtrace);
	walk_stack(&walk);
	if (backtrace->frames_count == 0 && at)
		backtrace->frames[backtrace->frames_count++] = at;
	if (backtrace->frames_count <= 1)
		walk_frames(backtrace, FRAME_POINTER((ucontext_t *)argument));
	atomic_store(&backtrace->state, GB__BACKTRACE_DONE);
	errno = kept;
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	sigset_t mask;

	if (sigaction(SIGNAL, NULL, &before) < 0 || before.sa_handler != SIG_DFL ||
		pthread_sigmask(SIG_BLOCK, NULL, &mask) != 0 || sigismember(&mask, SIGNAL))
		return;
	walk_prepare();
	sigemptyset(&action.sa_mask);
	installed = sigaction(SIGNAL, &action, NULL) == 0;
	if (installed)
		gb__signal_lend(SIGNAL, &before);
}

static void uninstall(void)
{
	struct sigaction now;

	if (!installed)
		return;
	if (sigaction(SIGNAL, NULL, &now) == 0 && now.sa_sigaction == on_signal)
		sigaction(SIGNAL, &before, NULL);
	gb__signal_lend(SIGNAL, NULL);
	installed = false;
}

bool gb__backtrace_begin(struct gb__backtrace *backtrace)
{
	unsigned at = 0;
	bool possible;

	pthread_mutex_lock(&lock);
	while (at < KNOWN_MAX && atomic_load(&known[at]))
		at++;
	if (at < KNOWN_MAX) {
		if (users++ == 0)
			install();
		atomic_store(&known[at], backtrace);
	}
	possible = at < KNOWN_MAX && installed;
	pthread_mutex_unlock(&lock);
	return possible;
}

void gb__backtrace_end(struct gb__backtrace *backtrace)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		if (atomic_load(&known[i]) == backtrace) {
			atomic_store(&known[i], NULL);
			if (--users == 0)
				uninstall();
			break;
		}
	pthread_mutex_unlock(&lock);
}

/* Whoever was killed amid an answer writes no more. */
bool gb__backtrace_free(const struct gb__backtrace *backtrace)
{
	return atomic_load(&backtrace->state) != GB__BACKTRACE_ANSWERS ||
		syscall(SYS_tgkill, backtrace->process, backtrace->thread, 0) < 0;
}

int gb__backtrace_ask(struct gb__backtrace *backtrace, pid_t process, pid_t thread)
{
	siginfo_t info = { 0 };

	info.si_signo = SIGNAL;
	info.si_code = SI_QUEUE;
	info.si_pid = gb__process_self();
	info.si_uid = getuid();
	info.si_value.sival_ptr = backtrace;
	backtrace->process = process;
	backtrace->thread = thread;
	backtrace->frames_count = 0;
	atomic_store(&backtrace->state, GB__BACKTRACE_ASKED);
	if (syscall(SYS_rt_tgsigqueueinfo, process, thread, SIGNAL, &info) == 0)
		return 0;
	gb__backtrace_forget(backtrace);
	return -errno;
}

void gb__backtrace_forget(struct gb__backtrace *backtrace)
{
	int asked = GB__BACKTRACE_ASKED, done = GB__BACKTRACE_DONE;

	if (!atomic_compare_exchange_strong(&backtrace->state, &asked, GB__BACKTRACE_IDLE))
		atomic_compare_exchange_strong(&backtrace->state, &done, GB__BACKTRACE_IDLE);
}
