/*
 * A table of predicates: what can never work. What to take instead is not written down anywhere: it is
 * searched for among all models, by what would have to change.
 */
#include "model/legality.h"

#include "base/assert.h"
#include "base/macros.h"
#include "net/parts.h"
#include "net/route.h"

#include "pool/exchange.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A model, perhaps with what is to run under it. */
struct subject {
	const struct gb__model *model;
	const struct gb_service *service; /* NULL: none in particular */
	bool ip_address;
};

struct rule {
	bool (*broken)(const struct gb__model *model);
	const char *text; /* a clause that can end in "; …" */
};

static bool per_connection(const struct gb__model *m)
{
	return m->workers == GB__WORKERS_PER_CONNECTION;
}

/* An event engine serves many connections at once; `auto` takes one. */
static bool event_engine(const struct gb__model *m)
{
	return m->engine != GB__ENGINE_BLOCKING;
}

static bool per_connection_without_acceptor(const struct gb__model *m)
{
	return per_connection(m) && m->accept != GB__ACCEPT_ACCEPTOR;
}

static bool per_connection_with_events(const struct gb__model *m)
{
	return per_connection(m) && event_engine(m);
}

static bool per_connection_with_pool(const struct gb__model *m)
{
	return per_connection(m) && m->compute != GB__COMPUTE_INLINE;
}

static bool blocking_with_pool(const struct gb__model *m)
{
	return !event_engine(m) && m->compute != GB__COMPUTE_INLINE;
}

static bool wake_without_sharing(const struct gb__model *m)
{
	return m->wake != GB__WAKE_AUTO && (m->accept != GB__ACCEPT_SHARED || m->workers == 1);
}

static bool wake_exclusive_unknown(const struct gb__model *m)
{
	return m->wake == GB__WAKE_EXCLUSIVE &&
		(m->engine == GB__ENGINE_BUSY || m->engine == GB__ENGINE_SELECT ||
			m->engine == GB__ENGINE_POLL || m->engine == GB__ENGINE_IO_URING);
}

static bool place_without_acceptor(const struct gb__model *m)
{
	return m->place != GB__PLACE_AUTO && m->accept != GB__ACCEPT_ACCEPTOR;
}

static bool place_on_blocking(const struct gb__model *m)
{
	return m->place != GB__PLACE_AUTO && !event_engine(m);
}

static bool batch_on_blocking(const struct gb__model *m)
{
	return m->accept_batch > 1 && m->accept != GB__ACCEPT_ACCEPTOR && !event_engine(m);
}

static bool batch_on_completions(const struct gb__model *m)
{
	return m->accept_batch != 0 && m->engine == GB__ENGINE_IO_URING;
}

static bool pool_size_without_pool(const struct gb__model *m)
{
	return m->compute_workers != 0 && m->compute == GB__COMPUTE_INLINE;
}

static const struct rule illegal[] = {
	{ per_connection_without_acceptor,
		"workers=per-connection needs accept=acceptor: somebody must accept before there is a worker" },
	{ per_connection_with_events,
		"workers=per-connection needs engine=blocking: one connection leaves nothing to multiplex" },
	{ per_connection_with_pool,
		"workers=per-connection needs compute=inline: the worker itself computes" },
	{ blocking_with_pool, "engine=blocking needs compute=inline: the worker itself computes" },
	{ wake_without_sharing,
		"wake needs accept=shared and more than one worker: otherwise only one waits for a connection" },
	{ wake_exclusive_unknown,
		"wake=exclusive needs engine epoll or blocking: select, poll and busy always wake all, and a ring "
		"would keep what woke it while its thread is at work" },
	{ place_without_acceptor,
		"place needs accept=acceptor: otherwise workers take connections themselves" },
	{ place_on_blocking,
		"place needs an event engine: blocking workers pull, so that none strands a client behind another" },
	{ batch_on_blocking,
		"accept-batch above 1 needs accept=acceptor or an event engine: a blocking worker serves one "
		"connection at a time" },
	{ batch_on_completions,
		"accept-batch needs an engine that waits for readiness: io_uring takes connections as they come" },
	{ pool_size_without_pool,
		"compute-workers needs compute=threads or compute=processes: otherwise there is no pool" },
	{ NULL },
};

