/* compute=threads with real threads: what a handler may do on a pool thread, under load, with clients that
 * come, pipeline, stop reading, half-close and reset. Meant for the thread sanitizer as well. */
#include "base/macros.h"
#include "model/server_test_driver.h"
#include "os/cpu.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 6
#define ROUNDS 8
#define LINES 40
#define LARGE 60000
#define REPLIES_MAX (1u << 20)

struct shop {
	struct gb_buffer *shared;
	_Atomic unsigned opened, closed, tasks_posted, tasks_run;
};

struct talk {
	unsigned lines; /* seen so far */
	bool inside;    /* on_message runs */
};

static int shop_open(struct gb_conn *conn)
{
	struct shop *shop = gb_conn_user(conn);

	shop->opened++;
	return 0;
}

static void shop_close(struct gb_conn *conn, int reason)
{
	const struct talk *talk = gb_conn_state(conn);
	struct shop *shop = gb_conn_user(conn);

	CHECK(!talk->inside);
	CHECK_INT(gb_conn_send(conn, "x", 1), -EPIPE);
	shop->closed++;
}

static void go_on(struct gb_conn *conn, int status, void *arg)
{
	struct shop *shop = arg;

	CHECK_INT(status, conn ? 0 : -ESTALE);
	if (conn)
		gb_conn_resume(conn);
	shop->tasks_run++;
}

static void shop_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct talk *talk = gb_conn_state(conn);
	struct shop *shop = gb_conn_user(conn);
	char peer[64];

	CHECK(!talk->inside);
	talk->inside = true;
	if (gb_conn_peer(conn, peer, sizeof(peer)) < 0)
		gb_conn_printf(conn, "nobody "); /* reset meanwhile */
	gb_conn_printf(conn, "%u:", talk->lines++);
	switch (message.size ? message.data[0] : 0) {
	case 's':
		gb_conn_send_ref(conn, shop->shared);
		break;
	case 'l':
		gb_conn_printf(conn, "%*s", LARGE, "l");
		break;
	case 'p': /* pause; the worker's thread resumes */
		gb_conn_pause(conn);
		shop->tasks_posted++;
		if (gb_handle_post(gb_conn_handle(conn), go_on, shop) < 0)
			shop->tasks_posted--;
		break;
	case 'a':
		gb_conn_abort(conn);
		CHECK_INT(gb_conn_send(conn, "x", 1), -EPIPE);
		break;
	case 'c':
		gb_conn_send(conn, "bye\n", 4);
		gb_conn_close(conn);
		CHECK_INT(gb_conn_send(conn, "x", 1), -EPIPE);
		break;
	default:
		for (int i = 0; i < 100 && !gb_conn_cancelled(conn); i++)
			;
		gb_conn_send(conn, message.data, message.size);
	}
	gb_conn_send(conn, "\n", 1);
	talk->inside = false;
}

static const struct gb_service shop_service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "shop",
	.codec = &gb_codec_line, .conn_state_size = sizeof(struct talk), .on_open = shop_open,
	.on_message = shop_message, .on_close = shop_close };

/* What the server must answer to line `n` that begins with `kind`. */
static size_t answer(char *text, unsigned n, char kind, const char *shared, size_t shared_size)
{
	size_t size = (size_t)sprintf(text, "%u:", n);

	if (kind == 's') {
		memcpy(text + size, shared, shared_size);
		size += shared_size;
	} else if (kind == 'l') {
		size += (size_t)sprintf(text + size, "%*s", LARGE, "l");
	} else if (kind == 'c') {
		return size + (size_t)sprintf(text + size, "bye\n");
	} else if (kind != 'p') {
		size += (size_t)sprintf(text + size, "%c%u", kind, n);
	}
	text[size++] = '\n';
	return size;
}

struct customer {
	const struct gb_server *server;
	uint64_t random;
	const char *shared;
	size_t shared_size;
	pthread_t thread;
	char expected[REPLIES_MAX], got[REPLIES_MAX];
};

/* A conversation: whatever the end, what arrived is a beginning of what was expected. */
static void converse(struct customer *customer)
{
	static const char kinds[] = "eeeeeeesslp";
	unsigned end = (unsigned)(test_random(&customer->random) % 4);
	int client = driver_client(customer->server);
	size_t size = 0;
	long got;

	for (unsigned n = 0; n < LINES; n++) {
		char kind = kinds[test_random(&customer->random) % (sizeof(kinds) - 1)], line[32];

		if (n == LINES - 1 && end < 2)
			kind = end ? 'a' : 'c';
		sprintf(line, kind == 'e' ? "%c%u\n" : "%c\n", kind, n);
		driver_send(client, line);
		if (kind != 'a')
			size += answer(
				customer->expected + size, n, kind, customer->shared, customer->shared_size);
	}
	if (end == 3) { /* leave in the middle, with a reset as a rule */
		close(client);
		return;
	}
	if (end == 2)
		shutdown(client, SHUT_WR);
	got = driver_receive(client, customer->got, sizeof(customer->got));
	if (end == 1) {
		CHECK_INT(got, -1);
	} else {
		CHECK_INT(got, size);
		CHECK(memcmp(customer->got, customer->expected, size) == 0);
	}
	close(client);
}

