#include "base/stderr.h"
#include "coro/coro.h"
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE 65536
#define OUTPUT_MAX 65536

/* Sanitizers that handle faults themselves report and exit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ENDS_BY_SIGNAL 0
#else
#define ENDS_BY_SIGNAL 1
#endif

static char output[OUTPUT_MAX];
static int ended;

/* Run it in a child, keep what it says on standard error. */
static void in_child(void (*run)(void))
{
	size_t size = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	CHECK(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		run();
		_exit(0);
	}
	CHECK(pid > 0);
	close(ends[1]);
	while ((got = read(ends[0], output + size, OUTPUT_MAX - 1 - size)) > 0)
		size += (size_t)got;
	output[size] = 0;
	close(ends[0]);
	CHECK(waitpid(pid, &ended, 0) == pid);
}

static void check_crashed(void)
{
	if (ENDS_BY_SIGNAL)
		CHECK(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGSEGV);
	else
		CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) != 0);
}

static struct gb__coros coros;
static char lookup[] = "lookup";
static volatile int bottomless = 1;

static __attribute__((noinline)) int dive(int level)
{
	volatile char room[512];

	room[0] = (char)level;
	return bottomless ? dive(level + 1) + room[0] : level;
}

static void overflows(struct gb__coro *coro, void *argument)
{
	coro->name = argument;
	dive(0);
}

static void run_in(void (*run)(struct gb__coro *, void *), void *argument)
{
	struct gb__coro *coro;

	gb__coros_init(&coros, STACK_SIZE);
	CHECK_INT(gb__coro_create(&coros, 0, run, argument, &coro), 0);
	gb__coro_resume(coro);
	gb__coros_destroy(&coros);
}

static void overflow(void)
{
	run_in(overflows, lookup);
}

TEST(an_overflow_is_told_by_service_and_size)
{
	in_child(overflow);
	check_crashed();
	CHECK(strstr(output,
		": the coroutine of service lookup overflowed its stack of 65536 bytes (larger: stack=131072)\n"));
}

static void overflow_without_a_name(void)
{
	run_in(overflows, NULL);
}

TEST(one_without_a_name_is_told_too)
{
	in_child(overflow_without_a_name);
	check_crashed();
	CHECK(strstr(output, ": a coroutine overflowed its stack of 65536 bytes"));
}

static void *overflow_on_thread(void *arg)
{
	overflow();
	return NULL;
}

static void overflow_on_a_second_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, overflow_on_thread, NULL);
	pthread_join(thread, NULL);
}

TEST(each_thread_reports_its_own)
{
	in_child(overflow_on_a_second_thread);
	check_crashed();
	CHECK(strstr(output, "service lookup overflowed"));
}

static void crashes(struct gb__coro *coro, void *argument)
{
	coro->name = "lookup";
	*(volatile int *)argument = 1;
}

static void crash(void)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	run_in(crashes, page);
}

TEST(another_fault_is_no_overflow)
{
	in_child(crash);
	check_crashed();
	CHECK(!strstr(output, "overflowed its stack of"));
}

static void crash_outside(void)
{
	struct gb__coro *coro;

	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_create(&coros, 0, overflows, lookup, &coro);
	*(volatile char *)(coro->stack->low - 1) = 1; /* by a stray pointer, while none runs */
}

TEST(who_hits_a_guard_from_elsewhere_has_not_overflowed)
{
	in_child(crash_outside);
	check_crashed();
	CHECK(!strstr(output, "overflowed its stack of"));
}

static void send_to_self(void)
{
	struct gb__coro *coro;

	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_create(&coros, 0, overflows, lookup, &coro);
	raise(SIGSEGV);
}

TEST(a_signal_that_somebody_sent_ends_it_as_well)
{
	in_child(send_to_self);
	check_crashed();
}

static void programs_own(int signal)
{
	gb__stderr_write("own\n", 4);
	_exit(77);
}

static void overflow_with_own_handler(void)
{
	signal(SIGSEGV, programs_own);
	overflow();
}

TEST(the_programs_own_handler_is_called_after_the_line)
{
	const char *line;

	in_child(overflow_with_own_handler);
	CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 77);
	line = strstr(output, "service lookup overflowed");
	CHECK(line && strstr(line, "own\n"));
}

static void with_later_handler(void)
{
	struct gb__coro *coro;

	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_create(&coros, 0, overflows, NULL, &coro);
	signal(SIGSEGV, programs_own);
	gb__coro_discard(coro);
	gb__coros_destroy(&coros);
	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_create(&coros, 0, overflows, NULL, &coro);
	raise(SIGSEGV);
}

TEST(a_later_handler_stays)
{
	in_child(with_later_handler);
	CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 77);
}

static void overflow_in_a_grandchild(void)
{
	struct gb__coros own;
	struct gb__coro *coro;
	int status = 0;
	pid_t pid;

	gb__coros_init(&own, STACK_SIZE);
	gb__coro_create(&own, 0, overflows, NULL, &coro);
	pid = fork();
	if (pid == 0) {
		memset(&own, 0xff, sizeof(own)); /* a worker process has no use for it */
		overflow();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	gb__coro_discard(coro);
	gb__coros_destroy(&own);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}

TEST(a_child_reports_its_own)
{
	in_child(overflow_in_a_grandchild);
	check_crashed();
	CHECK(strstr(output, "service lookup overflowed"));
}

TEST(afterwards_everything_is_as_it_was)
{
	struct sigaction before, now;
	stack_t stack_before, stack;
	struct gb__coro *coro;

	sigaction(SIGSEGV, NULL, &before);
	sigaltstack(NULL, &stack_before);
	gb__coros_init(&coros, STACK_SIZE);
	CHECK_INT(gb__coro_create(&coros, 0, overflows, NULL, &coro), 0);
	sigaltstack(NULL, &stack);
	CHECK(!(stack.ss_flags & SS_DISABLE));
	gb__coro_discard(coro);
	gb__coros_destroy(&coros);
	sigaction(SIGSEGV, NULL, &now);
	CHECK(now.sa_handler == before.sa_handler);
	sigaltstack(NULL, &stack);
	CHECK((stack.ss_flags & SS_DISABLE) == (stack_before.ss_flags & SS_DISABLE));
}
