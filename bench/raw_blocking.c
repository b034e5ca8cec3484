/*
 * The yardsticks for the blocking models: each as it is written by hand, with recv and send and nothing else. No
 * timeouts, no limits, no statistics; nothing interrupts a connection but its peer.
 *
 *   raw_blocking MODEL [PORT]            iterative, thread, fork
 *   raw_blocking MODEL WORKERS [PORT]    prefork, prethread, thread-pool, process-pool
 */
#include "raw_listen.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BUFFER_SIZE = 16 * 1024, /* on the stack of who serves: only what a message fills is touched */
	STACK_SIZE = 64 * 1024,  /* of a thread */
	WORKERS_MAX = 4096,
	QUEUE_SIZE = 1024, /* accepted connections that wait for a thread of the pool */
};

static int listener;

static bool send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		data += sent;
		size -= (size_t)sent;
	}
	return true;
}

/* A connection from its first byte to its end. */
static void serve(int fd)
{
	char buffer[BUFFER_SIZE];
	ssize_t received;

	do
		received = recv(fd, buffer, sizeof buffer, 0);
	while ((received < 0 && errno == EINTR) || (received > 0 && send_all(fd, buffer, (size_t)received)));
	close(fd);
}

/* The next connection. Where descriptors or memory have run out, others have to leave first. */
static int next_connection(void)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			usleep(1000);
		else if (errno != EINTR && errno != ECONNABORTED)
			err(1, "accept");
	}
}

static void __attribute__((noreturn)) iterate(void)
{
	for (;;)
		serve(next_connection());
}

/* ---- threads ---- */

static void start_thread(void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, run, argument);
	if (error)
		errx(1, "pthread_create: %s", strerror(error));
	pthread_attr_destroy(&attributes);
}

static void *serve_one(void *argument)
{
	serve((int)(long)argument);
	return NULL;
}

static void __attribute__((noreturn)) thread_per_connection(void)
{
	for (;;)
		start_thread(serve_one, (void *)(long)next_connection());
}

static void *iterate_thread(void *argument)
{
	(void)argument;
	iterate();
}

static void __attribute__((noreturn)) prethread(unsigned workers)
{
	for (unsigned i = 1; i < workers; i++)
		start_thread(iterate_thread, NULL);
	iterate();
}

static struct {
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied;
	int fds[QUEUE_SIZE];
	unsigned first, count;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.filled = PTHREAD_COND_INITIALIZER,
	.emptied = PTHREAD_COND_INITIALIZER };

static void queue_put(int fd)
{
	pthread_mutex_lock(&queue.lock);
	while (queue.count == QUEUE_SIZE)
		pthread_cond_wait(&queue.emptied, &queue.lock);
	queue.fds[(queue.first + queue.count++) % QUEUE_SIZE] = fd;
	pthread_mutex_unlock(&queue.lock);
	pthread_cond_signal(&queue.filled);
}

static int queue_take(void)
{
	int fd;

	pthread_mutex_lock(&queue.lock);
	while (queue.count == 0)
		pthread_cond_wait(&queue.filled, &queue.lock);
	fd = queue.fds[queue.first];
	queue.first = (queue.first + 1) % QUEUE_SIZE;
	if (queue.count-- == QUEUE_SIZE)
		pthread_cond_signal(&queue.emptied);
	pthread_mutex_unlock(&queue.lock);
	return fd;
}

static void *__attribute__((noreturn)) serve_queue(void *argument)
{
	(void)argument;
	for (;;)
		serve(queue_take());
}

static void __attribute__((noreturn)) thread_pool(unsigned workers)
{
	for (unsigned i = 0; i < workers; i++)
		start_thread(serve_queue, NULL);
	for (;;)
		queue_put(next_connection());
}

/* ---- processes ---- */

static void reap(int signal)
{
	int kept = errno;

	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = kept;
}

/* As fork; a child ends with its parent. */
static pid_t start_process(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(1);
	return child;
}