static void *customer_main(void *arg)
{
	struct customer *customer = arg;

	for (int i = 0; i < ROUNDS; i++)
		converse(customer);
	return NULL;
}

static void *visit(void *arg)
{
	static struct customer customers[CLIENTS];
	const struct customer *first = arg;

	for (unsigned i = 0; i < CLIENTS; i++) {
		customers[i].server = first->server;
		customers[i].shared = first->shared;
		customers[i].shared_size = first->shared_size;
		customers[i].random = first->random + i;
		CHECK(pthread_create(&customers[i].thread, NULL, customer_main, &customers[i]) == 0);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(customers[i].thread, NULL);
	gb_server_stop((struct gb_server *)(uintptr_t)first->server);
	return NULL;
}

static void serve_shop(const char *model)
{
	static char bytes[2000];
	static struct customer first;
	struct shop shop = { 0 };
	struct gb_server *server;
	struct gb_error error = { 0 };
	struct gb_stats stats;
	pthread_t visitors;

	memset(bytes, 's', sizeof(bytes));
	CHECK_INT(gb_buffer_create(bytes, sizeof(bytes), &shop.shared), 0);
	server = driver_server_with(model, "output-high", "128KiB", &shop_service, &shop);
	if (!server) {
		gb_buffer_unref(shop.shared);
		return;
	}
	first.server = server;
	first.random = test_seed();
	first.shared = bytes;
	first.shared_size = sizeof(bytes);
	CHECK(pthread_create(&visitors, NULL, visit, &first) == 0);
	if (gb_server_run(server, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", model, error.text);
	pthread_join(visitors, NULL);
	gb_server_stats(server, &stats);
	CHECK_INT(shop.opened, CLIENTS * ROUNDS);
	CHECK_INT(shop.closed, CLIENTS * ROUNDS);
	CHECK_INT(shop.tasks_run, shop.tasks_posted);
	CHECK_INT(stats.connections, 0);
	CHECK_INT(driver_closed(&stats), CLIENTS * ROUNDS);
	gb_server_destroy(server);
	gb_buffer_unref(shop.shared);
}

TEST(one_reactor_beside_four_threads)
{
	serve_shop("reactor-pool,compute-workers=4");
}

TEST(one_proactor_beside_four_threads)
{
	serve_shop("proactor-pool,compute-workers=4");
}

TEST(two_reactors_share_a_pool_of_one_thread)
{
	serve_shop("multi-reactor-pool,workers=2,compute-workers=1");
}

/* Handlers that wait: those who ran one are remembered. */
static pthread_mutex_t nappers_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t nappers[256];
static unsigned nappers_count;

static void nap(struct gb_conn *conn, struct gb_bytes message)
{
	const pid_t self = gettid();
	unsigned i = 0;

	usleep(3000);
	pthread_mutex_lock(&nappers_lock);
	while (i < nappers_count && nappers[i] != self)
		i++;
	if (i == nappers_count && i < gb__countof(nappers))
		nappers[nappers_count++] = self;
	pthread_mutex_unlock(&nappers_lock);
	gb_conn_send(conn, message.data, message.size);
}

static unsigned nappers_now(void)
{
	unsigned count;

	pthread_mutex_lock(&nappers_lock);
	count = nappers_count;
	pthread_mutex_unlock(&nappers_lock);
	return count;
}

static void *keep_napping(void *server)
{
	int clients[64];
	char byte;

	for (unsigned i = 0; i < gb__countof(clients); i++)
		clients[i] = driver_client(server);
	while (nappers_now() <= gb__cpus_allotted()) {
		for (unsigned i = 0; i < gb__countof(clients); i++)
			driver_send(clients[i], "x");
		for (unsigned i = 0; i < gb__countof(clients); i++)
			CHECK_INT(driver_receive(clients[i], &byte, 1), 1);
	}
	for (unsigned i = 0; i < gb__countof(clients); i++)
		close(clients[i]);
	gb_server_stop(server);
	return NULL;
}

TEST(compute_workers_auto_takes_more_threads_than_cpus_for_handlers_that_wait)
{
	static const struct gb_service naps = { GB_SERVICE_INIT, .name = "naps", .state = GB_STATE_NONE,
		.on_message = nap };
	struct gb_server *server = driver_server("reactor-pool", &naps, NULL);

	driver_run_beside(server, keep_napping);
	gb_server_destroy(server);
}
