#include "os/forker.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "os/os.h"
#include "os/process.h"
#include "os/signal.h"
#include "os/socket.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define END_MS 1000u   /* for processes that do not end although told to */
#define RETRY_MS 1000u /* where a fork has failed */
#define NEVER UINT64_MAX

enum order_kind { LAUNCH, KILL };

struct order {
	enum order_kind kind;
	unsigned index, delay_ms;
};

/* The forker's own. */
struct nursery {
	const struct gb__forker_ops *ops;
	void *arg;
	int control, ended_fd; /* the latter readable: a child has ended, perhaps */
	unsigned count, untold;
	bool killed;
	struct child {
		pid_t pid; /* 0: it does not run */
		uint64_t launch_ms;
		int status;  /* of its end, */
		bool untold; /* of which the server knows nothing yet */
	} children[];
};

static void on_child(void *arg)
{
	const struct nursery *nursery = arg;

	gb__os_linux.ops->event_signal(&gb__os_linux, nursery->ended_fd);
}

/* Returns false, without waiting, when there is no room now. */
static bool send_whole(int control, const void *packet, size_t size, int flags)
{
	ssize_t sent;

	do
		sent = send(control, packet, size, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0 || errno != EAGAIN;
}

void gb__forker_started(int control, unsigned index, const struct gb_error *error)
{
	const struct gb__forker_news news = { .kind = GB__FORKER_STARTED, .index = index, .error = *error };

	send_whole(control, &news, sizeof(news), 0);
}

/* Signals of a terminal, or of who ends a whole group, are the server's, which still needs its pool. */
static void quiet(void)
{
	gb__signal_quiet(SIGINT);
	gb__signal_quiet(SIGTERM);
}

static void launch(struct nursery *nursery, unsigned index)
{
	struct child *child = &nursery->children[index];
	pid_t pid;

	child->launch_ms = NEVER;
	gb__signal_hold();
	pid = gb__process_fork();
	if (pid == 0) {
		quiet();
		gb__signal_release();
		gb__socket_close(nursery->ended_fd);
		nursery->ops->serve(nursery->arg, index, nursery->control);
		gb__process_end(0);
	}
	gb__signal_release();
	if (pid > 0)
		child->pid = pid;
	else
		child->launch_ms = gb__os_now_ms(&gb__os_linux) + RETRY_MS;
}

/* Returns how many are left. */
static unsigned reap(struct nursery *nursery)
{
	unsigned left = 0;

	for (unsigned i = 0; i < nursery->count; i++) {
		struct child *child = &nursery->children[i];

		if (child->pid > 0 && gb__process_reap(child->pid, &child->status) != 0) {
			child->pid = 0;
			child->untold = true;
			nursery->untold++;
		}
		left += child->pid > 0;
	}
	return left;
}

/* As far as there is room. The forker never waits in a send: the server, which may, counts on its orders being taken. */
static void tell(struct nursery *nursery)
{
	for (unsigned i = 0; i < nursery->count && nursery->untold > 0; i++) {
		struct child *child = &nursery->children[i];
		const struct gb__forker_news news = {
			.kind = GB__FORKER_ENDED, .index = i, .status = child->status
		};

		if (!child->untold)
			continue;
		if (!send_whole(nursery->control, &news, sizeof(news), MSG_DONTWAIT))
			return;
		child->untold = false;
		nursery->untold--;
	}
}

static void kill_all(const struct nursery *nursery)
{
	for (unsigned i = 0; i < nursery->count; i++)
		if (nursery->children[i].pid > 0)
			gb__process_signal(nursery->children[i].pid, SIGKILL);
}

/* Those who are due. Returns how long until the next, or -1. */
static int launch_due(struct nursery *nursery)
{
	uint64_t now_ms = gb__os_now_ms(&gb__os_linux), next_ms = NEVER;

	for (unsigned i = 0; i < nursery->count && !nursery->killed; i++) {
		if (nursery->children[i].launch_ms <= now_ms)
			launch(nursery, i);
		next_ms = gb__min(next_ms, nursery->children[i].launch_ms);
	}
	return next_ms == NEVER ? -1 : (int)(next_ms - gb__min(next_ms, now_ms));
}

/* Returns false once the server wants no more. */
static bool obey(struct nursery *nursery)
{
	struct order order;
	ssize_t got = recv(nursery->control, &order, sizeof(order), MSG_DONTWAIT);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got != (ssize_t)sizeof(order))
		return false;
	if (order.kind == KILL) {
		nursery->killed = true;
		kill_all(nursery);
	} else if (order.index < nursery->count) {
		nursery->children[order.index].launch_ms = gb__os_now_ms(&gb__os_linux) + order.delay_ms;
	}
	return true;
}

