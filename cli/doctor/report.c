#include "doctor/report.h"
#include "doctor/format.h"
#include "doctor/verdict.h"

#include <gearbox/args.h>

#include <string.h>

#define NOTE_COLUMN 62u
#define WHY_COLUMN 6u

static void print_table(FILE *stream, const struct diagnosis *diagnosis)
{
	const char *group = NULL;

	for (size_t i = 0; i < diagnosis->finding_count; i++) {
		const struct finding *finding = &diagnosis->findings[i];
		char left[128];

		if (!group || strcmp(group, finding->group) != 0) {
			group = finding->group;
			fprintf(stream, "%s%s\n", i > 0 ? "\n" : "", group);
		}
		snprintf(left, sizeof(left), "  %-6s  %-31s  %s", gb__verdict_text(finding->verdict),
			finding->label, finding->value);
		if (finding->note[0])
			gb_args_row(stream, left, NOTE_COLUMN, finding->note);
		else
			fprintf(stream, "%s\n", left);
	}
}

static size_t count_changes(const struct diagnosis *diagnosis, uint64_t connections)
{
	size_t count = 0;

	for (size_t i = 0; i < diagnosis->change_count; i++)
		count += diagnosis->changes[i].connections == connections;
	return count;
}

static void print_change(FILE *stream, const struct change *change)
{
	char why[2 * DIAGNOSIS_TEXT_MAX];

	fprintf(stream, "  %s\n", change->text);
	snprintf(why, sizeof(why), "%s%s%s%s", change->only_for ? "(only for " : "",
		change->only_for ? change->only_for : "", change->only_for ? ") " : "", change->why);
	gb_args_row(stream, "", WHY_COLUMN, why);
}

/* What everybody needs comes first. */
static void print_changes(FILE *stream, const struct diagnosis *diagnosis, uint64_t connections)
{
	for (unsigned special = 0; special < 2; special++)
		for (size_t i = 0; i < diagnosis->change_count; i++)
			if (diagnosis->changes[i].connections == connections &&
				!diagnosis->changes[i].only_for == !special)
				print_change(stream, &diagnosis->changes[i]);
}

static void print_target(
	FILE *stream, const struct facts *facts, const struct diagnosis *diagnosis, uint64_t connections)
{
	char count[FORMAT_MAX], bytes[FORMAT_MAX];

	fprintf(stream, "\nfor %s connection%s:", gb__format_count(connections, count),
		connections == 1 ? "" : "s");
	if (count_changes(diagnosis, connections) == 0)
		fprintf(stream, " nothing to change");
	if (facts->connection_bytes < FACT_UNLIMITED)
		fprintf(stream, " (idle, they take about %s in the kernel)",
			gb__format_bytes(connections * facts->connection_bytes, bytes));
	fputc('\n', stream);
	print_changes(stream, diagnosis, connections);
}

void gb__diagnosis_text(FILE *stream, const struct facts *facts, const struct diagnosis *diagnosis)
{
	char verdict[VERDICT_MAX];

	gb__diagnosis_verdict(diagnosis, verdict, sizeof(verdict));
	gb_args_row(stream, "", 0, verdict);
	fputc('\n', stream);
	print_table(stream, diagnosis);
	if (count_changes(diagnosis, 0) > 0) {
		fprintf(stream, "\nfor any number of connections:\n");
		print_changes(stream, diagnosis, 0);
	}
	for (size_t i = 0; i < diagnosis->target_count; i++)
		print_target(stream, facts, diagnosis, diagnosis->targets[i]);
	if (diagnosis->change_count > 0)
		fprintf(stream,
			"\nSettings by sysctl need root and last until the next boot; a file in /etc/sysctl.d "
			"keeps them.\n");
}

/* A number, null where it is unknown. */
static json_t *json_fact(uint64_t value)
{
	if (value == FACT_UNKNOWN)
		return json_null();
	return value >= INT64_MAX ? json_string("unlimited") : json_integer((json_int_t)value);
}

static json_t *json_changes(const struct diagnosis *diagnosis, uint64_t connections)
{
	json_t *list = json_array();

	for (size_t i = 0; i < diagnosis->change_count; i++) {
		const struct change *change = &diagnosis->changes[i];

		if (change->connections == connections)
			json_array_append_new(list,
				json_pack("{s:s, s:o, s:o, s:s?}", "row", change->key, "change",
					gb__json_text(change->text), "why", gb__json_text(change->why),
					"only_for", change->only_for));
	}
	return list;
}

static json_t *json_findings(const struct diagnosis *diagnosis)
{
	json_t *list = json_array();

	for (size_t i = 0; i < diagnosis->finding_count; i++) {
		const struct finding *finding = &diagnosis->findings[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "group", finding->group, "key",
				finding->key, "label", finding->label, "value", gb__json_text(finding->value),
				"verdict", gb__verdict_text(finding->verdict), "note",
				gb__json_text(finding->note[0] ? finding->note : NULL)));
	}
	return list;
}

static json_t *json_targets(const struct facts *facts, const struct diagnosis *diagnosis)
{
	json_t *list = json_array();

	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i], each = facts->connection_bytes;

		json_array_append_new(list,
			json_pack("{s:o, s:o, s:o}", "connections", json_fact(connections),
				"kernel_bytes_estimate",
				json_fact(each < FACT_UNLIMITED ? connections * each : FACT_UNKNOWN),
				"changes", json_changes(diagnosis, connections)));
	}
	return list;
}

static json_t *json_facts(const struct facts *facts)
{
	json_t *object = json_pack("{s:o, s:o, s:o}", "kernel", gb__json_text(facts->kernel), "architecture",
		gb__json_text(facts->architecture), "cpus_allotted",
		json_fact(gb__facts_cpus_allotted(facts)));

	for (const struct fact_name *name = gb__fact_names; name->name; name++)
		json_object_set_new(object, name->name, json_fact(gb__fact_at(facts, name->offset)));
	return object;
}

json_t *gb__diagnosis_json(const struct facts *facts, const struct diagnosis *diagnosis)
{
	char verdict[VERDICT_MAX];

	gb__diagnosis_verdict(diagnosis, verdict, sizeof(verdict));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "verdict", gb__json_text(verdict), "rows",
		json_findings(diagnosis), "general", json_changes(diagnosis, 0), "targets",
		json_targets(facts, diagnosis), "facts", json_facts(facts));
}
