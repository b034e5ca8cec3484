/* Runs every registered test in a child of its own; prints "N passed, N failed" last. */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECONDS_MAX 120u
#define TOGETHER 4u /* tests */
#define TOGETHER_MAX 64u
#define SIDE_BY_SIDE 4u /* calls in one of them */

static struct test *first, **last = &first;
static uint64_t seed;

void test_register(struct test *test)
{
	*last = test;
	last = &test->next;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (TEST_SEED=%llu)\n", (unsigned long long)seed);
	fflush(NULL);
	_exit(1);
}

uint64_t test_seed(void)
{
	return seed;
}

uint64_t test_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* TEST_SECONDS: another bound on each test's time. */
static unsigned seconds_max(void)
{
	const char *given = getenv("TEST_SECONDS");

	return given ? (unsigned)strtoul(given, NULL, 0) : TEST_SECONDS_MAX;
}

/* Its share of them, one after another. */
static _Noreturn void run_share(
	void (*run)(const char *name), const char *const *names, size_t count, size_t at, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (; at < count; at += SIDE_BY_SIDE)
		run(names[at]);
	exit(0);
}

void test_side_by_side(void (*run)(const char *name), const char *const *names, size_t count)
{
	const pid_t parent = getpid();
	pid_t children[SIDE_BY_SIDE];
	size_t failed = 0;

	if (getenv("TEST_SAME_PROCESS")) {
		for (size_t i = 0; i < count; i++)
			run(names[i]);
		return;
	}
	fflush(NULL);
	for (size_t i = 0; i < SIDE_BY_SIDE && i < count; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (children[i] == 0)
			run_share(run, names, count, i, parent);
	}
	for (size_t i = 0; i < SIDE_BY_SIDE && i < count; i++) {
		int status;

		while (waitpid(children[i], &status, 0) < 0)
			CHECK_INT(errno, EINTR);
		if (status == 0)
			continue;
		failed++;
		fprintf(stderr, "of those side by side one ended with status %d; it ran", status);
		for (size_t j = i; j < count; j += SIDE_BY_SIDE)
			fprintf(stderr, " %s", names[j]);
		fputc('\n', stderr);
	}
	CHECK_INT(failed, 0);
}

/* Tests run beside each other: mostly they wait. */
struct running {
	const struct test *test; /* NULL: none */
	pid_t pid;
	struct timespec begun;
};
static struct running running[TOGETHER_MAX];
static unsigned together, passed, failed;

static void begin(const struct test *test)
{
	struct running *place = running;

	while (place->test)
		place++;
	*place = (struct running){ .test = test };
	clock_gettime(CLOCK_MONOTONIC, &place->begun);
	fflush(NULL);
	place->pid = fork();
	if (place->pid < 0) {
		perror("fork");
		exit(1);
	}
	if (place->pid == 0) {
		alarm(seconds_max());
		test->run();
		exit(0); /* not _exit: a leak checker looks when the program ends */
	}
	together++;
}

static void judge(const struct running *place, int status)
{
	const char *name = place->test->name;
	struct timespec now;

	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: ended by signal %d%s (TEST_SEED=%llu)\n", name, WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? ", out of time" : "", (unsigned long long)seed);
	if (getenv("TEST_VERBOSE")) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		printf("%.3f s  %s\n",
			(double)(now.tv_sec - place->begun.tv_sec) +
				(double)(now.tv_nsec - place->begun.tv_nsec) / 1e9,
			name);
	}
	if (status == 0) {
		passed++;
		return;
	}
	fprintf(stderr, "FAILED %s\n", name);
	failed++;
}

/* Until one of them has ended. */
static void await_one(void)
{
	struct running *place = running;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) < 0)
		if (errno != EINTR)
			abort();
	while (place < running + TOGETHER_MAX && (!place->test || place->pid != pid))
		place++;
	if (place == running + TOGETHER_MAX)
		return; /* an orphan that came to us */
	judge(place, status);
	place->test = NULL;
	together--;
}

static bool is_wanted(const struct test *test, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], test->name) == 0)
			return true;
	return argc < 2;
}

/* Arguments: names of tests to run; none runs all. TEST_SAME_PROCESS=1 runs without children, for debuggers;
 * TEST_TOGETHER: so many at the same time; TEST_STOP=1 ends at the first failure, for those who only want to know
 * whether there is one; TEST_VERBOSE=1 says how long each took. */
int main(int argc, char **argv)
{
	const char *given = getenv("TEST_SEED"), *most = getenv("TEST_TOGETHER");
	unsigned together_max = most ? (unsigned)strtoul(most, NULL, 0) : TOGETHER;
	struct timespec now;

	if (together_max < 1 || together_max > TOGETHER_MAX)
		together_max = TOGETHER;
	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	for (const struct test *test = first; test; test = test->next) {
		if (!is_wanted(test, argc, argv))
			continue;
		if (getenv("TEST_SAME_PROCESS")) {
			test->run();
			passed++;
			continue;
		}
		while (together >= together_max)
			await_one();
		if (failed && getenv("TEST_STOP"))
			break;
		begin(test);
	}
	while (together > 0)
		await_one();
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed ? 1 : 0;
}
