/*
 * Forwards each connection to one of several upstreams.
 *
 * Happy path: a client is paused when it opens; an upstream is chosen, connected to, and the two are relayed, with
 * back-pressure and half-closes both ways. Nothing is read of the client before, so that whichever upstream is reached
 * gets everything from the first byte on, and a connect that fails is tried again at another.
 *
 * Health is learned by connecting: an upstream that failed is left out for a time that doubles with each failure, with
 * jitter. Whoever comes then has it probed, by a connection of nobody's, and takes another one himself. Where none is
 * left, the one whose time ends first is tried all the same.
 *
 * What is known of upstreams lies in memory that all workers share, be they threads or processes: under one process a
 * connection there is nobody else to remember whose turn it is.
 */
#include "services.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define UPSTREAMS_MAX 64u
#define ADDRESS_MAX 448u /* holds any */
#define DOUBLINGS_MAX 5u /* of the back-off */
#define DAY_MS 86400000u

enum balance { ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE };

struct upstream {
	char address[ADDRESS_MAX];
	_Atomic uint64_t tried, connected, failed; /* so often */
	_Atomic int64_t open;                      /* now, those that connect included */
	_Atomic uint64_t out_until_ms;             /* left out until then; 0: it is healthy */
	_Atomic unsigned failures;                 /* since the last success */
};

/* In memory that worker processes share. */
struct shared {
	size_t size; /* of it all */
	_Atomic uint64_t turn;
	size_t count, seats;
	struct upstream upstreams[UPSTREAMS_MAX];
	_Atomic int64_t open
		[]; /* of each worker's place and upstream: one that crashed leaves them to the next one there */
};

struct proxy_settings {
	char *upstream;
	unsigned balance; /* enum balance */
	uint64_t back_off_ms;
	struct shared *shared;
	unsigned prepared; /* addresses that it serves */
};

static const struct gb_setting proxy_settings[] = {
	{ "upstream", GB_SETTING_TEXT, offsetof(struct proxy_settings, upstream),
		.argument = "HOST:PORT[,HOST:PORT...]", .summary = "where connections are forwarded to" },
	{ "balance", GB_SETTING_CHOICE, offsetof(struct proxy_settings, balance), .fallback = "round-robin",
		.choices = "round-robin|least-connections|source",
		.summary =
			"which of them: in turn, the one with the fewest, or always the same for a client's "
			"host" },
	{ "back-off", GB_SETTING_DURATION, offsetof(struct proxy_settings, back_off_ms), .fallback = "1s",
		.min = 1, .max = DAY_MS, .argument = "TIME",
		.summary =
			"leave an upstream out for so long that cannot be connected to; twice as long with "
			"each further failure, up to 32 times" },
	{ NULL },
};

/* A client whose upstream is being connected to. */
struct pair {
	struct gb_connecting connecting;
	struct gb_conn *client; /* NULL: it has gone */
	struct upstream *upstream;
	uint64_t tried; /* a bit for each upstream */
};

/* A connection that is made to see whether it can be. */
struct probe {
	struct gb_connecting connecting;
	const struct proxy_settings *settings;
	struct upstream *upstream;
};

/* What an upstream's connection belongs to: to be counted at its end. */
struct far {
	struct shared *shared;
	unsigned index;
};

/* Upstreams that are open, in all and of this worker. */
static void count_open(struct shared *shared, const struct gb_worker *worker, unsigned index, int change)
{
	size_t seat = gb_worker_id(worker);

	atomic_fetch_add_explicit(&shared->upstreams[index].open, change, memory_order_relaxed);
	if (seat < shared->seats)
		atomic_fetch_add_explicit(
			&shared->open[seat * UPSTREAMS_MAX + index], change, memory_order_relaxed);
}

/* FNV-1a. */
static uint32_t hash(uint32_t seed, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint32_t value = 2166136261u ^ seed;

	for (size_t i = 0; i < size; i++)
		value = (value ^ bytes[i]) * 16777619u;
	value ^= value >> 16;
	value *= 0x85ebca6bu;
	return value ^ value >> 13;
}

