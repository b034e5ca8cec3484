/* A server that runs is looked at from another process: its counters, and where the time of messages goes. */
#include "model/server_test_driver.h"

#include "base/macros.h"
#include "model/record.h"
#include "model/server.h"

#include <gearbox/observe.h>
#include <gearbox/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANDLER_NS 2000000u
#define BACKLOG_NS 50000000u
#define TICK_NS 20000000u /* of the kernel's clock for connections, or two */
#define TRIES_MAX 100u
#define TURNS_MAX 10000u /* messages until one is timed, which takes a tick of the worker's clock */

static void take_time(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = HANDLER_NS }, NULL);
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	take_time();
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service sleeper = { GB_SERVICE_INIT, .name = "sleeper", .state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_MOVABLE_IDLE, .on_message = on_message };

static void serve(struct gb_stream *stream)
{
	char byte;

	while (gb_read(stream, &byte, 1) > 0) {
		take_time();
		gb_write(stream, &byte, 1);
	}
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .state = GB_STATE_NONE,
	.serve = serve };

static struct gb_observed *observe(const struct gb_server *server, pid_t pid)
{
	struct gb_observed *observed;
	struct gb_error error;

	if (gb_observe(pid, 0, &observed, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", gb_server_model(server), error.text);
	return observed;
}

/* Ask until one was timed to its end. */
static void ask_until_timed(const struct gb_server *server, struct gb_observed *observed, enum gb_stage last,
	struct gb_observed_server *ret)
{
	int client = driver_client(server);

	for (unsigned i = 0; i < TURNS_MAX; i++) {
		gb_observe_sample(observed, 1);
		driver_ask(client, "x", "x");
		gb_observe_server(observed, ret);
		if (ret->stages[last].count > 0) {
			close(client);
			return;
		}
	}
	test_fail(__FILE__, __LINE__, "%s: no message was timed", gb_server_model(server));
}

/* Its handler is timed, and so is the rest; nothing of it before somebody asks. */
static void time_is_found(const char *model)
{
	static struct gb_observed_server seen;
	struct gb_server *server = driver_server(model, &sleeper, NULL);
	const uint64_t handler_bound_ns = gb_stage_bound_ns(gb_stage_bucket(HANDLER_NS) - 1);
	struct gb_observed_worker sum = { 0 };
	struct gb_observed *observed;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	observed = observe(server, pid);
	driver_visit(server);
	gb_observe_server(observed, &seen);
	CHECK_STR(seen.model, gb_server_model(server));
	CHECK_INT(seen.process, pid);
	CHECK_INT(seen.workers, gb_server_workers(server));
	CHECK(seen.cpus > 0);
	CHECK_INT(seen.stages[GB_STAGE_RUN].count, 0);
	ask_until_timed(server, observed, GB_STAGE_OUTPUT, &seen);
	CHECK(seen.stages[GB_STAGE_RUN].count > 0);
	CHECK(gb_stage_quantile_ns(&seen.stages[GB_STAGE_RUN], 0) > handler_bound_ns);
	if (!strstr(model, "compute=processes"))
		CHECK(seen.stages[GB_STAGE_QUEUE].count > 0);
	for (size_t i = 0; i < seen.workers; i++) {
		struct gb_observed_worker worker;

		gb_observe_worker(observed, i, &worker);
		sum.sampled += worker.sampled;
		sum.run_ns += worker.run_ns;
		sum.cpu_ns += worker.cpu_ns;
		sum.stats.accepted += worker.stats.accepted;
	}
	CHECK(sum.stats.accepted >= 2);
	if (!strstr(model, "compute=processes"))
		CHECK(sum.sampled > 0 && sum.run_ns >= sum.sampled * HANDLER_NS && sum.cpu_ns < sum.run_ns);
	driver_finish(server, pid);
	gb_observe_server(observed, &seen);
	CHECK_INT(seen.process, 0);
	gb_observe_end(observed);
}

TEST(time_of_messages_is_found_under_every_model)
{
	driver_each_preset(time_is_found);
}

TEST(time_of_messages_in_processes_of_a_pool_is_found)
{
	time_is_found("reactor,compute=processes,compute-workers=1");
}

TEST(time_of_straight_line_handlers_is_found)
{
	static struct gb_observed_server seen;
	struct gb_server *server = driver_server("reactor", &straight, NULL);
	pid_t pid = driver_host(server);
	struct gb_observed *observed = observe(server, pid);

	ask_until_timed(server, observed, GB_STAGE_RUN, &seen);
	gb_observe_end(observed);
	driver_finish(server, pid);
}

/* While it is stopped nobody is accepted. What is asked for ends by itself, perhaps before a busy machine lets it go on. */
static uint64_t longest_backlog(const struct gb_server *server, pid_t pid, struct gb_observed *observed)
{
	static struct gb_observed_server seen;
	int clients[16];

	CHECK_INT(kill(pid, SIGSTOP), 0);
	for (size_t i = 0; i < gb__countof(clients); i++)
		clients[i] = driver_client(server);
	nanosleep(&(struct timespec){ .tv_nsec = BACKLOG_NS }, NULL); /* that long at least they wait */
	gb_observe_sample(observed, 1);
	CHECK_INT(kill(pid, SIGCONT), 0);
	for (size_t i = 0; i < gb__countof(clients); i++) {
		driver_ask(clients[i], "x", "x");
		close(clients[i]);
	}
	gb_observe_server(observed, &seen);
	return gb_stage_quantile_ns(&seen.stages[GB_STAGE_ACCEPT], 1);
}

TEST(wait_in_the_backlog_is_found)
{
	static struct gb_observed_server seen;
	struct gb_server *server = driver_server("reactor", &sleeper, NULL);
	pid_t pid = driver_host(server);
	struct gb_observed *observed = observe(server, pid);
	unsigned tries = 0;

	do
		ask_until_timed(server, observed, GB_STAGE_OUTPUT, &seen);
	while (longest_backlog(server, pid, observed) < BACKLOG_NS - TICK_NS && ++tries < TRIES_MAX);
	CHECK(tries < TRIES_MAX);
	gb_observe_end(observed);
	driver_finish(server, pid);
}

TEST(process_without_a_server_is_refused)
{
	struct gb_observed *observed;
	struct gb_error error;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK_INT(gb_observe(pid, 0, &observed, &error), -ENOENT);
	CHECK(strstr(error.text, "has no gearbox server"));
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	CHECK_INT(gb_observe(pid, 0, &observed, &error), -ESRCH);
}

TEST(second_server_of_a_process_is_found_by_its_number)
{
	struct gb_server *first = driver_server("reactor", &sleeper, NULL),
			 *second = driver_server("iterative", &sleeper, NULL);
	static struct gb_observed_server seen;
	struct gb_observed *observed;
	struct gb_error error;

	CHECK_INT(gb_observe(getpid(), 1, &observed, &error), 0);
	gb_observe_server(observed, &seen);
	CHECK_STR(seen.model, gb_server_model(second));
	CHECK_INT(seen.process, 0);
	gb_observe_end(observed);
	CHECK_INT(gb_observe(getpid(), 2, &observed, &error), -ENOENT);
	gb_server_destroy(first);
	gb_server_destroy(second);
}

/* As a server's, but for how it was sealed. */
static int forge(const struct gb_server *server, int seals)
{
	const size_t size = server->shared->head.size;
	int fd = memfd_create(GB__SHARED_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, server->shared, size), size);
	CHECK_INT(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

TEST(memory_that_its_process_can_shorten_is_not_looked_at)
{
	struct gb_server *server = driver_server("iterative", &sleeper, NULL);
	const int forged = forge(server, F_SEAL_GROW), sound = forge(server, F_SEAL_SHRINK);
	struct gb_observed *observed;
	struct gb_error error;
	unsigned refused = 0;

	/* In no order. */
	for (unsigned n = 0; n < 3; n++) {
		const int result = gb_observe(getpid(), n, &observed, &error);

		CHECK(result == 0 || result == -ENOTSUP);
		refused += result < 0;
		if (result == 0)
			gb_observe_end(observed);
	}
	CHECK_INT(refused, 1);
	close(forged);
	close(sound);
	gb_server_destroy(server);
}

/* One that was built otherwise has its counters elsewhere. */
TEST(memory_of_another_version_or_layout_is_not_looked_at)
{
	static const size_t offsets[] = { offsetof(struct gb__shared_head, magic),
		offsetof(struct gb__shared_head, layout), offsetof(struct gb__shared_head, head_size),
		offsetof(struct gb__shared_head, record_size),
		offsetof(struct gb__shared_head, counters_size), offsetof(struct gb__shared_head, version),
		offsetof(struct gb__shared_head, size) };
	struct gb_observed *observed;
	struct gb_error error;

	for (size_t i = 0; i < gb__countof(offsets); i++) {
		struct gb_server *server = driver_server("iterative", &sleeper, NULL);
		const unsigned char changed = ((unsigned char *)server->shared)[offsets[i]] ^ 1;
		const int forged = forge(server, F_SEAL_SHRINK);

		CHECK_INT(pwrite(forged, &changed, 1, (off_t)offsets[i]), 1);
		gb_server_destroy(server); /* there is no other from here on */
		if (gb_observe(getpid(), 0, &observed, &error) != -ENOTSUP)
			test_fail(__FILE__, __LINE__, "the byte at %zu is not looked at", offsets[i]);
		close(forged);
	}
}

TEST(count_of_workers_that_a_process_changes_later_is_not_believed)
{
	struct gb_server *server = driver_server("iterative", &sleeper, NULL);
	static struct gb_observed_server seen;
	struct gb_observed_worker worker;
	struct gb_observed *observed;
	struct gb_error error;

	CHECK_INT(gb_observe(getpid(), 0, &observed, &error), 0);
	server->shared->head.records = 1u << 24;
	gb_observe_server(observed, &seen);
	CHECK_INT(seen.workers, gb_server_workers(server));
	gb_observe_worker(observed, (1u << 24) - 1, &worker);
	CHECK_INT(worker.stats.accepted, 0);
	gb_observe_end(observed);
	gb_server_destroy(server);
}
