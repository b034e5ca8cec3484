#include "verify/specs.h"

#include "verify/bytes.h"

#include <gearbox/model.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_MAX 256
#define KEYS 10    /* of a spec */
#define AXES 5     /* of them that each combination has */
#define VALUES 8   /* of a key, its absence included */

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
	{ "compute", { NULL, "inline", "threads" } },
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

/* Which pairs of values some spec has already. */
struct coverage {
	unsigned char seen[KEYS][VALUES][KEYS][VALUES];
};

void verify_spec_value(const char *spec, const char *key, char *ret, size_t size)
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

		verify_spec_value(spec, domains[key].key, value, sizeof(value));
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

static unsigned uncovered(const struct coverage *coverage, const struct choice *choice)
{
	unsigned count = 0;

	for (unsigned a = AXES; a < KEYS; a++)
		for (unsigned b = 0; b < a; b++)
			count += !coverage->seen[a][choice->value[a]][b][choice->value[b]];
	return count;
}

static void cover(struct coverage *coverage, const struct choice *choice)
{
	for (unsigned a = AXES; a < KEYS; a++)
		for (unsigned b = 0; b < a; b++)
			coverage->seen[a][choice->value[a]][b][choice->value[b]] = 1;
}

void verify_specs_add(struct verify_specs *specs, const char *text)
{
	specs->texts = verify_grow(specs->texts, specs->count + 1, sizeof(*specs->texts));
	specs->texts[specs->count++] = strcpy(verify_grow(NULL, strlen(text) + 1, 1), text);
}

static void add(struct verify_specs *specs, const struct choice *choice)
{
	char spec[SPEC_MAX];

	write_spec(choice, spec, sizeof(spec));
	verify_specs_add(specs, spec);
}

/* The further keys that bring most pairs that nobody had; among equals the first, which has fewest keys. */
static void add_best(struct verify_specs *specs, const struct gb_service *service, struct choice choice,
	struct coverage *coverage)
{
	struct choice best = choice;
	unsigned most = 0;

	do {
		unsigned count = uncovered(coverage, &choice);

		if (count > most && admitted(&choice, service)) {
			most = count;
			best = choice;
		}
	} while (count_up(&choice));
	cover(coverage, &best);
	add(specs, &best);
}

static void add_all(struct verify_specs *specs, const struct gb_service *service, struct choice choice)
{
	do {
		if (admitted(&choice, service))
			add(specs, &choice);
	} while (count_up(&choice));
}

void verify_specs_list(const struct gb_service *service, bool full, struct verify_specs *ret)
{
	struct coverage *coverage = verify_grow(NULL, 1, sizeof(*coverage));
	char spec[SPEC_MAX];

	memset(coverage, 0, sizeof(*coverage));
	*ret = (struct verify_specs){ 0 };
	for (size_t i = 0; gb_model_combination(i, spec, sizeof(spec)) != -ENOENT; i++) {
		struct choice choice = read_spec(spec);

		if (!admitted(&choice, service))
			continue;
		if (full)
			add_all(ret, service, choice);
		else
			add_best(ret, service, choice, coverage);
	}
	free(coverage);
}

void verify_specs_finish(struct verify_specs *specs)
{
	for (size_t i = 0; i < specs->count; i++)
		free(specs->texts[i]);
	free(specs->texts);
}

size_t verify_spec_capacity(const char *spec)
{
	char engine[32], workers[32], accept[32];

	verify_spec_value(spec, "engine", engine, sizeof(engine));
	verify_spec_value(spec, "workers", workers, sizeof(workers));
	verify_spec_value(spec, "accept", accept, sizeof(accept));
	if (strcmp(engine, "blocking") != 0 || strcmp(workers, "per-connection") == 0)
		return SIZE_MAX;
	/* Where the kernel spreads, two may fall to one worker while another is idle; how many N are, the
	 * machine decides, but one at least. */
	if (strcmp(accept, "reuseport") == 0 || strcmp(workers, "N") == 0)
		return 1;
	return strtoul(workers, NULL, 10);
}
