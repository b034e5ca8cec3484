/* Connections passed to event loops in worker processes, several in a message: none is lost, kept elsewhere or
 * counted twice, whatever happens to the workers meanwhile. */
#include "base/macros.h"
#include "model/server_test_driver.h"

#include "model/crew.h"

#include <gearbox/worker.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MODEL "process-pool-reactor,workers="
#define TURN 16   /* connections that a reactor accepts in a turn */
#define CROWD 400 /* more than narrow channels to two workers hold */
#define FEW 5     /* descriptors left */

/* Shared with the workers. */
struct board {
	_Atomic pid_t pids[2];
	_Atomic bool narrow, poison;
};

static struct board *board_create(void)
{
	struct board *board =
		mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(board != MAP_FAILED);
	return board;
}

/* With the smallest buffer a channel is full after a few messages. */
static int on_start(struct gb_worker *worker, void *user)
{
	const struct gb__channels *channels = &gb_worker_server(worker)->crew->channels;
	unsigned id = gb_worker_id(worker);
	struct board *board = user;
	int smallest = 1;

	board->pids[id] = getpid();
	if (board->narrow)
		CHECK(setsockopt(channels->pairs[id][0], SOL_SOCKET, SO_SNDBUF, &smallest,
			      sizeof(smallest)) == 0);
	return 0;
}

static int on_open(struct gb_conn *conn)
{
	struct board *board = gb_conn_user(conn);

	if (atomic_exchange(&board->poison, false))
		raise(SIGKILL);
	return 0;
}

static void leave_few_descriptors(void)
{
	struct rlimit limit = { 100, 100 };
	int fds[100], used = 0;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fds[used] = dup(STDERR_FILENO)) >= 0)
		used++;
	CHECK(errno == EMFILE && used >= FEW);
	for (int i = 0; i < FEW; i++)
		close(fds[--used]);
}

/* The answer is the worker's number. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	char number = (char)('0' + gb_worker_id(gb_conn_worker(conn)));

	if (message.data[0] == 'f')
		leave_few_descriptors();
	gb_conn_send(conn, &number, 1);
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "numbers",
	.on_start = on_start, .on_open = on_open, .on_message = on_message };

static void halt(pid_t pid)
{
	char path[64], text[256], state = 0;

	CHECK(kill(pid, SIGSTOP) == 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (state != 'T') {
		FILE *file = fopen(path, "r");

		CHECK(file && fgets(text, sizeof(text), file));
		fclose(file);
		state = strrchr(text, ')')[2];
	}
}

static void go_on(pid_t pid)
{
	CHECK(kill(pid, SIGCONT) == 0);
}

static int backlog; /* the listening socket, to look at */

static pid_t host(struct gb_server *server)
{
	backlog = dup(server->bindings[0].fds[0]);
	CHECK(backlog >= 0);
	return driver_host(server);
}

static void come(const struct gb_server *server, int *clients, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		clients[i] = driver_client(server);
		driver_send(clients[i], "x");
	}
}

/* They are accepted in one turn, as far as a turn accepts so many: all are in the backlog when it begins. */
static void come_together(const struct gb_server *server, pid_t chief, int *clients, unsigned count)
{
	halt(chief);
	come(server, clients, count);
	while (gb__socket_waiting(backlog, 0) < count)
		usleep(1000);
	go_on(chief);
}

/* Returns the number of the worker that answered, or -1: it was closed. */
static int answer(int client)
{
	char number;

	return driver_receive(client, &number, 1) == 1 ? number - '0' : -1;
}

static void leave(const int *clients, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(clients[i]);
}

static void end(struct gb_server *server, pid_t chief, struct gb_stats *ret)
{
	gb_server_stop(server);
	CHECK_INT(driver_await(chief), 0);
	gb_server_stats(server, ret);
	CHECK_INT(ret->connections, 0);
	CHECK_INT(driver_closed(ret), ret->accepted);
	gb_server_destroy(server);
}

static void takes_turns(const char *model)
{
	struct gb_server *server = driver_server(model, &service, board_create());
	int clients[TURN], first;
	struct gb_stats stats;
	pid_t chief;

	if (!server)
		return;
	chief = host(server);
	come_together(server, chief, clients, TURN);
	first = answer(clients[0]);
	for (int i = 1; i < TURN; i++)
		CHECK_INT(answer(clients[i]), (first + i) % 2);
	leave(clients, TURN);
	end(server, chief, &stats);
	CHECK_INT(stats.accepted, TURN);
}

