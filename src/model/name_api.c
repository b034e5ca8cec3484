/* Names for handlers, and the part of a worker that resolves them. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "model/worker.h"
#include "name/lookup.h"
#include "name/names.h"
#include "net/dial.h"

#include <gearbox/name.h>

#include <errno.h>
#include <string.h>

static_assert(GB_ADDRESS_TEXT == GB__ADDRESS_TEXT, "it holds any address");

struct gb__names_options gb__options_names(const struct gb_options *options)
{
	return (struct gb__names_options){ .servers = strcmp(options->resolver_text, GB__RESOLVER_SYSTEM) == 0
			? NULL
			: options->resolver_text,
		.timeout_ms = options->resolve_timeout_ms,
		.ttl_min_s = options->resolve_ttl_min_ms / 1000,
		.ttl_max_s = options->resolve_ttl_max_ms / 1000,
		.known_max = options->resolve_names };
}

/* When somebody asks for the first one. */
static int names_begin(struct gb__net *net)
{
	struct gb_worker *worker = net->worker;
	const struct gb__names_options names = gb__options_names(worker->server->options);

	net->names = gb__alloc(sizeof(*net->names));
	if (!net->names)
		return -ENOMEM;
	gb__names_init(net->names, &worker->watches, worker, &names, &worker->server->shared->names);
	return 0;
}

static int names_over(struct gb__net *net)
{
	(void)net;
	return -ESHUTDOWN;
}

void gb__worker_names_init(struct gb_worker *worker)
{
	worker->net.names_begin = names_begin;
}

void gb__worker_names_end(struct gb_worker *worker)
{
	worker->net.names_begin = names_over;
	if (worker->net.names)
		gb__names_end(worker->net.names);
}

void gb__worker_names_finish(struct gb_worker *worker)
{
	gb__free(worker->net.names);
	worker->net.names = NULL;
}

struct looking {
	struct gb__lookup lookup;
	struct gb_resolve *resolve;
};

static void end(struct gb_resolve *resolve)
{
	struct looking *looking = resolve->lookup;

	resolve->lookup = NULL;
	gb__lookup_drop(&looking->lookup);
	gb__free(looking);
}

/* What was found, for the caller. */
static int take(struct gb_resolve *resolve)
{
	const struct gb__lookup *lookup = &((struct looking *)resolve->lookup)->lookup;
	struct gb_resolved *resolved =
		gb__alloc(sizeof(*resolved) + lookup->count * sizeof(resolved->addresses[0]));

	if (!resolved)
		return -ENOMEM;
	resolved->count = lookup->count;
	resolved->addresses = (struct gb_resolved_address *)(resolved + 1);
	for (size_t i = 0; i < lookup->count; i++) {
		const struct gb__found *found = &lookup->found[i];
		struct gb_resolved_address *address = &resolved->addresses[i];

		*address = (struct gb_resolved_address){ .ttl_s = found->ttl_s,
			.priority = found->priority,
			.weight = found->weight,
			.record = found->place };
		(void)gb__address_format(&found->address, address->text, sizeof(address->text));
	}
	resolve->resolved = resolved;
	return 0;
}

static void on_lookup(struct gb__lookup *lookup, int code)
{
	struct gb_resolve *resolve = gb__container_of(lookup, struct looking, lookup)->resolve;

	if (code == 0)
		code = take(resolve);
	end(resolve);
	gb__operation_complete(&resolve->operation, code);
}

static void cancel(struct gb_operation *operation)
{
	struct gb_resolve *resolve = gb__container_of(operation, struct gb_resolve, operation);

	if (!resolve->lookup)
		return; /* it is about to be told */
	end(resolve);
	(void)gb__operation_complete_later(&operation->worker->loop, operation, -ECANCELED);
}

static const struct gb__operation_kind kind = { "resolve", cancel };

/* Returns 1 where on_lookup follows. */
static int begin(struct gb_worker *worker, struct gb_resolve *resolve, const struct gb__target *target)
{
	struct looking *looking = gb__alloc_zero(sizeof(*looking));
	int result;

	if (!looking)
		return -ENOMEM;
	resolve->lookup = looking;
	looking->resolve = resolve;
	result = gb__net_lookup(&worker->net, &looking->lookup, target, on_lookup);
	if (result == 1)
		return 1;
	if (result == 0)
		result = take(resolve);
	end(resolve);
	return result;
}

struct gb_operation *gb_resolve_begin(struct gb_worker *worker, struct gb_resolve *resolve, const char *name,
	gb_operation_done *on_done, void *user)
{
	struct gb__target target;
	int result;

	gb__rule(49, gb__loop_here(&worker->loop),
		"an operation is begun on another thread than its worker's");
	gb__operation_begin(&resolve->operation, &kind, worker, on_done, user);
	resolve->resolved = NULL;
	resolve->lookup = NULL;
	result = name ? gb__target_parse(name, &target, NULL) : -EINVAL;
	if (result == 0)
		result = gb__worker_ends(worker) ? -ESHUTDOWN : begin(worker, resolve, &target);
	if (result <= 0)
		(void)gb__operation_complete_later(&worker->loop, &resolve->operation, result);
	return &resolve->operation;
}

int gb_resolve(struct gb_coro *coro, const char *name, struct gb_resolved **ret, struct gb_error *error)
{
	struct gb_resolve resolve;
	int result = gb__coro_may_wait(coro, __func__);

	if (result < 0)
		return gb_error_set(error, result, "cannot resolve: %s", gb_strerror(result));
	result = gb_name_check(name, error);
	if (result < 0)
		return result;
	result = gb_await(coro, gb_resolve_begin(gb_coro_worker(coro), &resolve, name, NULL, NULL));
	if (result < 0) {
		gb_resolved_free(resolve.resolved); /* it was found, and the wait ended all the same */
		return gb_error_set(error, result, "%s: %s", name, gb_strerror(result));
	}
	*ret = resolve.resolved;
	return 0;
}

void gb_resolved_free(struct gb_resolved *resolved)
{
	gb__free(resolved);
}

int gb_name_check(const char *text, struct gb_error *error)
{
	struct gb__target target;
	int result;

	if (!text)
		return gb_error_set(error, -EINVAL, "the name is NULL");
	result = gb__target_parse(text, &target, error);
	return result == 0 ? target.kind != GB__TARGET_ADDRESS : result;
}
