#include "verify/specs.h"

#include "verify/bytes.h"

#include <gearbox/model.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_MAX 256
#define KEYS 10  /* of a spec */
#define AXES 5   /* of them that each combination has */
#define VALUES 8 /* of a key, its absence included */

/* Of the axes all values that occur are gathered; 0 is none of them. */
struct domain {
	const char *key;
	const char *values[VALUES]; /* [0]: NULL, the key is not given */
};

static const struct domain domains[KEYS] = {
	{ "accept", { NULL, "acceptor", "shared", "reuseport" } },
	{ "unit", { NULL, "thread", "process" } },
	{ "workers", { NULL, "1", "N", "per-connection" } },
	{ "engine", { NULL, "blocking", "busy", "select", "poll", "epoll", "io_uring" } },
	{ "compute", { NULL, "inline", "threads", "processes" } },
	{ "wake", { NULL, "all", "exclusive", "lock" } },
	{ "place", { NULL, "least-connections", "random", "hash" } },
	{ "accept-batch", { NULL, "1", "64" } },
	{ "stack", { NULL, "256KiB" } },
	{ "compute-workers", { NULL, "1", "5" } },
};

/* A model as an index into each domain. */
struct choice {
	unsigned char value[KEYS];
};

/* Pairs of values, the second of a key before the first's. */
struct coverage {
	bool seen[KEYS][VALUES][KEYS][VALUES];        /* some spec has it */
	unsigned chances[KEYS][VALUES][KEYS][VALUES]; /* combinations not yet done that could have it */
};

void gb__verify_spec_value(const char *spec, const char *key, char *ret, size_t size)
{
	size_t length = strlen(key);

	for (const char *at = spec; *at; at += *at == ',') {
		size_t item = strcspn(at, ",");

		if (item > length && strncmp(at, key, length) == 0 && at[length] == '=') {
			snprintf(ret, size, "%.*s", (int)(item - length - 1), at + length + 1);
			return;
		}
		at += item;
	}
	snprintf(ret, size, "%s", "");
}

static void write_spec(const struct choice *choice, char *text, size_t size)
{
	size_t used = 0;

	for (unsigned key = 0; key < KEYS; key++) {
		const char *value = domains[key].values[choice->value[key]];
		char number[16];

		if (!value)
			continue;
		if (strcmp(value, "N") == 0) {
			snprintf(number, sizeof(number), "%d", VERIFY_WORKERS);
			value = number;
		}
		used += (size_t)snprintf(
			text + used, size - used, "%s%s=%s", used ? "," : "", domains[key].key, value);
	}
}

static struct choice read_spec(const char *spec)
{
	struct choice choice = { { 0 } };

	for (unsigned key = 0; key < AXES; key++) {
		char value[32];

		gb__verify_spec_value(spec, domains[key].key, value, sizeof(value));
		for (unsigned i = 1; domains[key].values[i]; i++)
			if (strcmp(domains[key].values[i], value) == 0)
				choice.value[key] = (unsigned char)i;
	}
	return choice;
}

static bool admitted(const struct choice *choice, const struct gb_service *service)
{
	char spec[SPEC_MAX];

	write_spec(choice, spec, sizeof(spec));
	return gb_model_check(spec, service, true, NULL) >= 0;
}

/* The next choice of further keys, in the order of the domains. False when it starts over. */
static bool count_up(struct choice *choice)
{
	for (unsigned key = KEYS; key-- > AXES; choice->value[key] = 0)
		if (domains[key].values[++choice->value[key]])
			return true;
	return false;
}

/* What a choice is worth: each pair that is new the more, the fewer others could bring it. */
static double worth(const struct coverage *coverage, const struct choice *choice)
{
	double sum = 0;

	for (unsigned a = AXES; a < KEYS; a++)
		for (unsigned b = 0; b < a; b++)
			if (!coverage->seen[a][choice->value[a]][b][choice->value[b]])
				sum += 1.0 /
					(1 + coverage->chances[a][choice->value[a]][b][choice->value[b]]);
	return sum;
}

static void cover(struct coverage *coverage, const struct choice *choice)
{
	for (unsigned a = AXES; a < KEYS; a++)
		for (unsigned b = 0; b < a; b++)
			coverage->seen[a][choice->value[a]][b][choice->value[b]] = true;
}

/* Add or take away the chances that a combination has. */
static void count_chances(
	struct coverage *coverage, const struct gb_service *service, struct choice choice, int change)
{
	struct coverage *possible = gb__verify_grow(NULL, 1, sizeof(*possible));

