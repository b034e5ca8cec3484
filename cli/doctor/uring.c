/*
 * Features are tried on a throw-away ring with a socket pair, one after the other; one that fails leaves
 * the rest as they are. A filter of a container answers EPERM or ENOSYS, one of systemd kills: hence a child.
 */
#include "doctor/uring.h"
#include "doctor/loopback.h"

#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRIES 8u
#define GROUP 1
#define BUFFERS 4u
#define PATIENCE_SECONDS 5
#define CHILD_SECONDS 30u /* a bound on all of it */

/* Newer than the liburing of Debian 12. */
#define REGISTER_SEND_MSG_RING 31u /* IORING_REGISTER_SEND_MSG_RING, Linux 6.13 */
#define OPERATION_PIPE 62u         /* IORING_OP_PIPE, Linux 6.16 */

enum { TOKEN_ACCEPT = 1, TOKEN_RECV, TOKEN_SEND, TOKEN_MESSAGE };

/* The next completion with this token, waited for as long as asked. */
static bool next(struct io_uring *ring, uint64_t token, int seconds, struct io_uring_cqe *ret)
{
	struct __kernel_timespec time = { .tv_sec = seconds };
	struct io_uring_cqe *entry;

	do {
		if (io_uring_wait_cqe_timeout(ring, &entry, &time) < 0)
			return false;
		*ret = *entry;
		io_uring_cqe_seen(ring, entry);
	} while (ret->user_data != token); /* late news of an earlier one */
	return true;
}

static bool submit(struct io_uring *ring, struct io_uring_sqe *operation, uint64_t token)
{
	operation->user_data = token;
	return io_uring_submit(ring) == 1;
}

static bool takes_flags(unsigned flags)
{
	struct io_uring ring;

	if (io_uring_queue_init(ENTRIES, &ring, flags) < 0)
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

static void try_accept(struct io_uring *ring, unsigned *features)
{
	/* Without a path Linux chooses an abstract name (unix(7)): nobody's address is needed. */
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(name);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct io_uring_cqe result;
	struct io_uring_sqe *operation;

	if (listener >= 0 && client >= 0 &&
		bind(listener, (struct sockaddr *)&name, sizeof(name.sun_family)) == 0 &&
		listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&name, &size) == 0 &&
		connect(client, (struct sockaddr *)&name, size) == 0) {
		operation = io_uring_get_sqe(ring);
		io_uring_prep_multishot_accept(operation, listener, NULL, NULL, SOCK_CLOEXEC);
		if (submit(ring, operation, TOKEN_ACCEPT) &&
			next(ring, TOKEN_ACCEPT, PATIENCE_SECONDS, &result) && result.res >= 0) {
			close(result.res);
			if (result.flags & IORING_CQE_F_MORE)
				*features |= URING_MULTISHOT_ACCEPT;
		}
	}
	if (listener >= 0)
		close(listener);
	if (client >= 0)
		close(client);
}

static bool receive(struct io_uring *ring, int fd, unsigned options)
{
	struct io_uring_sqe *operation = io_uring_get_sqe(ring);

	io_uring_prep_recv(operation, fd, NULL, 0, 0);
	operation->ioprio |= (uint16_t)options;
	operation->flags |= IOSQE_BUFFER_SELECT;
	operation->buf_group = GROUP;
	return submit(ring, operation, TOKEN_RECV);
}