static const char *first_broken(const struct rule *rules, const struct gb__model *model)
{
	for (; rules->broken; rules++)
		if (rules->broken(model))
			return rules->text;
	return NULL;
}

/* Whether any of its handlers are for a pool: straight-line ones stay on their worker's thread, and routes that are short. */
static bool computes(const struct gb_service *service)
{
	return !service->serve &&
		(!service->routes ||
			(gb__service_traits(service) & (GB_TRAIT_MAY_BLOCK | GB_TRAIT_HEAVY_COMPUTE)));
}

/* Whether threads of a pool run its handlers. */
static bool pooled(const struct gb__model *m, const struct gb_service *service)
{
	return m->compute == GB__COMPUTE_THREADS && computes(service);
}

/* Whether handlers of one address space may run on several threads at once. */
static bool beside_in_one_space(const struct gb__model *m, const struct gb_service *service)
{
	return pooled(m, service) || (m->unit == GB__UNIT_THREAD && m->workers != 1);
}

/* Whether its handlers run in processes of a pool, apart from the connections. */
static bool apart(const struct gb__model *m, const struct gb_service *service)
{
	return m->compute == GB__COMPUTE_PROCESSES && computes(service);
}

/* What it shares, or keeps with a connection, that a process of a pool does not see. Or NULL. */
static const char *objection_to_processes(const struct gb_service *service)
{
	if (service->state == GB_STATE_UNSPECIFIED)
		return "processes run its handlers, and it does not say what they share: set .state (GB_STATE_NONE if "
		       "nothing), or take compute=threads";
	if (service->state == GB_STATE_ADDRESS_SPACE)
		return "its state lives in one address space, which the processes of a pool do not share, so that it "
		       "needs compute=threads or inline";
	if (service->state == GB_STATE_WORKER && !(service->traits & GB_TRAIT_STATE_APART))
		return "its state belongs to a worker, and each process of a pool has its own: if handlers need not "
		       "meet there, say so with GB_TRAIT_STATE_APART; else it needs compute=threads or inline";
	if (service->conn_state_size > 0 && !(service->traits & GB_TRAIT_MOVABLE_IDLE))
		return "its connections have state, which would be copied to a process and back: if it is plain bytes "
		       "without pointers, say so with GB_TRAIT_MOVABLE_IDLE; else it needs compute=threads or inline";
	if (service->conn_state_size > GB__EXCHANGE_STATE_MAX)
		return "the state of its connections is larger than 4,096 bytes, the most that is copied to a process "
		       "and back, so that it needs compute=threads or inline";
	if (gb__service_takes_parts(service))
		return "it takes messages in parts, which would reach several processes of a pool, each with its own "
		       "memory, so that it needs compute=threads or inline";
	if (service->codec && service->codec->state_size > 0)
		return "its codec keeps state with the connection, which a process of a pool does not have, so that it "
		       "needs compute=threads or inline";
	return NULL;
}

/* What the service or its address forbids, or NULL. */
static const char *service_objection(const struct subject *subject)
{
	const struct gb__model *m = subject->model;
	const struct gb_service *service = subject->service;

	if (!service)
		return NULL;
	if (!subject->ip_address && m->accept == GB__ACCEPT_REUSEPORT)
		return "accept=reuseport needs an IP address: Unix sockets refuse it";
	if (apart(m, service) && objection_to_processes(service))
		return objection_to_processes(service);
	if (service->state == GB_STATE_ADDRESS_SPACE && m->unit == GB__UNIT_PROCESS && m->workers != 1)
		return "its state lives in one address space, so that it needs unit=thread or one worker";
	if (service->state == GB_STATE_ADDRESS_SPACE && beside_in_one_space(m, service) &&
		!(service->traits & GB_TRAIT_THREAD_SAFE))
		return pooled(m, service)
			? "a pool runs its handlers beside one another, and its state lives in one address space "
			  "without GB_TRAIT_THREAD_SAFE (it locks what they share), so that it needs compute=inline"
			: "several threads run its handlers beside one another, and its state lives in one address "
			  "space without GB_TRAIT_THREAD_SAFE (it locks what they share), so that it needs workers=1";
	if (service->state == GB_STATE_UNSPECIFIED && pooled(m, service) &&
		!(service->traits & GB_TRAIT_THREAD_SAFE))
		return "a pool runs its handlers beside one another, and it does not say what they share: set .state "
		       "(GB_STATE_NONE if nothing), or take compute=inline";
	if (service->state == GB_STATE_WORKER && pooled(m, service) &&
		!(service->traits & GB_TRAIT_THREAD_SAFE))
		return "its state belongs to a worker and it does not declare itself thread-safe, so that it needs "
		       "compute=inline";
	return NULL;
}

