/* The life of a ring: waits and what ends them, threads, children, closing. */
#include "engine/ring/io_uring_test_driver.h"

#include "base/macros.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_alarm(int number)
{
	(void)number;
}

TEST(a_wait_ends_on_time_and_on_signals)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct sigaction action = { .sa_handler = on_alarm };
	struct gb__completion completion;
	struct itimerspec every = { { 0, 10000000 }, { 0, 10000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct timespec before, after;
	timer_t timer;
	int pair[2];

	socket_pair(pair);
	CHECK_INT(ops->poll(ring, pair[0], POLLIN, 1), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK_INT(ops->wait(ring, &completion, 1, 20000000), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK((after.tv_sec - before.tv_sec) * SECOND_NS + after.tv_nsec - before.tv_nsec >= 20000000);
	sigaction(SIGALRM, &action, NULL);
	CHECK_INT(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	CHECK_INT(timer_settime(timer, 0, &every, NULL), 0);
	CHECK_INT(ops->wait(ring, &completion, 1, -1), 0);
	CHECK_INT(ops->wait(ring, &completion, 1, PATIENCE_NS), 0);
	timer_delete(timer);
	ops->destroy(ring);
}

TEST(its_descriptors_do_not_survive_exec)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned rings = 0;

	CHECK(folder);
	while ((entry = readdir(folder))) {
		char path[64], target[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", entry->d_name);
		if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "io_uring"))
			continue;
		rings++;
		CHECK(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC);
	}
	CHECK_INT(rings, 1);
	closedir(folder);
	ops->destroy(ring);
}

static long mapped_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "VmSize: %ld", &kib);
	fclose(file);
	return kib;
}

static void come_and_go(const struct gb__ring_options *options)
{
	struct gb__ring *ring = create(options);

	if (ops->features(ring) & GB__RING_BULK)
		CHECK_INT(ops->bulk_start(ring), 0);
	ops->destroy(ring);
}

/* Large pages are had by mapping more than is needed and giving the rest back. */
TEST(rings_that_come_and_go_leave_nothing_mapped)
{
	struct gb__ring_options options = defaults();
	long first, last;

	come_and_go(&options); /* what a process has once */
	first = mapped_kib();
	for (int i = 0; i < 64; i++)
		come_and_go(&options);
	last = mapped_kib();
	CHECK(last - first < 64 * 1024); /* half a page each; a sanitizer keeps some of what was freed */
}

TEST(a_forked_child_lets_go_without_disturbing_the_parent)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct gb__completion completion;
	int pair[2], status;
	pid_t child;

	socket_pair(pair);
	CHECK_INT(ops->poll(ring, pair[0], POLLIN, 1), 0);
	CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		ops->destroy(ring);
		_exit(0);
	}
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK_INT(status, 0);
	CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
	CHECK_INT(write(pair[1], "x", 1), 1);
	completion = next(ring);
	CHECK_INT(completion.token, 1);
	CHECK(completion.result & POLLIN);
	ops->destroy(ring);
}

static void *run_elsewhere(void *argument)
{
	struct gb__ring *ring = argument;
	int pair[2];

	socket_pair(pair);
	CHECK_INT(ops->poll(ring, pair[0], POLLOUT, 1), 0);
	CHECK(next(ring).result & POLLOUT);
	close(pair[0]);
	close(pair[1]);
	return NULL;
}

TEST(may_be_made_by_one_thread_and_run_by_another)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, run_elsewhere, ring), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	ops->destroy(ring);
}

static unsigned features_of_kernel(void)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	unsigned features = ops->features(ring);

	ops->destroy(ring);
	return features;
}

TEST(a_mask_takes_features_away)
{
	static const unsigned features[] = { GB__RING_MULTISHOT_ACCEPT, GB__RING_MULTISHOT_RECV,
		GB__RING_PROVIDED_BUFFERS, GB__RING_DEFER_TASKRUN, GB__RING_SINGLE_ISSUER, GB__RING_MESSAGES,
		GB__RING_BULK };
	unsigned all = features_of_kernel();

	for (size_t i = 0; i < gb__countof(features); i++) {
		struct gb__ring_options options = defaults();
		struct gb__ring *ring;

		options.mask = features[i];
		ring = create(&options);
		CHECK(!(ops->features(ring) & features[i]));
		CHECK(!(ops->features(ring) & ~all));
		run_elsewhere(ring);
		ops->destroy(ring);
	}
}

TEST(closes_with_the_next_wait_and_says_so_only_on_a_failure)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct gb__completion completion;
	char byte;
	int pair[2], code;

	socket_pair(pair);
	CHECK_INT(ops->close(ring, pair[0], 7), 0);
	CHECK(fcntl(pair[0], F_GETFD) >= 0);
	code = ops->wait(ring, &completion, 1, 0);
	CHECK(fcntl(pair[0], F_GETFD) < 0);
	CHECK_INT(read(pair[1], &byte, 1), 0);
	if (code == 1) { /* a kernel before Linux 5.17 */
		CHECK_INT(completion.token, 7);
		CHECK_INT(completion.result, 0);
	}
	CHECK_INT(ops->close(ring, pair[0], 8), 0);
	completion = next(ring);
	CHECK_INT(completion.token, 8);
	CHECK_INT(completion.result, -EBADF);
	close(pair[1]);
	ops->destroy(ring);
}

static void *wake_it(void *ring)
{
	return (void *)(intptr_t)ops->wake(ring, 9);
}

TEST(a_message_from_any_thread_ends_a_wait)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct gb__completion completion;
	pthread_t thread;
	void *result;

	if (ops->features(ring) & GB__RING_MESSAGES) {
		CHECK(ops->wake(ring, 8) < 0); /* nobody has entered it yet */
		CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
		CHECK_INT(pthread_create(&thread, NULL, wake_it, ring), 0);
		completion = next(ring);
		CHECK_INT(pthread_join(thread, &result), 0);
		CHECK((intptr_t)result == 0);
		CHECK_INT(completion.token, 9);
		CHECK_INT(completion.flags & (GB__COMPLETION_BUFFER | GB__COMPLETION_MORE), 0);
	} else {
		fprintf(stderr, "SKIPPED: this kernel has no messages to rings\n");
	}
	ops->destroy(ring);
}
