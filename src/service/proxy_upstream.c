/*
 * Health is learned by connecting: an upstream that failed is left out for a time that doubles with each failure, with
 * jitter. Whoever comes then has it probed, by a connection of nobody's, and takes another one himself. Where none is
 * left, the one whose time ends first is tried all the same.
 *
 * What is known of upstreams lies in memory that all workers share, be they threads or processes: under one process a
 * connection there is nobody else to remember whose turn it is.
 */
#include "proxy_upstream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define UPSTREAMS_MAX 64u
#define ADDRESS_MAX 448u /* holds any */
#define DOUBLINGS_MAX 5u /* of the back-off */

struct proxy_upstream {
	char address[ADDRESS_MAX];
	_Atomic uint64_t tried, connected, failed; /* so often */
	_Atomic int64_t open;                      /* now, those that connect included */
	_Atomic uint64_t out_until_ms;             /* left out until then; 0: it is healthy */
	_Atomic unsigned failures;                 /* since the last success */
};

struct proxy_shared {
	size_t size; /* of it all */
	_Atomic uint64_t turn;
	size_t count, seats;
	struct proxy_upstream upstreams[UPSTREAMS_MAX];
	/* Of each worker's place and upstream: one that crashed leaves them to the next one there. */
	_Atomic int64_t open[];
};

/* A connection that is made to see whether it can be. */
struct probe {
	struct gb_connecting connecting;
	const struct proxy_group *group;
	struct proxy_upstream *upstream;
};

/* Upstreams that are open, in all and of this worker. */
static void count_open(
	struct proxy_shared *shared, const struct gb_worker *worker, unsigned index, int change)
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

static struct rank rank_of(const struct proxy_shared *shared, unsigned index, enum proxy_balance balance,
	uint64_t turn, uint32_t source)
{
	const struct proxy_upstream *upstream = &shared->upstreams[index];
	int64_t in_turn = -(int64_t)((index + shared->count - turn % shared->count) % shared->count);

	switch (balance) {
	case PROXY_LEAST_CONNECTIONS:
		return (struct rank){ -atomic_load_explicit(&upstream->open, memory_order_relaxed), in_turn };
	case PROXY_SOURCE:
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

static uint64_t back_off_ms(const struct proxy_group *group, unsigned failures, uint64_t random)
{
	uint64_t longest_ms = group->back_off_ms << (failures > DOUBLINGS_MAX ? DOUBLINGS_MAX : failures - 1);

	return longest_ms - random % (longest_ms / 2 + 1);
}

/* The best of those that are not `skipped` and not left out, else -1. */
static int best(const struct proxy_group *group, uint32_t source, uint64_t skipped, uint64_t turn)
{
	const struct proxy_shared *shared = group->shared;
	struct rank best_rank = { 0 };
	int found = -1;

	for (unsigned i = 0; i < shared->count; i++) {
		struct rank rank;

		if (skipped & 1ull << i || atomic_load(&shared->upstreams[i].out_until_ms))
			continue;
		rank = rank_of(shared, i, group->balance, turn, source);
		if (found < 0 || better(rank, best_rank)) {
			found = (int)i;
			best_rank = rank;
		}
	}
	return found;
}

/* Of those that are left out, the one that comes back first. */
static unsigned soonest(const struct proxy_shared *shared)
{
	unsigned found = 0;

	for (unsigned i = 1; i < shared->count; i++)
		if (atomic_load(&shared->upstreams[i].out_until_ms) <
			atomic_load(&shared->upstreams[found].out_until_ms))
			found = i;
	return found;
}

/* Choose one that this client has not tried. Returns its index, or -1: none is left. */
static int choose(struct proxy_link *link)
{
	struct proxy_shared *shared = link->group->shared;
	uint64_t turn = link->tried ? 0 : atomic_fetch_add_explicit(&shared->turn, 1, memory_order_relaxed);
	int index = best(link->group, link->source, link->tried, turn);

	if (index < 0) {
		if (link->tried)
			return -1;
		index = (int)soonest(shared);
	}
	link->tried |= 1ull << index;
	return index;
}

/* What is no fault of the upstream: this machine, or this process, has no more of something. */
static bool is_own(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS ||
		code == -EADDRNOTAVAIL || code == -ESHUTDOWN || code == -ECANCELED;
}

static void note_success(struct proxy_upstream *upstream)
{
	atomic_fetch_add_explicit(&upstream->connected, 1, memory_order_relaxed);
	if (atomic_load_explicit(&upstream->failures, memory_order_relaxed) == 0)
		return;
	atomic_store(&upstream->failures, 0);
	if (atomic_exchange(&upstream->out_until_ms, 0))
		gb_log(GB_LOG_NOTICE, "proxy: %s answers again", upstream->address);
}

/* Of several that fail at the same time the first has it left out. */
static void note_failure(const struct proxy_group *group, struct proxy_upstream *upstream,
	const struct gb_worker *worker, bool probe, const char *why)
{
	uint64_t now_ms = gb_worker_now_ms(worker), until_ms = atomic_load(&upstream->out_until_ms), out_ms;
	const uint64_t random = gb_worker_clock_ns(worker) / 16;
	unsigned failures = atomic_load(&upstream->failures) + 1;

	atomic_fetch_add_explicit(&upstream->failed, 1, memory_order_relaxed);
	if (until_ms && !probe)
		return;
	out_ms = back_off_ms(group, failures, hash(failures, &random, sizeof(random)));
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
		note_failure(probe->group, probe->upstream, worker, true, gb_strerror(result));
	}
	free(probe);
}

/* As the first bytes of what connects. A client that has gone has no addresses any more. */
static void send_header(
	const struct proxy_group *group, struct gb_connecting *connecting, struct gb_conn *client)
{
	if (group->send_proxy != GB_PROXY_NONE &&
		gb_conn_send_proxy(connecting->conn, client, group->send_proxy) < 0)
		gb_operation_cancel(&connecting->operation);
}

static void probe(const struct proxy_group *group, struct proxy_upstream *upstream, struct gb_worker *worker)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return;
	probe->group = group;
	probe->upstream = upstream;
	atomic_fetch_add_explicit(&upstream->tried, 1, memory_order_relaxed);
	if (gb_connect_begin(worker, &probe->connecting, upstream->address, &group->probe, NULL, on_probed,
		    probe, NULL) < 0) {
		atomic_fetch_add_explicit(&upstream->failed, 1, memory_order_relaxed);
		free(probe);
		return;
	}
	send_header(group, &probe->connecting, NULL);
}