/* What arrives with buffers of a ring: once, again and again, and with the end of the stream. */
static void try_receive_into(struct io_uring *ring, const int *pair, unsigned *features)
{
	const unsigned going_on = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
	struct io_uring_cqe result;

	if (!receive(ring, pair[0], 0) || send(pair[1], "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1 ||
		!next(ring, TOKEN_RECV, PATIENCE_SECONDS, &result) || result.res != 1 ||
		!(result.flags & IORING_CQE_F_BUFFER))
		return;
	*features |= URING_PROVIDED_BUFFERS;
	if (!receive(ring, pair[0], IORING_RECV_MULTISHOT) ||
		send(pair[1], "b", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1 || shutdown(pair[1], SHUT_WR) < 0 ||
		!next(ring, TOKEN_RECV, PATIENCE_SECONDS, &result) || result.res != 1 ||
		(result.flags & going_on) != going_on)
		return;
	*features |= URING_MULTISHOT_RECV;
	if (next(ring, TOKEN_RECV, 0, &result) && result.res == 0 && !(result.flags & IORING_CQE_F_MORE))
		*features |= URING_MULTISHOT_END;
}

static void try_receive(struct io_uring *ring, unsigned *features)
{
	char bytes[BUFFERS];
	const size_t size = BUFFERS * sizeof(struct io_uring_buf);
	struct io_uring_buf_reg registration = { .ring_entries = BUFFERS, .bgid = GROUP };
	struct io_uring_buf_ring *buffers =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pair[2];

	if (buffers == MAP_FAILED)
		return;
	registration.ring_addr = (uintptr_t)buffers;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		if (io_uring_register_buf_ring(ring, &registration, 0) == 0) {
			io_uring_buf_ring_init(buffers);
			for (unsigned i = 0; i < BUFFERS; i++)
				io_uring_buf_ring_add(buffers, &bytes[i], 1, (unsigned short)i,
					io_uring_buf_ring_mask(BUFFERS), (int)i);
			io_uring_buf_ring_advance(buffers, BUFFERS);
			try_receive_into(ring, pair, features);
			io_uring_unregister_buf_ring(ring, GROUP);
		}
		close(pair[0]);
		close(pair[1]);
	}
	munmap(buffers, size);
}

/* Zero-copy exists for internet sockets only: a connection over loopback. */
static void try_send_zerocopy(struct io_uring *ring, unsigned *features)
{
	static const char bytes[64];
	struct io_uring_sqe *operation;
	struct io_uring_cqe result;
	int pair[2];

	if (gb__loopback_pair(pair) < 0)
		return;
	operation = io_uring_get_sqe(ring);
	io_uring_prep_send_zc(operation, pair[0], bytes, sizeof(bytes), MSG_NOSIGNAL, 0);
	if (submit(ring, operation, TOKEN_SEND) && next(ring, TOKEN_SEND, PATIENCE_SECONDS, &result) &&
		result.res == (int)sizeof(bytes))
		*features |= URING_SEND_ZEROCOPY;
	close(pair[0]);
	close(pair[1]);
}

/*
 * A message from a thread that needs no ring for it (Linux 6.13), where the kernel frees it right: since Linux 6.16,
 * which is known by its operations (CVE-2025-38453).
 */
static void try_message(struct io_uring *ring, unsigned *features)
{
	struct io_uring_probe *known = io_uring_get_probe_ring(ring);
	struct io_uring_sqe message = { 0 };
	struct io_uring_cqe result;

	io_uring_prep_msg_ring(&message, ring->ring_fd, 7, TOKEN_MESSAGE, 0);
	if (known && known->last_op >= OPERATION_PIPE &&
		io_uring_register((unsigned)-1, REGISTER_SEND_MSG_RING, &message, 1) == 0 &&
		next(ring, TOKEN_MESSAGE, PATIENCE_SECONDS, &result) && result.res == 7)
		*features |= URING_MSG_RING;
	io_uring_free_probe(known);
}

static void probe(struct gb__uring_probe *ret)
{
	struct io_uring ring;

	ret->code = io_uring_queue_init(ENTRIES, &ring, 0);
	if (ret->code < 0)
		return;
	if (takes_flags(IORING_SETUP_SINGLE_ISSUER))
		ret->features |= URING_SINGLE_ISSUER;
	if (takes_flags(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN))
		ret->features |= URING_DEFER_TASKRUN;
	try_accept(&ring, &ret->features);
	try_receive(&ring, &ret->features);
	try_send_zerocopy(&ring, &ret->features);
	try_message(&ring, &ret->features);
	io_uring_queue_exit(&ring);
}

static _Noreturn void run_child(int out)
{
	struct gb__uring_probe result = { 0 };

	prctl(PR_SET_DUMPABLE, 0); /* no core file of one that was killed */
	signal(SIGALRM, SIG_DFL);
	alarm(CHILD_SECONDS);
	probe(&result);
	_exit(write(out, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}

int gb__uring_probe(struct gb__uring_probe *ret)
{
	struct gb__uring_probe result = { 0 };
	int ends[2], status = 0, code;
	ssize_t got;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		code = -errno;
		close(ends[0]);
		close(ends[1]);
		return code;
	}
	if (child == 0)
		run_child(ends[1]);
	close(ends[1]);
	do {
		got = read(ends[0], &result, sizeof(result));
	} while (got < 0 && errno == EINTR);
	close(ends[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (got == (ssize_t)sizeof(result)) {
		*ret = result;
		return 0;
	}
	*ret = (struct gb__uring_probe){ .code = -EINTR,
		.signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };
	return 0;
}