static void wait_for(const struct nursery *nursery, bool orders, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = nursery->ended_fd, .events = POLLIN },
		{ .fd = orders ? nursery->control : -1,
			.events = (short)(POLLIN | (nursery->untold > 0 ? POLLOUT : 0)) } };

	if (poll(fds, 2, timeout_ms) > 0 && fds[0].revents)
		gb__os_linux.ops->event_clear(&gb__os_linux, nursery->ended_fd);
}

_Noreturn static void forker_main(struct nursery *nursery)
{
	uint64_t end_ms;

	quiet();
	nursery->ended_fd = gb__os_linux.ops->event_create(&gb__os_linux);
	if (nursery->ended_fd < 0 || gb__signal_subscribe(SIGCHLD, on_child, nursery) < 0)
		gb__process_end(1);
	gb__signal_release();
	nursery->ops->begin(nursery->arg);
	do {
		int timeout_ms = launch_due(nursery);

		wait_for(nursery, true, timeout_ms);
		reap(nursery);
		tell(nursery);
	} while (obey(nursery));
	nursery->ops->end(nursery->arg);
	end_ms = gb__os_now_ms(&gb__os_linux) + END_MS;
	while (reap(nursery) > 0) {
		uint64_t now_ms = gb__os_now_ms(&gb__os_linux);

		if (now_ms >= end_ms)
			kill_all(nursery);
		wait_for(nursery, false, now_ms >= end_ms ? -1 : (int)(end_ms - now_ms));
	}
	gb__process_end(0);
}

int gb__forker_start(struct gb__forker *forker, unsigned count, const struct gb__forker_ops *ops, void *arg,
	struct gb_error *error)
{
	struct nursery *nursery = gb__alloc_zero(sizeof(*nursery) + count * sizeof(nursery->children[0]));
	int ends[2], result = 0;
	pid_t pid;

	if (!nursery || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		result = nursery ? -errno : -ENOMEM;
		gb__free(nursery);
		return gb_error_set(error, result, "cannot make the compute pool: %s", gb_strerror(result));
	}
	nursery->ops = ops;
	nursery->arg = arg;
	nursery->count = count;
	nursery->control = ends[1];
	for (unsigned i = 0; i < count; i++)
		nursery->children[i].launch_ms = NEVER;
	gb__signal_hold();
	pid = gb__process_fork();
	if (pid == 0) {
		gb__socket_close(ends[0]);
		forker_main(nursery);
	}
	gb__signal_release();
	gb__socket_close(ends[1]);
	gb__free(nursery);
	if (pid < 0) {
		gb__socket_close(ends[0]);
		return gb_error_set(error, pid,
			"cannot start the processes of the compute pool: %s; see `ulimit -u`",
			gb_strerror(pid));
	}
	forker->pid = pid;
	forker->control = ends[0];
	return 0;
}

static void order(struct gb__forker *forker, struct order order)
{
	send_whole(forker->control, &order, sizeof(order), 0);
}

void gb__forker_launch(struct gb__forker *forker, unsigned index, unsigned delay_ms)
{
	order(forker, (struct order){ LAUNCH, index, delay_ms });
}

void gb__forker_kill(struct gb__forker *forker)
{
	order(forker, (struct order){ .kind = KILL });
}

bool gb__forker_receive(struct gb__forker *forker, bool wait, struct gb__forker_news *ret)
{
	ssize_t got;

	do
		got = recv(forker->control, ret, sizeof(*ret), wait ? 0 : MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got != (ssize_t)sizeof(*ret))
		*ret = (struct gb__forker_news){ .kind = GB__FORKER_GONE };
	return true;
}

void gb__forker_finish(struct gb__forker *forker)
{
	if (!forker->pid)
		return;
	shutdown(forker->control, SHUT_RDWR); /* a handler's child may have a copy */
	gb__socket_close(forker->control);
	gb__process_await(forker->pid);
	forker->pid = 0;
}
