#include "compare/baseline.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

/* A document of one point. */
static json_t *document(double rate, double low, double high, double noise, const char *at)
{
	return json_pack("{s:s, s:{s:s}, s:{s:s}, s:{s:f}, s:[{s:s, s:o, s:{s:f}, s:{s:f}, s:{s:f}}]}",
		"when", "2026-01-01T00:00:00Z", "machine", "cpu", "a", "load", "protocol", "echo", "noise",
		"messages_per_second", noise, "points", "model", "reactor", "at", json_loads(at, 0, NULL),
		"median", "messages_per_second", rate, "low", "messages_per_second", low, "high",
		"messages_per_second", high);
}

/* Compare, and let go of both. Returns what came, to be released. */
static json_t *changes(json_t *before, json_t *now)
{
	json_t *result = gb__compare_baseline(before, now);

	json_decref(before);
	json_decref(now);
	return result;
}

static const char *first_finding(const json_t *result)
{
	return json_string_value(json_array_get(json_object_get(result, "findings"), 0));
}

static const json_t *first_change(const json_t *result)
{
	return json_array_get(json_object_get(result, "changes"), 0);
}

TEST(what_is_beyond_the_noise_changed)
{
	json_t *result = changes(document(100, 99, 101, 1.05, "{}"), document(80, 79, 81, 1.02, "{}"));

	CHECK(json_is_true(json_object_get(first_change(result), "beyond_noise")));
	CHECK(json_number_value(json_object_get(first_change(result), "ratio")) == 0.8);
	CHECK_STR(first_finding(result), "reactor: messages/s is 80.0 now, 100 before (worse).");
	json_decref(result);
}

TEST(what_is_within_the_noise_of_either_run_did_not)
{
	json_t *result = changes(document(100, 99, 101, 1.3, "{}"), document(80, 79, 81, 1.02, "{}"));

	CHECK(json_is_false(json_object_get(first_change(result), "beyond_noise")));
	CHECK(strstr(first_finding(result), "Nothing changed"));
	json_decref(result);
	result = changes(document(100, 70, 130, 1.01, "{}"), document(80, 79, 81, 1.01, "{}"));
	CHECK(strstr(first_finding(result), "Nothing changed"));
	json_decref(result);
}

TEST(points_are_the_same_by_model_and_place)
{
	json_t *result = changes(document(100, 99, 101, 1.05, "{\"connections\": 10}"),
		document(50, 49, 51, 1.05, "{\"connections\": 10.0}"));

	CHECK_STR(first_finding(result),
		"reactor, connections=10: messages/s is 50.0 now, 100 before (worse).");
	json_decref(result);
	result = changes(document(100, 99, 101, 1.05, "{\"connections\": 10}"),
		document(50, 49, 51, 1.05, "{\"connections\": 20}"));
	CHECK_INT(json_array_size(json_object_get(result, "changes")), 0);
	CHECK(strstr(first_finding(result), "none of these models"));
	json_decref(result);
}

TEST(another_machine_service_or_load_is_said)
{
	json_t *before = document(100, 99, 101, 1.05, "{}"), *now = document(100, 99, 101, 1.05, "{}"),
	       *result;

	json_object_set_new(json_object_get(before, "machine"), "cpu", json_string("b"));
	json_object_set_new(before, "service", json_string("other"));
	json_object_set_new(json_object_get(before, "load"), "protocol", json_string("line"));
	result = changes(before, now);
	CHECK(strstr(first_finding(result), "another machine"));
	CHECK_INT(json_array_size(json_object_get(result, "findings")), 4);
	json_decref(result);
	now = document(100, 99, 101, 1.05, "{}");
	json_object_set_new(json_object_get(now, "machine"), "openssl", json_string("OpenSSL 3"));
	result = changes(document(100, 99, 101, 1.05, "{}"), now);
	CHECK(strstr(first_finding(result), "another machine, kernel or OpenSSL"));
	json_decref(result);
}
