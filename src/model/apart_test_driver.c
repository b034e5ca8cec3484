#include "model/apart_test_driver.h"

#include <errno.h>
#include <gearbox/coro.h>
#include <gearbox/reply.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

const char *const apart_models[APART_MODELS + 1] = {
	"reactor,compute=processes,compute-workers=2",
	"reactor,engine=poll,compute=processes,compute-workers=1",
	"multi-reactor,workers=2,compute=processes,compute-workers=2",
	"multi-reactor-reuseport,workers=2,compute=processes,compute-workers=2",
	"proactor,compute=processes,compute-workers=2",
	"multi-proactor,workers=2,compute=processes,compute-workers=2",
	"prefork-reactor,workers=2,compute=processes,compute-workers=2",
	NULL,
};

struct apart_shared *shared;

void apart_share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
}

/* Plain bytes: they go to the process and come back. */
struct talk {
	unsigned lines;
};

void apart_await(const _Atomic unsigned *number, unsigned value)
{
	while (atomic_load(number) < value)
		usleep(1000);
}

static unsigned deep(volatile unsigned char *before)
{
	volatile unsigned char bytes[4096];

	bytes[0] = before ? before[0] : 0;
	return bytes[0] == 77 ? 0 : bytes[0] + deep(bytes); /* it never is */
}

static void leak(void)
{
	const struct rlimit limit = { 256u << 20, 256u << 20 };

	setrlimit(RLIMIT_AS, &limit);
	for (;;) {
		volatile char *memory = malloc(1u << 20); /* clang leaves out what nobody reads */

		if (!memory)
			abort();
		memory[0] = 1;
	}
}

static void services_refused(struct gb_conn *conn)
{
	static struct gb_timer timer;
	struct gb_worker *worker = gb_conn_worker(conn);
	struct gb_error error;
	struct gb_conn *other;
	struct gb_reply reply;
	char text[64];

	gb_conn_printf(conn, "%d %d %d %d %d %d %d %d %d %s\n", gb_worker_computes(worker),
		gb_timer_start(worker, &timer, 1, NULL, NULL) == -EOPNOTSUPP,
		gb_worker_post(worker, NULL, NULL) == -EOPNOTSUPP,
		gb_handle_post(gb_conn_handle(conn), NULL, NULL) == -EOPNOTSUPP,
		gb_connect(worker, "127.0.0.1:1", NULL, NULL, &other, &error) == -EOPNOTSUPP,
		gb_conn_defer(conn, &reply) == -EOPNOTSUPP,
		gb_coro_start(worker, "x", NULL, NULL) == -EOPNOTSUPP,
		gb_conn_peer(conn, text, sizeof(text)) == -EOPNOTSUPP, gb_conn_descriptor(conn),
		gb_worker_engine(worker));
}

static bool is(struct gb_bytes message, const char *text)
{
	return message.size == strlen(text) && memcmp(message.data, text, message.size) == 0;
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct talk *talk = gb_conn_state(conn);
	volatile char *nowhere = NULL;

	talk->lines++;
	if (is(message, "abort"))
		abort();
	else if (is(message, "kill"))
		raise(SIGKILL);
	else if (is(message, "exit"))
		exit(0);
	else if (is(message, "null"))
		*nowhere = 1;
	else if (is(message, "stack"))
		deep(NULL);
	else if (is(message, "leak"))
		leak();
	else if (is(message, "release"))
		gb_conn_release(conn); /* which it does not hold */
	else if (is(message, "wait") || is(message, "die")) {
		shared->began++;
		apart_await(&shared->released, 1);
		if (is(message, "die"))
			raise(SIGKILL);
	} else if (is(message, "hang")) {
		shared->began++;
		for (;;)
			pause();
	} else if (is(message, "cancelled")) {
		shared->began++;
		while (!gb_conn_cancelled(conn))
			usleep(1000);
		shared->released++;
	} else if (is(message, "operation")) {
		struct gb_posted posted;

		gb_posted_begin(gb_conn_worker(conn), &posted, NULL, NULL);
	} else if (is(message, "refused")) {
		services_refused(conn);
		return;
	} else if (is(message, "pids")) {
		gb_conn_printf(conn, "%08d %08d\n", getpid(), getppid());
		return;
	} else if (is(message, "stop")) {
		gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
	} else if (is(message, "bye")) {
		gb_conn_send(conn, "bye\n", 4);
		gb_conn_close(conn);
		return;
	} else if (is(message, "reset")) {
		gb_conn_abort(conn);
	} else if (is(message, "fail")) {
		gb_conn_fail(conn, GB_CLOSE_REFUSED);
	} else if (is(message, "end")) {
		gb_conn_printf(conn, "last\n");
		gb_conn_end_output(conn);
		return;
	}
	gb_conn_printf(conn, "%u:", talk->lines);
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, "\n", 1);
}

static void on_close(struct gb_conn *conn, int reason)
{
	if (reason == GB_CLOSE_CRASHED && !gb_worker_computes(gb_conn_worker(conn)))
		shared->closed_crashed++;
}

static int on_start(struct gb_worker *worker, void *user)
{
	(void)user;
	gb_worker_set_data(worker, &shared, &shared);
	if (gb_worker_computes(worker))
		shared->started_apart++;
	else
		shared->started++;
	return 0;
}

static void on_stop(struct gb_worker *worker, void *user)
{
	(void)user;
	CHECK(gb_worker_data(worker, &shared) == &shared);
	if (gb_worker_computes(worker))
		shared->stopped_apart++;
	else
		shared->stopped++;
}

const struct gb_service apart_risky = { GB_SERVICE_INIT, .name = "risky", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .traits = GB_TRAIT_MOVABLE_IDLE, .conn_state_size = sizeof(struct talk),
	.on_start = on_start, .on_stop = on_stop, .on_message = on_message, .on_close = on_close };

struct gb_server *apart_server(const char *model)
{
	apart_share();
	return driver_server_with(model, "output-max", "4MiB", &apart_risky, NULL);
}