static bool passes(const struct subject *subject)
{
	return !first_broken(illegal, subject->model) && !service_objection(subject);
}

/*
 * How far `to` is from `from`. Axes weigh most; then those that were typed, which the user cares about;
 * then further keys given up; then the order in which one parts with axes most easily.
 */
static unsigned distance(const struct gb__model *from, const struct gb__model *to)
{
	static const unsigned reluctance[] = { [GB__KEY_COMPUTE] = 1,
		[GB__KEY_ACCEPT] = 2,
		[GB__KEY_UNIT] = 3,
		[GB__KEY_WORKERS] = 4,
		[GB__KEY_ENGINE] = 5 };
	unsigned sum = 0;

	for (unsigned key = 0; key < GB__KEY_COUNT; key++) {
		if (gb__model_get(from, key) == gb__model_get(to, key))
			continue;
		if (key > GB__KEY_COMPUTE) {
			sum += 100;
			continue;
		}
		sum += 100000 + reluctance[key];
		if (key == GB__KEY_COMPUTE && from->compute != GB__COMPUTE_INLINE) /* a pool for a pool */
			sum += to->compute == GB__COMPUTE_INLINE;
		if (from->given & 1u << key)
			sum += 10000;
	}
	return sum;
}

/* Values worth proposing, best first; KEEP stands for the one that the model has. */
#define KEEP (UINT_MAX - 1)
#define PROPOSALS_MAX 7
static const struct {
	unsigned count;
	unsigned values[PROPOSALS_MAX];
} proposals[GB__KEY_COUNT] = {
	[GB__KEY_ACCEPT] = { 3, { GB__ACCEPT_ACCEPTOR, GB__ACCEPT_SHARED, GB__ACCEPT_REUSEPORT } },
	[GB__KEY_UNIT] = { 2, { GB__UNIT_THREAD, GB__UNIT_PROCESS } },
	[GB__KEY_WORKERS] = { 4, { KEEP, GB__WORKERS_DEFAULT, 1, GB__WORKERS_PER_CONNECTION } },
	[GB__KEY_ENGINE] = { 7,
		{ KEEP, GB__ENGINE_EPOLL, GB__ENGINE_IO_URING, GB__ENGINE_POLL, GB__ENGINE_SELECT,
			GB__ENGINE_BLOCKING, GB__ENGINE_BUSY } },
	[GB__KEY_COMPUTE] = { 3, { GB__COMPUTE_INLINE, GB__COMPUTE_THREADS, GB__COMPUTE_PROCESSES } },
	[GB__KEY_WAKE] = { 2, { KEEP, GB__WAKE_AUTO } },
	[GB__KEY_PLACE] = { 2, { KEEP, GB__PLACE_AUTO } },
	[GB__KEY_ACCEPT_BATCH] = { 2, { KEEP, 0 } },
	[GB__KEY_STACK] = { 2, { KEEP, 0 } },
	[GB__KEY_COMPUTE_WORKERS] = { 2, { KEEP, 0 } },
};

/* Counts `digits` up by one, digit `key` below its proposals' count. False when it starts over. */
static bool count_up(unsigned digits[GB__KEY_COUNT])
{
	for (unsigned key = GB__KEY_COUNT; key-- > 0; digits[key] = 0)
		if (++digits[key] < proposals[key].count)
			return true;
	return false;
}

/* The nearest model that passes; ties go to the first in the order of proposals. There always is one: iterative. */
static struct gb__model nearest(const struct subject *subject)
{
	unsigned digits[GB__KEY_COUNT] = { 0 }, best = UINT_MAX;
	struct gb__model ret = *subject->model;