/* The client's host, without its port. */
static uint32_t source_of(const struct gb_conn *client)
{
	char text[ADDRESS_MAX];
	const char *colon;

	if (gb_conn_peer(client, text, sizeof(text)) < 0)
		return 0;
	colon = strrchr(text, ':');
	return hash(0, text, colon ? (size_t)(colon - text) : strlen(text));
}

/* The higher, the better: it is compared by the first number, then by the second. */
struct rank {
	int64_t first, second;
};

static struct rank rank_of(
	const struct shared *shared, unsigned index, enum balance balance, uint64_t turn, uint32_t source)
{
	const struct upstream *upstream = &shared->upstreams[index];
	int64_t in_turn = -(int64_t)((index + shared->count - turn % shared->count) % shared->count);

	switch (balance) {
	case LEAST_CONNECTIONS:
		return (struct rank){ -atomic_load_explicit(&upstream->open, memory_order_relaxed), in_turn };
	case SOURCE:
		/* Of each host and upstream the highest weight: when one is left out only its own clients move. */
		return (struct rank){ hash(source, upstream->address, strlen(upstream->address)), in_turn };
	default:
		return (struct rank){ in_turn, 0 };
	}
}

static bool better(struct rank a, struct rank b)
{
	return a.first > b.first || (a.first == b.first && a.second > b.second);
}

static uint64_t back_off_ms(const struct proxy_settings *settings, unsigned failures, uint64_t random)
{
	uint64_t longest_ms = settings->back_off_ms
		<< (failures > DOUBLINGS_MAX ? DOUBLINGS_MAX : failures - 1);

	return longest_ms - random % (longest_ms / 2 + 1);
}

/* The best of those that are not `skipped` and not left out, else -1. */
static int best(
	const struct proxy_settings *settings, const struct gb_conn *client, uint64_t skipped, uint64_t turn)
{
	const uint32_t source = settings->balance == SOURCE ? source_of(client) : 0;
	const struct shared *shared = settings->shared;
	struct rank best_rank = { 0 };
	int found = -1;

	for (unsigned i = 0; i < shared->count; i++) {
		struct rank rank;

		if (skipped & 1ull << i || atomic_load(&shared->upstreams[i].out_until_ms))
			continue;
		rank = rank_of(shared, i, settings->balance, turn, source);
		if (found < 0 || better(rank, best_rank)) {
			found = (int)i;
			best_rank = rank;
		}
	}
	return found;
}

/* Of those that are left out, the one that comes back first. */
static unsigned soonest(const struct shared *shared)
{
	unsigned found = 0;

	for (unsigned i = 1; i < shared->count; i++)
		if (atomic_load(&shared->upstreams[i].out_until_ms) <
			atomic_load(&shared->upstreams[found].out_until_ms))
			found = i;
	return found;
}

/* Choose one that this client has not tried. Returns its index, or -1: none is left. */
static int choose(const struct proxy_settings *settings, struct pair *pair)
{
	struct shared *shared = settings->shared;
	uint64_t turn = pair->tried ? 0 : atomic_fetch_add_explicit(&shared->turn, 1, memory_order_relaxed);
	int index = best(settings, pair->client, pair->tried, turn);

	if (index < 0) {
		if (pair->tried)
			return -1;
		index = (int)soonest(shared);
	}
	pair->tried |= 1ull << index;
	return index;
}

/* What is no fault of the upstream: this machine, or this process, has no more of something. */
static bool is_own(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS ||
		code == -EADDRNOTAVAIL || code == -ESHUTDOWN || code == -ECANCELED;
}

static void note_success(struct upstream *upstream)
{
	atomic_fetch_add_explicit(&upstream->connected, 1, memory_order_relaxed);
	if (atomic_load_explicit(&upstream->failures, memory_order_relaxed) == 0)
		return;
	atomic_store(&upstream->failures, 0);
	if (atomic_exchange(&upstream->out_until_ms, 0))
		gb_log(GB_LOG_NOTICE, "proxy: %s answers again", upstream->address);
}

