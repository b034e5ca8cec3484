#include "model/handover.h"

#include "base/assert.h"
#include "base/hash.h"
#include "model/crew.h"

#include <netinet/in.h>

#define ON_THE_WAY_MAX 256u /* then it is stuck, or has more than it can do, and others are given the next */

const struct gb__handover_ops *gb__handover_of(const struct gb__model *model)
{
	if (model->accept != GB__ACCEPT_ACCEPTOR)
		return NULL;
	if (model->workers == GB__WORKERS_PER_CONNECTION)
		return &gb__handover_spawn;
	if (model->unit == GB__UNIT_PROCESS)
		return &gb__handover_channel;
	return model->engine == GB__ENGINE_BLOCKING ? &gb__handover_pull : &gb__handover_inbox;
}

static unsigned place_round_robin(struct gb__crew *crew, struct gb__handed handed)
{
	return crew->next++ % crew->seats_count;
}

/* What was given to it and has not arrived. */
static uint64_t on_the_way(const struct gb__seat *seat)
{
	const struct gb_stats *stats = &seat->crew->server->shared->records[seat->id].counters.stats;
	uint64_t accepted = __atomic_load_n(&stats->accepted, __ATOMIC_RELAXED);

	return seat->given > accepted ? seat->given - accepted : 0;
}

/* What it serves, and what is on the way; the search begins behind the last choice, so that equals take turns. */
static unsigned place_least_connections(struct gb__crew *crew, struct gb__handed handed)
{
	uint64_t least = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < crew->seats_count; i++) {
		unsigned at = (crew->next + i) % crew->seats_count;
		const struct gb_stats *stats = &crew->server->shared->records[at].counters.stats;
		uint64_t load =
			__atomic_load_n(&stats->connections, __ATOMIC_RELAXED) + on_the_way(&crew->seats[at]);

		if (load < least) {
			least = load;
			best = at;
		}
	}
	crew->next = best + 1;
	return best;
}

/* xorshift64 (Marsaglia, 2003). */
static unsigned place_random(struct gb__crew *crew, struct gb__handed handed)
{
	crew->random ^= crew->random << 13;
	crew->random ^= crew->random >> 7;
	crew->random ^= crew->random << 17;
	return (unsigned)(crew->random % crew->seats_count);
}

/* By the peer's IP address, so that one client always meets the same worker. */
static unsigned place_hash(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__address address;
	uint32_t hash;

	if (gb__socket_peer(handed.fd, &address) < 0)
		return 0;
	switch (address.any.sa_family) {
	case AF_INET:
		hash = gb__hash32_add(GB__HASH32, &address.v4.sin_addr, sizeof(address.v4.sin_addr));
		break;
	case AF_INET6:
		hash = gb__hash32_add(GB__HASH32, &address.v6.sin6_addr, sizeof(address.v6.sin6_addr));
		break;
	default:
		return place_round_robin(crew, handed); /* Unix peers have no address */
	}
	return (hash ^ hash >> 16) % crew->seats_count;
}

/* Whether connections given to it are served soon: it lives, has begun, was not told to end, looks at what it is given,
 * is not full. */
static bool fit(const struct gb__seat *seat)
{
	const struct gb_server *server = seat->crew->server;
	const struct gb__record *record = &server->shared->records[seat->id];

	return seat->taken && !atomic_load(&record->away) && on_the_way(seat) < ON_THE_WAY_MAX &&
		__atomic_load_n(&record->counters.stats.connections, __ATOMIC_RELAXED) <
		server->worker_connections_max;
}

struct gb__seat *gb__crew_place(struct gb__crew *crew, struct gb__handed handed)
{
	static unsigned (*const places[])(struct gb__crew * crew, struct gb__handed handed) = {
		[GB__PLACE_AUTO] = place_round_robin,
		[GB__PLACE_ROUND_ROBIN] = place_round_robin,
		[GB__PLACE_LEAST_CONNECTIONS] = place_least_connections,
		[GB__PLACE_RANDOM] = place_random,
		[GB__PLACE_HASH] = place_hash,
	};
	const unsigned count = crew->seats_count;
	unsigned at;

	gb__assert(count > 0);
	at = places[crew->server->model.place](crew, handed);
	for (unsigned i = 0; i < 2 * count; i++) {
		struct gb__seat *seat = &crew->seats[(at + i) % count];

		/* If nobody is fit, one who lives. */
		if (i < count ? fit(seat) : seat->taken)
			return seat;
	}
	return &crew->seats[at];
}

static int inbox_init(struct gb__crew *crew)
{
	return 0;
}

static void inbox_finish(struct gb__crew *crew)
{
}

static void inbox_give(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__seat *seat = gb__crew_place(crew, handed);

	if (gb__inbox_put(&seat->worker->inbox, &seat->worker->loop, handed) < 0)
		gb__worker_refuse(crew->chief, handed, GB_CLOSE_NO_MEMORY);
	else
		seat->given++;
}

/* Every worker has an inbox. */
static int inbox_join(struct gb__seat *seat, struct gb_worker *worker)
{
	return 0;
}

const struct gb__handover_ops gb__handover_inbox = {
	.init = inbox_init, .finish = inbox_finish, .give = inbox_give, .join = inbox_join
};