	do {
		struct gb__model candidate = *subject->model;
		struct subject proposed = *subject;
		unsigned far;

		for (unsigned key = 0; key < GB__KEY_COUNT; key++) {
			unsigned value = proposals[key].values[digits[key]];

			if (value != KEEP)
				gb__model_set(&candidate, key, value);
		}
		proposed.model = &candidate;
		far = distance(subject->model, &candidate);
		if (far < best && passes(&proposed)) {
			best = far;
			ret = candidate;
		}
	} while (count_up(digits));
	gb__assert(best != UINT_MAX);
	return ret;
}

/* Says what is wrong and what would be right. `who` begins the text. */
static int refuse(
	const struct subject *subject, int code, const char *who, const char *why, struct gb_error *error)
{
	char name[GB__MODEL_SPEC_MAX], spec[GB__MODEL_SPEC_MAX];
	struct gb__model better;

	if (!error)
		return code;
	better = nearest(subject);
	gb__model_name(&better, name, sizeof(name));
	gb__model_format(&better, spec, sizeof(spec));
	if (strcmp(name, spec) == 0)
		return gb_error_set(error, code, "%s: %s; nearest is %s", who, why, spec);
	return gb_error_set(error, code, "%s: %s; nearest is %s (%s)", who, why, name, spec);
}

bool gb__model_legal(const struct gb__model *model)
{
	return !first_broken(illegal, model);
}

int gb__model_check(const struct gb__model *model, struct gb_error *error)
{
	struct subject subject = { .model = model };
	const char *why = first_broken(illegal, model);

	if (why)
		return refuse(&subject, -GB_EILLEGAL, "illegal model", why, error);
	return 0;
}

int gb__model_check_service(const struct gb__model *model, const struct gb_service *service, bool ip_address,
	struct gb_error *error)
{
	struct subject subject = { .model = model, .service = service, .ip_address = ip_address };
	const char *why = service_objection(&subject);
	char who[128];

	if (why) {
		snprintf(who, sizeof(who), "illegal model for %s", service->name);
		return refuse(&subject, -GB_EILLEGAL, who, why, error);
	}
	if (gb__service_traits(service) & GB_TRAIT_MAY_BLOCK && event_engine(model) &&
		model->compute == GB__COMPUTE_INLINE)
		return gb_error_set(error, 1,
			"%s may block: under engine=%s with compute=inline one handler that waits stops all "
			"connections of its worker",
			service->name, gb__model_engine_name(model->engine));
	if (service->state == GB_STATE_WORKER && !event_engine(model) &&
		!(service->traits & GB_TRAIT_STATE_APART))
		return gb_error_set(error, 1,
			"%s shares state among the connections of a worker: under engine=blocking there is one at a "
			"time, so that no two meet; if they need not, say so with GB_TRAIT_STATE_APART",
			service->name);
	return 0;
}

size_t gb__model_combinations(struct gb__model *out, size_t max)
{
	static const unsigned workers[] = { 1, GB__WORKERS_DEFAULT, GB__WORKERS_PER_CONNECTION };
	enum {
		ACCEPTS = GB__ACCEPT_REUSEPORT + 1,
		UNITS = GB__UNIT_PROCESS + 1,
		WORKERS = gb__countof(workers)
	};
	enum { ENGINES = GB__ENGINE_IO_URING, COMPUTES = GB__COMPUTE_PROCESSES + 1 }; /* without auto */
	size_t count = 0;

	for (unsigned i = 0; i < ACCEPTS * UNITS * WORKERS * ENGINES * COMPUTES; i++) {
		struct gb__model model = {
			.accept = i / (COMPUTES * ENGINES * WORKERS * UNITS),
			.unit = i / (COMPUTES * ENGINES * WORKERS) % UNITS,
			.workers = workers[i / (COMPUTES * ENGINES) % WORKERS],
			.engine = GB__ENGINE_BLOCKING + i / COMPUTES % ENGINES,
			.compute = i % COMPUTES,
		};

		if (!gb__model_legal(&model))
			continue;
		if (count < max)
			out[count] = model;
		count++;
	}
	return count;
}
