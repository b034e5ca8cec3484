/*
 * Two that take turns: each sends a token and waits until it comes back. On one CPU every turn is a context
 * switch; on two it is a wake-up across CPUs; over a socket it is a round trip.
 */
#include "doctor/bench.h"
#include "doctor/loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_BYTES 64u
#define TOKEN_TURN 1u /* as what an eventfd counts */
#define TOKEN_OVER 2u

/* How a row varies. */
enum {
	BY_PIPE = 0,
	BY_EVENTFD = 1,
	BY_LOOPBACK = 2,
	BY_MASK = 3,
	OTHER_IS_PROCESS = 4,
	OTHER_IS_ELSEWHERE = 8, /* on another CPU */
};

struct turns {
	const struct bench *bench;
	unsigned kind;
	size_t size;           /* of a token */
	int here[2], there[2]; /* each side's input and output; -1 when there is none */
	pthread_t thread;
	bool has_thread;
	pid_t child; /* 0: none */
};

static bool pass(int fd, uint64_t token, size_t size)
{
	unsigned char bytes[MESSAGE_BYTES] = { 0 };

	memcpy(bytes, &token, sizeof(token));
	return write(fd, bytes, size) == (ssize_t)size;
}

static bool await(int fd, size_t size, uint64_t *ret_token)
{
	unsigned char bytes[MESSAGE_BYTES];
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, bytes + used, size - used);

		if (got == 0 || (got < 0 && errno != EINTR))
			return false;
		used += got > 0 ? (size_t)got : 0;
	}
	memcpy(ret_token, bytes, sizeof(*ret_token));
	return true;
}

static void *answer(void *argument)
{
	const struct turns *turns = argument;
	uint64_t token;

	gb__bench_pin(turns->bench, turns->kind & OTHER_IS_ELSEWHERE ? 1 : 0);
	while (await(turns->there[0], turns->size, &token) && token == TOKEN_TURN &&
		pass(turns->there[1], token, turns->size))
		;
	return NULL;
}

static int start_process(struct bench *bench, struct turns *turns)
{
	pid_t parent = getpid();
	int code;

	turns->child = fork();
	if (turns->child < 0) {
		code = -errno;
		turns->child = 0;
		return code;
	}
	if (turns->child == 0) {
		/* Nothing is left over when this command is killed. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
			answer(turns);
		_exit(0);
	}
	bench->watch.has_helper = clock_getcpuclockid(turns->child, &bench->watch.helper) == 0;
	return 0;
}

static int start_other(struct bench *bench, struct turns *turns)
{
	int code;

	if (turns->kind & OTHER_IS_PROCESS)
		return start_process(bench, turns);
	code = -pthread_create(&turns->thread, NULL, answer, turns);
	turns->has_thread = code == 0;
	return code;
}

static int open_pipes(struct turns *turns)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0)
		return -errno;
	turns->there[0] = to[0];
	turns->here[1] = to[1];
	if (pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	turns->here[0] = from[0];
	turns->there[1] = from[1];
	return 0;
}

/* Both sides use the same two counters, so only one of them owns them. */
static int open_eventfds(struct turns *turns)
{
	turns->here[0] = eventfd(0, EFD_CLOEXEC);
	turns->here[1] = eventfd(0, EFD_CLOEXEC);
	if (turns->here[0] < 0 || turns->here[1] < 0)
		return -errno;
	turns->there[0] = turns->here[1];
	turns->there[1] = turns->here[0];
	return 0;
}

static int open_loopback(struct turns *turns)
{
	int pair[2], on = 1, code = gb__loopback_pair(pair);

	if (code < 0)
		return code;
	turns->here[0] = turns->here[1] = pair[0];
	turns->there[0] = turns->there[1] = pair[1];
	if (setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

static int open_ways(struct turns *turns)
{
	turns->size = sizeof(uint64_t);
	switch (turns->kind & BY_MASK) {
	case BY_EVENTFD:
		return open_eventfds(turns);
	case BY_LOOPBACK:
		turns->size = MESSAGE_BYTES;
		return open_loopback(turns);
	default:
		return open_pipes(turns);
	}
}

static int prepare(struct bench *bench, unsigned kind)
{
	struct turns *turns = calloc(1, sizeof(*turns));
	int code;

	if (!turns)
		return -ENOMEM;
	bench->state = turns;
	turns->bench = bench;
	turns->kind = kind;
	turns->here[0] = turns->here[1] = turns->there[0] = turns->there[1] = -1;
	code = open_ways(turns);
	if (code == 0)
		code = gb__bench_pin(bench, 0);
	if (code == 0)
		code = start_other(bench, turns);
	return code;
}

static int run(struct bench *bench, unsigned count)
{
	struct turns *turns = bench->state;
	uint64_t token;

	while (count-- > 0)
		if (!pass(turns->here[1], TOKEN_TURN, turns->size) ||
			!await(turns->here[0], turns->size, &token))
			return -EPIPE;
	return 0;
}

/* Close each descriptor once, whoever shares it. */
static void close_ways(const struct turns *turns)
{
	const int all[] = { turns->here[0], turns->here[1], turns->there[0], turns->there[1] };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		bool again = false;

		for (size_t j = 0; j < i; j++)
			again |= all[j] == all[i];
		if (all[i] >= 0 && !again)
			close(all[i]);
	}
}

static void finish(struct bench *bench)
{
	struct turns *turns = bench->state;

	if (!turns)
		return;
	bench->watch.has_helper = false;
	if (turns->has_thread || turns->child > 0)
		pass(turns->here[1], TOKEN_OVER, turns->size);
	if (turns->has_thread)
		pthread_join(turns->thread, NULL);
	if (turns->child > 0)
		while (waitpid(turns->child, NULL, 0) < 0 && errno == EINTR)
			;
	close_ways(turns);
	free(turns);
}

#define ROW(row_key, row_label, row_kind, row_parts) \
	{ \
		row_key, row_label, .kind = (row_kind), .parts = (row_parts), \
				    .two_cpus = ((row_kind)&OTHER_IS_ELSEWHERE) != 0, .prepare = prepare, \
				    .run = run, .finish = finish \
	}

const struct cost gb__costs_switch[] = {
	ROW("switch-process", "switch between processes (pipe, one CPU)", BY_PIPE | OTHER_IS_PROCESS, 2),
	ROW("switch-thread", "switch between threads (pipe, one CPU)", BY_PIPE, 2),
	ROW("wake-pipe", "wake a thread by pipe, two CPUs", BY_PIPE | OTHER_IS_ELSEWHERE, 2),
	ROW("wake-eventfd", "wake a thread by eventfd, two CPUs", BY_EVENTFD | OTHER_IS_ELSEWHERE, 2),
	ROW("loopback-one-cpu", "loopback round trip of 64 bytes, one CPU", BY_LOOPBACK, 1),
	ROW("loopback-two-cpus", "loopback round trip of 64 bytes, two CPUs",
		BY_LOOPBACK | OTHER_IS_ELSEWHERE, 1),
	{ NULL },
};