static void __attribute__((noreturn)) process_per_connection(void)
{
	struct sigaction action = { .sa_handler = reap, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

	if (sigaction(SIGCHLD, &action, NULL) < 0)
		err(1, "sigaction");
	for (;;) {
		int fd = next_connection();

		if (start_process() == 0) {
			close(listener);
			serve(fd);
			_exit(0);
		}
		close(fd); /* where it cannot fork, too: the client sees the end */
	}
}

static void __attribute__((noreturn)) prefork(unsigned workers)
{
	for (unsigned i = 0; i < workers; i++) {
		pid_t child = start_process();

		if (child < 0)
			err(1, "fork");
		if (child == 0)
			iterate();
	}
	for (;;)
		pause();
}

/* A message of one byte with the descriptor beside it (unix(7), SCM_RIGHTS). */
struct parcel {
	struct msghdr header;
	struct iovec part;
	char byte;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
};

static void parcel_init(struct parcel *parcel)
{
	memset(parcel, 0, sizeof *parcel);
	parcel->part = (struct iovec){ &parcel->byte, 1 };
	parcel->header = (struct msghdr){ .msg_iov = &parcel->part,
		.msg_iovlen = 1,
		.msg_control = &parcel->control,
		.msg_controllen = sizeof parcel->control };
}

static void pass(int channel, int fd)
{
	struct parcel parcel;
	struct cmsghdr *control;

	parcel_init(&parcel);
	control = CMSG_FIRSTHDR(&parcel.header);
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(control), &fd, sizeof fd);
	while (sendmsg(channel, &parcel.header, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			err(1, "sendmsg");
	close(fd);
}

static int take_passed(int channel)
{
	struct parcel parcel;
	ssize_t received;
	int fd;

	parcel_init(&parcel);
	do
		received = recvmsg(channel, &parcel.header, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received <= 0 || !CMSG_FIRSTHDR(&parcel.header))
		_exit(received != 0);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&parcel.header)), sizeof fd);
	return fd;
}

static void __attribute__((noreturn)) process_pool(unsigned workers)
{
	int ends[2];

	/* One pair that all share: whoever is free takes the next. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		err(1, "socketpair");
	for (unsigned i = 0; i < workers; i++) {
		pid_t child = start_process();

		if (child < 0)
			err(1, "fork");
		if (child > 0)
			continue;
		close(listener);
		close(ends[0]);
		for (;;)
			serve(take_passed(ends[1]));
	}
	close(ends[1]);
	for (;;)
		pass(ends[0], next_connection());
}

/* ---- */

static const struct model {
	const char *name;
	void (*run)(void);                     /* either */
	void (*run_workers)(unsigned workers); /* or */
} models[] = {
	{ .name = "iterative", .run = iterate },
	{ .name = "thread", .run = thread_per_connection },
	{ .name = "fork", .run = process_per_connection },
	{ .name = "prefork", .run_workers = prefork },
	{ .name = "prethread", .run_workers = prethread },
	{ .name = "thread-pool", .run_workers = thread_pool },
	{ .name = "process-pool", .run_workers = process_pool },
};

static const struct model *find_model(const char *name)
{
	for (size_t i = 0; i < sizeof models / sizeof *models; i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i];
	errx(2, "there is no model %s", name);
}

int main(int argc, char **argv)
{
	const struct model *model;
	unsigned long workers = 0;
	size_t fds_max;

	if (argc < 2)
		errx(2, "usage: %s MODEL [WORKERS] [PORT]", argv[0]);
	model = find_model(argv[1]);
	if (model->run_workers) {
		workers = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
		if (workers < 1 || workers > WORKERS_MAX)
			errx(2, "%s: 1 to %d workers", model->name, WORKERS_MAX);
		argc--;
		argv++;
	}
	listener = raw_listen(argc - 1, argv + 1, 0, &fds_max);
	raw_announce(listener);
	if (model->run)
		model->run();
	else if (model->run_workers)
		model->run_workers((unsigned)workers);
	return 1;
}
