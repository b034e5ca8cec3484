/*
 * Happy path of a service: its records are asked for, put in order, and the names behind them asked for at the same time;
 * when all of these have answered, the addresses are those of the first name, then of the second, and so on. A name among
 * them that does not resolve is passed over; when none does, the first one's code is the result.
 */
#include "name/lookup.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "name/order.h"

#include <string.h>

struct gb__lookup_part {
	struct gb__names_waiter waiter;
	struct gb__lookup *lookup;
	struct gb__srv service;
	struct gb__address *addresses;
	size_t count;
	uint64_t until_ns;
	int code;
};

static int add(struct gb__lookup *lookup, const struct gb__address *addresses, size_t count, uint16_t port,
	const struct gb__srv *service, uint16_t place, uint64_t until_ns)
{
	struct gb__found *grown = gb__realloc(lookup->found, (lookup->count + count) * sizeof(*grown));
	const uint64_t now_ns = gb__names_now_ns(lookup->names);

	if (!grown)
		return -ENOMEM;
	lookup->found = grown;
	lookup->until_ns = gb__min(lookup->until_ns, until_ns);
	for (size_t i = 0; i < count; i++) {
		struct gb__found *found = &grown[lookup->count++];

		*found = (struct gb__found){ .address = addresses[i],
			.priority = service ? service->priority : 0,
			.weight = service ? service->weight : 0,
			.place = place,
			.ttl_s = (uint32_t)((until_ns > now_ns ? until_ns - now_ns : 0) / 1000000000u) };
		if (found->address.any.sa_family == AF_INET)
			found->address.v4.sin_port = htons(port);
		else
			found->address.v6.sin6_port = htons(port);
	}
	return 0;
}

static int take_host(struct gb__lookup *lookup, const struct gb__known *known)
{
	const struct gb__answer *answer = &known->answer;

	return answer->code < 0 ? answer->code
				: add(lookup, answer->addresses, answer->count, lookup->target.port, NULL, 0,
					  known->until_ns);
}

static void parts_free(struct gb__lookup *lookup)
{
	for (size_t i = 0; i < lookup->parts_count; i++) {
		gb__names_forget(&lookup->parts[i].waiter);
		gb__free(lookup->parts[i].addresses);
	}
	gb__free(lookup->parts);
	lookup->parts = NULL;
	lookup->parts_count = lookup->parts_left = 0;
}

static void take_part(struct gb__lookup_part *part, const struct gb__known *known)
{
	const struct gb__answer *answer = &known->answer;

	part->code = answer->code;
	part->until_ns = known->until_ns;
	if (answer->code < 0)
		return;
	part->addresses = gb__alloc(answer->count * sizeof(*part->addresses));
	if (!part->addresses) {
		part->code = -ENOMEM;
		return;
	}
	memcpy(part->addresses, answer->addresses, answer->count * sizeof(*part->addresses));
	part->count = answer->count;
}

/* All names have answered. */
static int parts_join(struct gb__lookup *lookup)
{
	int result = 0;

	for (size_t i = 0; i < lookup->parts_count && result == 0; i++) {
		const struct gb__lookup_part *part = &lookup->parts[i];

		if (part->code == 0)
			result = add(lookup, part->addresses, part->count, part->service.port, &part->service,
				(uint16_t)i, part->until_ns);
		else /* it may be there by then */
			lookup->until_ns = gb__min(lookup->until_ns, part->until_ns);
	}
	if (result == 0 && lookup->count == 0)
		result = lookup->parts[0].code;
	parts_free(lookup);
	return result;
}

static void done(struct gb__lookup *lookup, int code)
{
	lookup->pending = false;
	lookup->on_done(lookup, code);
}

static void on_part(struct gb__names_waiter *waiter, const struct gb__known *known)
{
	struct gb__lookup_part *part = gb__container_of(waiter, struct gb__lookup_part, waiter);
	struct gb__lookup *lookup = part->lookup;

	take_part(part, known);
	if (--lookup->parts_left == 0)
		done(lookup, parts_join(lookup));
}