/* Of several that fail at the same time the first has it left out. */
static void note_failure(const struct proxy_settings *settings, struct upstream *upstream,
	const struct gb_worker *worker, bool probe, const char *why)
{
	uint64_t now_ms = gb_worker_now_ms(worker), until_ms = atomic_load(&upstream->out_until_ms), out_ms;
	const uint64_t random = gb_worker_clock_ns(worker) / 16;
	unsigned failures = atomic_load(&upstream->failures) + 1;

	atomic_fetch_add_explicit(&upstream->failed, 1, memory_order_relaxed);
	if (until_ms && !probe)
		return;
	out_ms = back_off_ms(settings, failures, hash(failures, &random, sizeof(random)));
	if (!atomic_compare_exchange_strong(&upstream->out_until_ms, &until_ms, now_ms + out_ms))
		return;
	atomic_store(&upstream->failures, failures);
	gb_log(GB_LOG_NOTICE, "proxy: %s is left out for %" PRIu64 " ms: %s", upstream->address, out_ms, why);
}

static void unheard(struct gb_conn *conn, struct gb_bytes bytes)
{
	(void)conn;
	(void)bytes;
}

static const struct gb_service probe_service = {
	GB_SERVICE_INIT,
	.name = "probe",
	.state = GB_STATE_NONE,
	.on_message = unheard,
};

static void on_probed(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct probe *probe = user;
	const struct gb_worker *worker = gb_conn_worker(probe->connecting.conn);

	if (result == 0) {
		note_success(probe->upstream);
		gb_conn_close(probe->connecting.conn);
	} else if (is_own(result)) {
		atomic_store(&probe->upstream->out_until_ms, 1); /* it is as it was: the next one */
	} else {
		note_failure(probe->settings, probe->upstream, worker, true, gb_strerror(result));
	}
	free(probe);
}

static void probe(const struct proxy_settings *settings, struct upstream *upstream, struct gb_worker *worker)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return;
	probe->settings = settings;
	probe->upstream = upstream;
	atomic_fetch_add_explicit(&upstream->tried, 1, memory_order_relaxed);
	if (gb_connect_begin(worker, &probe->connecting, upstream->address, &probe_service, NULL, on_probed,
		    probe, NULL) < 0) {
		atomic_fetch_add_explicit(&upstream->failed, 1, memory_order_relaxed);
		free(probe);
	}
}

/* Those whose time is over. Of several who come then one has it probed; the others' time is over again if that hangs. */
static void probe_all(const struct proxy_settings *settings, struct gb_worker *worker)
{
	struct shared *shared = settings->shared;
	uint64_t now_ms = gb_worker_now_ms(worker);

	for (size_t i = 0; i < shared->count; i++) {
		struct upstream *upstream = &shared->upstreams[i];
		uint64_t until_ms = atomic_load_explicit(&upstream->out_until_ms, memory_order_relaxed);
		uint64_t next_ms = now_ms + (settings->back_off_ms << DOUBLINGS_MAX);

		if (until_ms && until_ms <= now_ms &&
			atomic_compare_exchange_strong(&upstream->out_until_ms, &until_ms, next_ms))
			probe(settings, upstream, worker);
	}
}

static void far_close(struct gb_conn *conn, int reason)
{
	const struct far *far = gb_conn_state(conn);

	(void)reason;
	count_open(far->shared, gb_conn_worker(conn), far->index, -1);
}

static const struct gb_service far_service = {
	GB_SERVICE_INIT,
	.name = "upstream",
	.state = GB_STATE_NONE,
	.conn_state_size = sizeof(struct far),
	.on_message = unheard,
	.on_close = far_close,
};

static void on_connected(struct gb_operation *operation, void *user);