TEST(who_comes_in_one_turn_is_placed_one_by_one)
{
	takes_turns(MODEL "2");
	takes_turns(MODEL "2,place=least-connections");
	takes_turns("accept=acceptor,unit=process,workers=2,engine=io_uring");
}

TEST(who_is_placed_counts_for_the_next_of_the_same_turn)
{
	struct gb_server *server = driver_server(MODEL "2,place=least-connections", &service, board_create());
	pid_t chief = host(server);
	struct gb_worker_stats worker;
	int clients[TURN];
	struct gb_stats stats;
	unsigned served[2] = { 0 };

	come_together(server, chief, clients, 8);
	for (int i = 0; i < 8; i++)
		if (answer(clients[i]) == 1)
			close(clients[i]);
	do
		gb_server_worker_stats(server, 1, &worker);
	while (worker.stats.connections > 0);
	come_together(server, chief, clients, 8);
	for (int i = 0; i < 8; i++)
		served[answer(clients[i]) == 1]++;
	CHECK_INT(served[0], 2); /* who has four already */
	CHECK_INT(served[1], 6);
	gb_server_stop(server);
	gb_server_stop(server);
	CHECK_INT(driver_await(chief), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.accepted, 16);
	CHECK_INT(driver_closed(&stats), 16);
	gb_server_destroy(server);
}

TEST(a_hash_places_all_of_one_client_on_one_worker)
{
	struct gb_server *server = driver_server(MODEL "2,place=hash", &service, board_create());
	pid_t chief = host(server);
	int clients[TURN], first;
	struct gb_stats stats;

	come_together(server, chief, clients, TURN);
	first = answer(clients[0]);
	for (int i = 1; i < TURN; i++)
		CHECK_INT(answer(clients[i]), first);
	leave(clients, TURN);
	end(server, chief, &stats);
}

TEST(those_without_a_descriptor_are_lost_and_the_others_are_served)
{
	struct gb_server *server = driver_server(MODEL "1", &service, board_create());
	pid_t chief = host(server);
	int clients[TURN], filler = driver_client(server);
	struct gb_stats stats;

	driver_send(filler, "f");
	CHECK_INT(answer(filler), 0);
	come_together(server, chief, clients, TURN);
	for (int i = 0; i < TURN; i++)
		CHECK_INT(answer(clients[i]), i < FEW ? 0 : -1);
	leave(clients, TURN);
	close(filler);
	end(server, chief, &stats);
	CHECK_INT(stats.accepted, TURN + 1);
	CHECK_INT(stats.closed[GB_CLOSE_DESCRIPTOR_LIMIT], TURN - FEW);
}

TEST(a_crash_costs_those_that_came_with_a_message_once)
{
	struct board *board = board_create();
	struct gb_server *server = driver_server(MODEL "1", &service, board);
	pid_t chief = host(server);
	int clients[TURN], later;
	struct gb_stats stats;

	board->poison = true;
	come_together(server, chief, clients, TURN);
	for (int i = 0; i < TURN; i++)
		CHECK_INT(answer(clients[i]), -1);
	leave(clients, TURN);
	later = driver_client(server);
	driver_send(later, "x");
	CHECK_INT(answer(later), 0);
	close(later);
	end(server, chief, &stats);
	CHECK_INT(stats.accepted, TURN + 1);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], TURN);
}

TEST(what_a_dead_worker_has_not_received_goes_to_others)
{
	struct board *board = board_create();
	struct gb_server *server = driver_server(MODEL "2", &service, board);
	pid_t chief = host(server), dead = board->pids[0];
	int clients[TURN];
	struct gb_stats stats;

	halt(dead);
	come_together(server, chief, clients, TURN);
	/* Those of the other one have been passed, and so those of the dead one, who was the first. */
	for (int i = 1; i < TURN; i += 2)
		CHECK_INT(answer(clients[i]), 1);
	kill(dead, SIGKILL);
	for (int i = 0; i < TURN; i += 2)
		CHECK_INT(answer(clients[i]), 1); /* the replacement is not there yet */
	leave(clients, TURN);
	end(server, chief, &stats);
	CHECK_INT(stats.accepted, TURN);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 0);
}

static unsigned sockets(pid_t pid)
{
	char path[64], target[64];
	struct dirent *entry;
	unsigned count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	folder = opendir(path);
	CHECK(folder);
	while ((entry = readdir(folder)) != NULL) {
		ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));

		count += size > 7 && memcmp(target, "socket:", 7) == 0;
	}
	closedir(folder);
	return count;
}