/* Returns 1 where it has to be waited for. */
static int part_begin(struct gb__lookup_part *part)
{
	struct gb__names *names = part->lookup->names;
	const char *name = part->service.target;
	const struct gb__known *known = gb__names_find(names, GB__QUESTION_ADDRESS, name);

	if (known) {
		take_part(part, known);
		return 0;
	}
	part->waiter.on_known = on_part;
	part->code = gb__names_ask(names, GB__QUESTION_ADDRESS, name, &part->waiter);
	return part->code == 0;
}

/* Returns 1 where names behind them have to be waited for. */
static int take_services(struct gb__lookup *lookup, const struct gb__known *known)
{
	const struct gb__answer *answer = &known->answer;
	struct gb__srv *services;
	struct gb__names *names = lookup->names;
	size_t count = answer->count;

	if (answer->code < 0)
		return answer->code;
	lookup->until_ns = known->until_ns;
	if (count == 1 && strcmp(answer->services[0].target, ".") == 0)
		return -GB_ENOSERVICE;
	services = gb__alloc(count * sizeof(*services)); /* too much for a coroutine's stack */
	if (!services)
		return -ENOMEM;
	memcpy(services, answer->services, count * sizeof(*services));
	names->random += 0x9e3779b97f4a7c15u; /* Weyl's sequence: each lookup has an order of its own */
	gb__services_order(services, count, names->random);
	lookup->parts = gb__alloc_zero(count * sizeof(*lookup->parts));
	if (!lookup->parts) {
		gb__free(services);
		return -ENOMEM;
	}
	lookup->parts_count = count;
	for (size_t i = 0; i < count; i++) {
		lookup->parts[i].lookup = lookup;
		lookup->parts[i].service = services[i];
		lookup->parts_left += (size_t)part_begin(&lookup->parts[i]);
	}
	gb__free(services);
	return lookup->parts_left > 0 ? 1 : parts_join(lookup);
}

static void on_services(struct gb__names_waiter *waiter, const struct gb__known *known)
{
	struct gb__lookup *lookup = gb__container_of(waiter, struct gb__lookup, waiter);
	int result = take_services(lookup, known);

	if (result <= 0)
		done(lookup, result);
}

static void on_host(struct gb__names_waiter *waiter, const struct gb__known *known)
{
	struct gb__lookup *lookup = gb__container_of(waiter, struct gb__lookup, waiter);

	done(lookup, take_host(lookup, known));
}

static int take_address(struct gb__lookup *lookup, const struct gb__address *address)
{
	lookup->found = gb__alloc_zero(sizeof(*lookup->found));
	if (!lookup->found)
		return -ENOMEM;
	lookup->found->address = *address;
	lookup->found->ttl_s = UINT32_MAX;
	lookup->count = 1;
	return 0;
}

int gb__lookup_begin(struct gb__lookup *lookup, struct gb__names *names, const struct gb__target *target,
	void (*on_done)(struct gb__lookup *lookup, int code))
{
	const bool service = target->kind == GB__TARGET_SERVICE;
	const enum gb__question question = service ? GB__QUESTION_SERVICE : GB__QUESTION_ADDRESS;
	const struct gb__known *known;
	int result;

	*lookup = (struct gb__lookup){ .names = names,
		.target = *target,
		.on_done = on_done,
		.until_ns = UINT64_MAX,
		.waiter.on_known = service ? on_services : on_host };
	if (target->kind == GB__TARGET_ADDRESS)
		return take_address(lookup, &target->address);
	known = gb__names_find(names, question, target->name);
	if (known)
		result = service ? take_services(lookup, known) : take_host(lookup, known);
	else
		result = gb__names_ask(names, question, target->name, &lookup->waiter) ?: 1;
	lookup->pending = result == 1;
	return result;
}

void gb__lookup_drop(struct gb__lookup *lookup)
{
	if (lookup->pending)
		gb__names_forget(&lookup->waiter);
	lookup->pending = false;
	parts_free(lookup);
	gb__free(lookup->found);
	lookup->found = NULL;
	lookup->count = 0;
}