/* Connect to the next upstream. Returns 0, or why there is none. */
static int connect_next(struct pair *pair)
{
	struct gb_worker *worker = gb_conn_worker(pair->client);
	const struct proxy_settings *settings = gb_conn_user(pair->client);
	struct gb_error error = { 0 };
	int index, result;

	while ((index = choose(settings, pair)) >= 0) {
		pair->upstream = &settings->shared->upstreams[index];
		atomic_fetch_add_explicit(&pair->upstream->tried, 1, memory_order_relaxed);
		result = gb_connect_begin(worker, &pair->connecting, pair->upstream->address, &far_service,
			NULL, on_connected, pair, &error);
		if (result == 0) {
			*(struct far *)gb_conn_state(pair->connecting.conn) =
				(struct far){ settings->shared, (unsigned)index };
			count_open(settings->shared, worker, (unsigned)index, 1);
			return 0;
		}
		if (is_own(result)) {
			gb_log(GB_LOG_NOTICE, "proxy: %s", error.text);
			return result;
		}
		note_failure(settings, pair->upstream, worker, false, error.text);
	}
	return -EHOSTUNREACH;
}

/* The client is on its own from here on. */
static void pair_end(struct pair *pair)
{
	if (pair->client)
		*(struct pair **)gb_conn_state(pair->client) = NULL;
	free(pair);
}

static void on_connected(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct pair *pair = user;
	struct gb_conn *client = pair->client;

	if (!client || result == -ECANCELED) {
		/* The upstream is as it was. */
	} else if (result == 0) {
		note_success(pair->upstream);
		result = gb_relay(client, pair->connecting.conn);
		if (result < 0)
			gb_conn_abort(pair->connecting.conn);
	} else {
		if (!is_own(result))
			note_failure(gb_conn_user(client), pair->upstream, gb_conn_worker(client), false,
				gb_strerror(result));
		result = connect_next(pair);
		if (result == 0)
			return;
	}
	pair_end(pair);
	if (client && result < 0)
		gb_conn_abort(client);
}

static int proxy_open(struct gb_conn *client)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	int result;

	if (!pair)
		return -ENOMEM;
	probe_all(gb_conn_user(client), gb_conn_worker(client));
	pair->client = client;
	*(struct pair **)gb_conn_state(client) = pair;
	gb_conn_pause(client);
	result = connect_next(pair);
	if (result < 0) {
		pair_end(pair);
		gb_conn_abort(client);
	}
	return 0;
}

static void proxy_close(struct gb_conn *client, int reason)
{
	struct pair *pair = *(struct pair **)gb_conn_state(client);

	(void)reason;
	if (!pair)
		return;
	pair->client = NULL;
	gb_operation_cancel(&pair->connecting.operation);
}

static int add_upstream(struct shared *shared, const char *text, struct gb_error *error)
{
	struct gb_error why = { 0 };
	char *address;
	int result;

	if (shared->count == UPSTREAMS_MAX)
		return gb_error_set(error, -GB_EUSAGE, "set upstream: more than %u", UPSTREAMS_MAX);
	address = shared->upstreams[shared->count].address;
	result = gb_resolve(text, address, ADDRESS_MAX, &why);
	if (result < 0)
		return gb_error_set(error, result, "set upstream: %s", why.text);
	for (size_t i = 0; i < shared->count; i++)
		if (strcmp(shared->upstreams[i].address, address) == 0)
			return gb_error_set(
				error, -GB_EUSAGE, "set upstream: %s is given twice: write it once", address);
	shared->count++;
	return 0;
}

static int add_upstreams(struct shared *shared, const char *list, struct gb_error *error)
{
	char *words = strdup(list), *rest = words, *word;
	int result = words ? 0 : -ENOMEM;

	while (result == 0 && (word = strsep(&rest, ",")))
		result = add_upstream(shared, word, error);
	free(words);
	return result;
}