	memset(possible, 0, sizeof(*possible));
	do {
		if (admitted(&choice, service))
			cover(possible, &choice);
	} while (count_up(&choice));
	for (unsigned a = AXES; a < KEYS; a++)
		for (unsigned b = 0; b < a; b++)
			for (unsigned x = 0; x < VALUES; x++)
				for (unsigned y = 0; y < VALUES; y++)
					if (possible->seen[a][x][b][y])
						coverage->chances[a][x][b][y] += (unsigned)change;
	free(possible);
}

static void add_text(struct verify_specs *specs, const char *text, size_t combination)
{
	size_t size = strlen(text) + 1;

	specs->list = gb__verify_grow(specs->list, specs->count + 1, sizeof(*specs->list));
	specs->list[specs->count++] =
		(struct verify_spec){ memcpy(gb__verify_grow(NULL, size, 1), text, size), combination };
}

void gb__verify_specs_add(struct verify_specs *specs, const char *text)
{
	add_text(specs, text, specs->combinations++);
}

static void add(struct verify_specs *specs, const struct choice *choice, size_t combination)
{
	char spec[SPEC_MAX];

	write_spec(choice, spec, sizeof(spec));
	add_text(specs, spec, combination);
}

/* The further keys that are worth most; among equals the first, which has fewest keys. 0: nothing new. */
static double best_keys(
	const struct coverage *coverage, const struct gb_service *service, struct choice *choice)
{
	struct choice best = *choice;
	double most = 0;

	do {
		double sum = admitted(choice, service) ? worth(coverage, choice) : 0;

		if (sum > most) {
			most = sum;
			best = *choice;
		}
	} while (count_up(choice));
	*choice = best;
	return most;
}

static void list_pairwise(
	struct verify_specs *specs, const struct gb_service *service, const struct choice *combinations)
{
	struct coverage *coverage = gb__verify_grow(NULL, 1, sizeof(*coverage));

	memset(coverage, 0, sizeof(*coverage));
	for (size_t i = 0; i < specs->combinations; i++)
		count_chances(coverage, service, combinations[i], 1);
	for (size_t i = 0; i < specs->combinations; i++) {
		struct choice choice = combinations[i];

		best_keys(coverage, service, &choice);
		count_chances(coverage, service, combinations[i], -1);
		cover(coverage, &choice);
		add(specs, &choice, i);
	}
	for (size_t i = 0; i < specs->combinations; i++) {
		struct choice choice = combinations[i];

		while (best_keys(coverage, service, &choice) > 0) {
			cover(coverage, &choice);
			add(specs, &choice, i);
			choice = combinations[i];
		}
	}
	free(coverage);
}

static void list_full(
	struct verify_specs *specs, const struct gb_service *service, const struct choice *combinations)
{
	for (size_t i = 0; i < specs->combinations; i++) {
		struct choice choice = combinations[i];

		do {
			if (admitted(&choice, service))
				add(specs, &choice, i);
		} while (count_up(&choice));
	}
}

void gb__verify_specs_list(const struct gb_service *service, bool full, struct verify_specs *ret)
{
	struct choice *combinations = NULL;
	char spec[SPEC_MAX];

	*ret = (struct verify_specs){ 0 };
	for (size_t i = 0; gb_model_combination(i, spec, sizeof(spec)) != -ENOENT; i++) {
		struct choice choice = read_spec(spec);

		if (!admitted(&choice, service))
			continue;
		combinations = gb__verify_grow(combinations, ret->combinations + 1, sizeof(*combinations));
		combinations[ret->combinations++] = choice;
	}
	(full ? list_full : list_pairwise)(ret, service, combinations);
	free(combinations);
}

void gb__verify_specs_finish(struct verify_specs *specs)
{
	for (size_t i = 0; i < specs->count; i++)
		free(specs->list[i].text);
	free(specs->list);
}

size_t gb__verify_spec_capacity(const char *spec)
{
	char engine[32], workers[32], accept[32];

	gb__verify_spec_value(spec, "engine", engine, sizeof(engine));
	gb__verify_spec_value(spec, "workers", workers, sizeof(workers));
	gb__verify_spec_value(spec, "accept", accept, sizeof(accept));
	if (strcmp(engine, "blocking") != 0 || strcmp(workers, "per-connection") == 0)
		return SIZE_MAX;
	/* Where the kernel spreads, two may fall to one worker while another is idle; how many N are, the
	 * machine decides, but one at least. */
	if (strcmp(accept, "reuseport") == 0 || strcmp(workers, "N") == 0)
		return 1;
	return strtoul(workers, NULL, 10);
}
