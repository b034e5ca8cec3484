/* A thread that served a connection serves another: what nobody sees of that, and that it ends when nobody needs it. */
#include "model/server_test_driver.h"

#include "model/server.h"
#include "os/thread.h"

#include <gearbox/worker.h>

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define VISITS_MAX 2000
#define MANY 80 /* more than may rest */
#define FEW 3   /* fewer than have the chief see to them at once */
#define PATIENCE 3000
#define LOOK_MS 10
#define SANITIZERS 1 /* a thread of theirs, which comes with the first of ours */

struct counts {
	_Atomic unsigned started, stopped, found;
};

static const char key;

static int on_start(struct gb_worker *worker, void *user)
{
	struct counts *counts = user;

	if (gb_worker_data(worker, &key))
		atomic_fetch_add(&counts->found, 1);
	atomic_fetch_add(&counts->started, 1);
	return gb_worker_set_data(worker, &key, counts);
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct counts *counts = user;

	(void)worker;
	atomic_fetch_add(&counts->stopped, 1);
}

/* The answer is the thread. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	const pid_t thread = gb__thread_id();

	(void)message;
	gb_conn_send(conn, &thread, sizeof(thread));
}

static const struct gb_service telling = { GB_SERVICE_INIT, .name = "telling", .state = GB_STATE_NONE,
	.on_start = on_start, .on_stop = on_stop, .on_message = on_message };

static pid_t visit(const struct gb_server *server)
{
	int client = driver_client(server);
	pid_t thread;

	driver_send(client, "x");
	CHECK_INT(driver_receive(client, (char *)&thread, sizeof(thread)), sizeof(thread));
	close(client);
	return thread;
}

static bool is_in(const pid_t *threads, unsigned count, pid_t thread)
{
	for (unsigned i = 0; i < count; i++)
		if (threads[i] == thread)
			return true;
	return false;
}

/* Workers that who watches for stalls tells apart, although their threads do not. */
static unsigned told_apart(const struct gb_server *server)
{
	unsigned workers = 0;

	for (size_t i = 0; i < server->seats_count; i++)
		workers += atomic_load(&server->shared->records[i].watched.begun);
	return workers;
}

TEST(each_connection_has_a_worker_that_begins_anew_on_a_thread_that_served_another)
{
	struct counts *counts =
		mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static pid_t threads[VISITS_MAX];
	struct gb_server *server;
	struct gb_stats stats;
	unsigned visits = 0;
	pid_t pid;

	CHECK(counts != MAP_FAILED);
	server = driver_server("thread", &telling, counts);
	pid = driver_host(server);
	for (unsigned again = 0; again < MANY; visits++) {
		CHECK(visits < VISITS_MAX);
		threads[visits] = visit(server);
		again += is_in(threads, visits, threads[visits]);
	}
	CHECK_INT(told_apart(server), visits);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.accepted, visits);
	CHECK_INT(driver_closed(&stats), visits);
	CHECK_INT(atomic_load(&counts->started), visits);
	CHECK_INT(atomic_load(&counts->stopped), visits);
	CHECK_INT(atomic_load(&counts->found), 0);
}

static unsigned threads_of(pid_t pid)
{
	const struct dirent *entry;
	unsigned count = 0;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	CHECK(tasks);
	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* So many come at once, and go. */
static void check_all_end(const struct gb_server *server, pid_t pid, unsigned before, unsigned count)
{
	int clients[MANY];

	for (unsigned i = 0; i < count; i++)
		clients[i] = driver_guest(server);
	CHECK(threads_of(pid) >= before + count);
	for (unsigned i = 0; i < count; i++)
		close(clients[i]);
	for (unsigned i = 0; threads_of(pid) > before + SANITIZERS; i++) {
		CHECK(i < PATIENCE);
		(void)poll(NULL, 0, LOOK_MS);
	}
}

TEST(threads_that_nobody_needs_end)
{
	struct gb_server *server = driver_server("thread", &driver_echo, NULL);
	const pid_t pid = driver_host(server);
	const unsigned before = threads_of(pid);

	check_all_end(server, pid, before, FEW); /* first: the chief does not look yet */
	check_all_end(server, pid, before, MANY);
	driver_visit(server);
	driver_finish(server, pid);
}

TEST(a_server_whose_threads_rest_ends)
{
	struct gb_server *server = driver_server("thread", &driver_echo, NULL);
	const pid_t pid = driver_host(server);
	int clients[MANY];
	struct gb_stats stats;

	for (unsigned i = 0; i < MANY; i++)
		clients[i] = driver_guest(server);
	for (unsigned i = 0; i < MANY; i++)
		close(clients[i]);
	for (gb_server_stats(server, &stats); driver_closed(&stats) < MANY; gb_server_stats(server, &stats))
		(void)poll(NULL, 0, LOOK_MS);
	driver_finish(server, pid);
}