/* Those whose time is over. Of several who come then one has it probed; the others' time is over again if that hangs. */
void proxy_group_probe(struct proxy_group *group, struct gb_worker *worker)
{
	struct proxy_shared *shared = group->shared;
	uint64_t now_ms = gb_worker_now_ms(worker);

	for (size_t i = 0; i < shared->count; i++) {
		struct proxy_upstream *upstream = &shared->upstreams[i];
		uint64_t until_ms = atomic_load_explicit(&upstream->out_until_ms, memory_order_relaxed);
		uint64_t next_ms = now_ms + (group->back_off_ms << DOUBLINGS_MAX);

		if (until_ms && until_ms <= now_ms &&
			atomic_compare_exchange_strong(&upstream->out_until_ms, &until_ms, next_ms))
			probe(group, upstream, worker);
	}
}

void proxy_far_close(struct gb_conn *conn)
{
	const struct proxy_far *far = gb_conn_state(conn);

	if (far->shared)
		count_open(far->shared, gb_conn_worker(conn), far->index, -1);
}

static void on_connected(struct gb_operation *operation, void *user);

/* Connect to the next upstream. Returns 0, or why there is none. */
static int connect_next(struct proxy_link *link)
{
	struct proxy_shared *shared = link->group->shared;
	struct gb_error error = { 0 };
	int index, result;

	while ((index = choose(link)) >= 0) {
		link->upstream = &shared->upstreams[index];
		atomic_fetch_add_explicit(&link->upstream->tried, 1, memory_order_relaxed);
		result = gb_connect_begin(link->worker, &link->connecting, link->upstream->address,
			&link->group->far, NULL, on_connected, link, &error);
		if (result == 0) {
			*(struct proxy_far *)gb_conn_state(link->connecting.conn) =
				(struct proxy_far){ shared, (unsigned)index };
			count_open(shared, link->worker, (unsigned)index, 1);
			send_header(link->group, &link->connecting, link->client);
			return 0;
		}
		if (is_own(result)) {
			gb_log(GB_LOG_NOTICE, "proxy: %s", error.text);
			return result;
		}
		note_failure(link->group, link->upstream, link->worker, false, error.text);
	}
	return -EHOSTUNREACH;
}

static void on_connected(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct proxy_link *link = user;

	if (result == 0) {
		note_success(link->upstream);
	} else if (result != -ECANCELED) {
		if (!is_own(result))
			note_failure(link->group, link->upstream, link->worker, false, gb_strerror(result));
		result = link->client ? connect_next(link) : -ECANCELED;
		if (result == 0)
			return;
	}
	link->on_done(link, result);
}

