/* Runs every registered test in a child of its own; prints "N passed, N failed" last. */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECONDS_MAX 120u

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

static bool run_in_child(const struct test *test)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return false;
	}
	if (pid == 0) {
		alarm(seconds_max());
		test->run();
		exit(0); /* not _exit: a leak checker looks when the program ends */
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: ended by signal %d%s (TEST_SEED=%llu)\n", test->name, WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? ", out of time" : "", (unsigned long long)seed);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Arguments: names of tests to run; none runs all. TEST_SAME_PROCESS=1 runs without children, for debuggers;
 * TEST_STOP=1 ends at the first failure, for those who only want to know whether there is one. */
int main(int argc, char **argv)
{
	const char *given = getenv("TEST_SEED");
	unsigned passed = 0, failed = 0;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	for (const struct test *test = first; test; test = test->next) {
		bool wanted = argc < 2;

		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], test->name) == 0;
		if (!wanted)
			continue;
		if (getenv("TEST_SAME_PROCESS")) {
			test->run();
			passed++;
		} else if (run_in_child(test)) {
			passed++;
		} else {
			fprintf(stderr, "FAILED %s\n", test->name);
			failed++;
			if (getenv("TEST_STOP"))
				break;
		}
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed ? 1 : 0;
}