/* Whether the process sleeps, rather than wants a CPU that others have. */
static bool sleeps(pid_t pid)
{
	char path[64], text[256] = "", *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	CHECK(file);
	CHECK(fgets(text, sizeof(text), file));
	fclose(file);
	state = strrchr(text, ')');
	CHECK(state && strlen(state) > 2);
	return state[2] == 'S';
}

/* A crowd that finds both channels full, one before the other. */
static pid_t host_crowded(struct gb_server *server, struct board *board, int *clients)
{
	unsigned waiting;
	pid_t chief;

	board->narrow = true;
	chief = host(server);
	halt(board->pids[0]);
	halt(board->pids[1]);
	come(server, clients, 1);
	while (gb__socket_waiting(backlog, 0) > 0)
		usleep(1000);
	come_together(server, chief, clients + 1, CROWD - 1);
	/* Until accepting rests: it sleeps although they wait. How long is of no account for what is checked. */
	while (!sleeps(chief))
		usleep(1000);
	waiting = gb__socket_waiting(backlog, 0);
	CHECK(waiting > 0 && waiting < CROWD);
	return chief;
}

static void rests_and_keeps_nothing_of_others(const char *model)
{
	static int clients[CROWD];
	struct board *board = board_create();
	struct gb_server *server = driver_server(model, &service, board);
	struct gb_stats stats;
	pid_t chief, dead;
	unsigned own;

	if (!server)
		return;
	chief = host_crowded(server, board, clients);
	dead = board->pids[0];
	own = sockets(board->pids[1]);
	kill(dead, SIGKILL);
	while (board->pids[0] == dead)
		usleep(1000);
	go_on(board->pids[1]);
	for (int i = 0; i < CROWD; i++)
		CHECK(answer(clients[i]) >= 0);
	for (unsigned i = 0; i < 2; i++) {
		struct gb_worker_stats worker;

		gb_server_worker_stats(server, i, &worker);
		CHECK(worker.stats.connections > 0);
		CHECK_INT(sockets(board->pids[i]), own + worker.stats.connections);
	}
	leave(clients, CROWD);
	end(server, chief, &stats);
	CHECK_INT(stats.accepted, CROWD);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 0);
}

TEST(full_channels_make_the_acceptor_rest_and_a_replacement_keeps_nothing_of_others)
{
	rests_and_keeps_nothing_of_others(MODEL "2");
}

/* A ring would go on accepting for an acceptor that rests, or forks. */
TEST(the_same_on_a_ring)
{
	rests_and_keeps_nothing_of_others(MODEL "2,engine=io_uring");
}

TEST(who_waits_for_room_at_a_stop_is_served_before_the_end)
{
	static int clients[CROWD];
	struct board *board = board_create();
	struct gb_server *server = driver_server(MODEL "2", &service, board);
	pid_t chief = host_crowded(server, board, clients);
	struct gb_stats stats;

	gb_server_stop(server);
	go_on(board->pids[0]);
	go_on(board->pids[1]);
	for (int i = 0; i < CROWD; i++) {
		CHECK(answer(clients[i]) >= 0);
		close(clients[i]);
	}
	CHECK_INT(driver_await(chief), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.accepted, CROWD);
	CHECK_INT(driver_closed(&stats), CROWD);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 0);
	gb_server_destroy(server);
}

/* A channel has room for more than a worker that does nothing should be given. */
TEST(who_is_stuck_is_passed_over)
{
	enum { BUNCH = 64, MANY = 10 * BUNCH, ON_THE_WAY = 256 };
	static int clients[MANY];
	struct board *board = board_create();
	struct gb_server *server = driver_server(MODEL "2", &service, board);
	pid_t chief = host(server);
	unsigned served[2] = { 0 };
	struct gb_stats stats;

	halt(board->pids[0]);
	for (unsigned come_yet = 0; come_yet < MANY; come_yet += BUNCH) {
		unsigned given = gb__min((come_yet + BUNCH) / 2, ON_THE_WAY);
		struct gb_worker_stats worker;

		come(server, clients + come_yet, BUNCH);
		do
			gb_server_worker_stats(server, 1, &worker);
		while (worker.stats.accepted < come_yet + BUNCH - given);
	}
	go_on(board->pids[0]);
	for (unsigned i = 0; i < MANY; i++)
		served[answer(clients[i]) == 1]++;
	CHECK_INT(served[0], ON_THE_WAY);
	CHECK_INT(served[1], MANY - ON_THE_WAY);
	leave(clients, MANY);
	end(server, chief, &stats);
	CHECK_INT(stats.accepted, MANY);
}
