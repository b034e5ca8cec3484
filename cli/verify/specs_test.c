/* Which models are verified. */
#include "verify/specs.h"

#include <gearbox/gearbox.h>

#include "harness.h"

static const struct gb_service plain = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "plain" };

static const char *const keys[] = { "accept", "unit", "workers", "engine", "compute", "wake", "place",
	"accept-batch", "stack", "compute-workers" };
enum { KEYS = sizeof(keys) / sizeof(*keys), COMBINATIONS = 194 };

/* Whether some spec has both values ("" stands for a key that is not given). */
static bool meet(const struct verify_specs *specs, const char *key, const char *value, const char *other_key,
	const char *other_value)
{
	for (size_t i = 0; i < specs->count; i++) {
		char a[32], b[32];

		gb__verify_spec_value(specs->list[i].text, key, a, sizeof(a));
		gb__verify_spec_value(specs->list[i].text, other_key, b, sizeof(b));
		if (strcmp(a, value) == 0 && strcmp(b, other_value) == 0)
			return true;
	}
	return false;
}

/* The axes of a spec, which come first. */
static size_t axes_length(const char *spec)
{
	return (size_t)(strstr(spec, "compute=") - spec) + strcspn(strstr(spec, "compute="), ",");
}

TEST(quick_has_each_combination)
{
	struct verify_specs specs;

	gb__verify_specs_list(&plain, false, &specs);
	CHECK_INT(specs.combinations, COMBINATIONS);
	CHECK(specs.count >= COMBINATIONS && specs.count < COMBINATIONS + 20);
	for (size_t i = 0; i < specs.count; i++) {
		size_t length = axes_length(specs.list[i].text);

		CHECK(gb_model_check(specs.list[i].text, &plain, true, NULL) >= 0);
		if (i < COMBINATIONS)
			CHECK_INT(specs.list[i].combination, i);
		for (size_t j = 0; j < i; j++) {
			bool same = axes_length(specs.list[j].text) == length &&
				memcmp(specs.list[i].text, specs.list[j].text, length) == 0;

			CHECK(same == (specs.list[i].combination == specs.list[j].combination));
		}
	}
	gb__verify_specs_finish(&specs);
}

TEST(quick_has_any_two_values_that_full_has)
{
	struct verify_specs quick, full;
	size_t missing = 0;

	gb__verify_specs_list(&plain, false, &quick);
	gb__verify_specs_list(&plain, true, &full);
	CHECK(full.count > quick.count);
	for (size_t i = 0; i < full.count; i++)
		for (unsigned a = 0; a < KEYS; a++)
			for (unsigned b = 0; b < a; b++) {
				char value[32], other[32];

				gb__verify_spec_value(full.list[i].text, keys[a], value, sizeof(value));
				gb__verify_spec_value(full.list[i].text, keys[b], other, sizeof(other));
				if (!meet(&quick, keys[a], value, keys[b], other)) {
					printf("%s=%s %s=%s\n", keys[a], value, keys[b], other);
					missing++;
				}
			}
	CHECK_INT(missing, 0);
	gb__verify_specs_finish(&quick);
	gb__verify_specs_finish(&full);
}

TEST(services_with_state_in_one_address_space_get_no_processes)
{
	const struct gb_service chat = { GB_SERVICE_INIT, .name = "chat", .state = GB_STATE_ADDRESS_SPACE,
		.traits = GB_TRAIT_THREAD_SAFE };
	struct verify_specs specs;
	size_t threads = 0;

	gb__verify_specs_list(&chat, false, &specs);
	CHECK(specs.count > 0 && specs.count < COMBINATIONS);
	for (size_t i = 0; i < specs.count; i++) {
		char unit[32], workers[32];

		gb__verify_spec_value(specs.list[i].text, "unit", unit, sizeof(unit));
		gb__verify_spec_value(specs.list[i].text, "workers", workers, sizeof(workers));
		CHECK(strcmp(unit, "thread") == 0 || strcmp(workers, "1") == 0);
		threads += strcmp(unit, "thread") == 0;
	}
	CHECK(threads > 0 && threads < specs.count);
	gb__verify_specs_finish(&specs);
}

TEST(values_are_found_by_the_whole_key)
{
	char value[32];

	gb__verify_spec_value(
		"accept=shared,accept-batch=64,workers=3", "accept-batch", value, sizeof(value));
	CHECK_STR(value, "64");
	gb__verify_spec_value("accept-batch=64,accept=shared", "accept", value, sizeof(value));
	CHECK_STR(value, "shared");
	gb__verify_spec_value("accept=shared,workers=3", "work", value, sizeof(value));
	CHECK_STR(value, "");
	gb__verify_spec_value("accept=shared,workers=3", "workers", value, sizeof(value));
	CHECK_STR(value, "3");
}

TEST(blocking_workers_serve_one_connection_each)
{
	CHECK_INT(gb__verify_spec_capacity(
			  "accept=shared,unit=thread,workers=1,engine=blocking,compute=inline"),
		1);
	CHECK_INT(gb__verify_spec_capacity("accept=acceptor,unit=process,workers=3,engine=blocking"), 3);
	CHECK_INT(gb__verify_spec_capacity("accept=reuseport,unit=process,workers=3,engine=blocking"), 1);
	CHECK(gb__verify_spec_capacity(
		      "accept=acceptor,unit=process,workers=per-connection,engine=blocking") == SIZE_MAX);
	CHECK(gb__verify_spec_capacity("accept=shared,unit=thread,workers=1,engine=epoll") == SIZE_MAX);
}