int proxy_link_begin(struct proxy_link *link, struct proxy_group *group, struct gb_conn *client,
	void (*on_done)(struct proxy_link *link, int result))
{
	link->group = group;
	link->worker = gb_conn_worker(client);
	link->client = client;
	link->source = group->balance == PROXY_SOURCE ? source_of(client) : 0;
	link->tried = 0;
	link->on_done = on_done;
	return connect_next(link);
}

void proxy_link_cancel(struct proxy_link *link)
{
	link->client = NULL;
	gb_operation_cancel(&link->connecting.operation);
}

static int add_upstream(
	struct proxy_shared *shared, const char *key, const char *text, struct gb_error *error)
{
	struct gb_error why = { 0 };
	char *address;
	int result;

	if (shared->count == UPSTREAMS_MAX)
		return gb_error_set(error, -GB_EUSAGE, "set %s: more than %u", key, UPSTREAMS_MAX);
	address = shared->upstreams[shared->count].address;
	result = gb_name_check(text, &why);
	if (result < 0)
		return gb_error_set(error, result, "set %s: %s", key, why.text);
	if (strncmp(text, "unix-seqpacket:", sizeof("unix-seqpacket:") - 1) == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"set %s: %s is a socket of packets, and what is sent on is a stream: write unix:PATH",
			key, text);
	snprintf(address, ADDRESS_MAX, "%s", text);
	for (size_t i = 0; i < shared->count; i++)
		if (strcmp(shared->upstreams[i].address, address) == 0)
			return gb_error_set(
				error, -GB_EUSAGE, "set %s: %s is given twice: write it once", key, address);
	shared->count++;
	return 0;
}

static int add_upstreams(
	struct proxy_shared *shared, const char *key, const char *list, struct gb_error *error)
{
	char *words = strdup(list), *rest = words, *word;
	int result = words ? 0 : -ENOMEM;

	while (result == 0 && (word = strsep(&rest, ",")))
		result = add_upstream(shared, key, word, error);
	free(words);
	return result;
}

int proxy_group_create(
	struct proxy_group *group, const char *key, const char *list, size_t workers, struct gb_error *error)
{
	size_t size = sizeof(struct proxy_shared) + workers * UPSTREAMS_MAX * sizeof(group->shared->open[0]);
	struct proxy_shared *shared =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int result;

	if (shared == MAP_FAILED)
		return gb_error_set(error, -ENOMEM, "no memory for the proxy's upstreams");
	shared->size = size;
	shared->seats = workers;
	result = add_upstreams(shared, key, list, error);
	if (result < 0) {
		munmap(shared, size);
		return result;
	}
	group->shared = shared;
	group->probe = probe_service;
	group->probe.tls = group->far.tls;
	return 0;
}

static void tell_counters(struct proxy_shared *shared)
{
	for (size_t i = 0; i < shared->count; i++) {
		struct proxy_upstream *upstream = &shared->upstreams[i];

		gb_log(GB_LOG_INFO, "proxy: %s: tried %" PRIu64 ", connected %" PRIu64 ", failed %" PRIu64,
			upstream->address, atomic_load(&upstream->tried), atomic_load(&upstream->connected),
			atomic_load(&upstream->failed));
	}
}

void proxy_group_destroy(struct proxy_group *group)
{
	tell_counters(group->shared);
	munmap(group->shared, group->shared->size);
	group->shared = NULL;
}

void proxy_group_start(struct proxy_group *group, const struct gb_worker *worker)
{
	struct proxy_shared *shared = group->shared;
	size_t seat = gb_worker_id(worker);

	for (unsigned i = 0; i < shared->count && seat < shared->seats; i++) {
		int64_t left = atomic_exchange(&shared->open[seat * UPSTREAMS_MAX + i], 0);

		if (left != 0)
			atomic_fetch_sub(&shared->upstreams[i].open, left);
	}
}

static void print_quoted(FILE *stream, const char *text)
{
	fputc('"', stream);
	for (; *text; text++)
		fprintf(stream, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	fputc('"', stream);
}

static void print_counters(FILE *stream, struct proxy_upstream *upstream)
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

void proxy_group_print(struct proxy_group *group, FILE *stream)
{
	fprintf(stream, "[");
	for (size_t i = 0; i < group->shared->count; i++) {
		if (i > 0)
			fprintf(stream, ", ");
		print_counters(stream, &group->shared->upstreams[i]);
	}
	fprintf(stream, "]");
}