static int proxy_prepare(struct gb_server *server, void *user, struct gb_error *error)
{
	struct proxy_settings *settings = user;
	size_t seats = gb_server_workers(server);
	size_t size = sizeof(struct shared) + seats * UPSTREAMS_MAX * sizeof(settings->shared->open[0]);
	struct shared *shared;
	int result;

	if (!settings->upstream || !*settings->upstream)
		return gb_error_set(error, -GB_EUSAGE,
			"the proxy has no upstream: --set upstream=HOST:PORT[,HOST:PORT...]");
	if (settings->prepared++ > 0)
		return 0;
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		settings->prepared--;
		return gb_error_set(error, -ENOMEM, "no memory for the proxy's upstreams");
	}
	shared->size = size;
	shared->seats = seats;
	result = add_upstreams(shared, settings->upstream, error);
	if (result < 0) {
		munmap(shared, size);
		settings->prepared--;
		return result;
	}
	settings->shared = shared;
	return 0;
}

static void tell_counters(struct shared *shared)
{
	for (size_t i = 0; i < shared->count; i++) {
		struct upstream *upstream = &shared->upstreams[i];

		gb_log(GB_LOG_INFO, "proxy: %s: tried %" PRIu64 ", connected %" PRIu64 ", failed %" PRIu64,
			upstream->address, atomic_load(&upstream->tried), atomic_load(&upstream->connected),
			atomic_load(&upstream->failed));
	}
}

static void proxy_release(void *user)
{
	struct proxy_settings *settings = user;

	if (--settings->prepared > 0)
		return;
	tell_counters(settings->shared);
	munmap(settings->shared, settings->shared->size);
	settings->shared = NULL;
}

/* What the one who had this place had open, when it came to a bad end. */
static int proxy_start(struct gb_worker *worker, void *user)
{
	struct shared *shared = ((struct proxy_settings *)user)->shared;
	size_t seat = gb_worker_id(worker);

	for (unsigned i = 0; i < shared->count && seat < shared->seats; i++) {
		int64_t left = atomic_exchange(&shared->open[seat * UPSTREAMS_MAX + i], 0);

		if (left != 0)
			atomic_fetch_sub(&shared->upstreams[i].open, left);
	}
	return 0;
}

static void print_quoted(FILE *stream, const char *text)
{
	fputc('"', stream);
	for (; *text; text++)
		fprintf(stream, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	fputc('"', stream);
}

static void print_counters(FILE *stream, struct upstream *upstream)
{
	fprintf(stream, "{\"address\": ");
	print_quoted(stream, upstream->address);
	fprintf(stream,
		", \"tried\": %" PRIu64 ", \"connected\": %" PRIu64 ", \"failed\": %" PRIu64
		", \"open\": %" PRId64 ", \"left_out\": %s}",
		atomic_load(&upstream->tried), atomic_load(&upstream->connected),
		atomic_load(&upstream->failed), atomic_load(&upstream->open),
		atomic_load(&upstream->out_until_ms) ? "true" : "false");
}

static int proxy_summary(void *user, char *text, size_t size)
{
	struct shared *shared = ((struct proxy_settings *)user)->shared;
	char *all = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&all, &length);
	int result = -ENOMEM;

	if (!stream)
		return result;
	fprintf(stream, "{\"upstreams\": [");
	for (size_t i = 0; i < shared->count; i++) {
		if (i > 0)
			fprintf(stream, ", ");
		print_counters(stream, &shared->upstreams[i]);
	}
	fprintf(stream, "]}");
	if (fclose(stream) == 0)
		result = snprintf(text, size, "%s", all);
	free(all);
	return result;
}

const struct gb_service gb_service_proxy = {
	GB_SERVICE_INIT,
	.name = "proxy",
	.summary = "forwards each connection to one of several upstreams",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE,
	.conn_state_size = sizeof(struct pair *),
	.settings = proxy_settings,
	.settings_size = sizeof(struct proxy_settings),
	.on_prepare = proxy_prepare,
	.on_release = proxy_release,
	.on_summary = proxy_summary,
	.on_start = proxy_start,
	.on_open = proxy_open,
	.on_message = unheard,
	.on_close = proxy_close,
};
