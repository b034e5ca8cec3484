#include "doctor/report.h"
#include "doctor/format.h"

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

static void json_changes(struct json *json, const struct diagnosis *diagnosis, uint64_t connections)
{
	for (size_t i = 0; i < diagnosis->change_count; i++) {
		const struct change *change = &diagnosis->changes[i];

		if (change->connections != connections)
			continue;
		gb__json_open(json, NULL, '{');
		gb__json_text(json, "row", change->key);
		gb__json_text(json, "change", change->text);
		gb__json_text(json, "why", change->why);
		gb__json_text(json, "only_for", change->only_for);
		gb__json_close(json, '}');
	}
}

static void json_findings(struct json *json, const struct diagnosis *diagnosis)
{
	gb__json_open(json, "rows", '[');
	for (size_t i = 0; i < diagnosis->finding_count; i++) {
		const struct finding *finding = &diagnosis->findings[i];

		gb__json_open(json, NULL, '{');
		gb__json_text(json, "group", finding->group);
		gb__json_text(json, "key", finding->key);
		gb__json_text(json, "label", finding->label);
		gb__json_text(json, "value", finding->value);
		gb__json_text(json, "verdict", gb__verdict_text(finding->verdict));
		gb__json_text(json, "note", finding->note[0] ? finding->note : NULL);
		gb__json_close(json, '}');
	}
	gb__json_close(json, ']');
}

static void json_facts(struct json *json, const struct facts *facts)
{
	gb__json_open(json, "facts", '{');
	gb__json_text(json, "kernel", facts->kernel);
	gb__json_text(json, "architecture", facts->architecture);
	gb__json_number(json, "cpus_allotted", gb__facts_cpus_allotted(facts));
	for (const struct fact_name *name = gb__fact_names; name->name; name++)
		gb__json_number(json, name->name, gb__fact_at(facts, name->offset));
	gb__json_close(json, '}');
}

void gb__diagnosis_json(struct json *json, const struct facts *facts, const struct diagnosis *diagnosis)
{
	json_findings(json, diagnosis);
	gb__json_open(json, "general", '[');
	json_changes(json, diagnosis, 0);
	gb__json_close(json, ']');
	gb__json_open(json, "targets", '[');
	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i];

		gb__json_open(json, NULL, '{');
		gb__json_number(json, "connections", connections);
		gb__json_number(json, "kernel_bytes_estimate",
			facts->connection_bytes < FACT_UNLIMITED ? connections * facts->connection_bytes
								 : FACT_UNKNOWN);
		gb__json_open(json, "changes", '[');
		json_changes(json, diagnosis, connections);
		gb__json_close(json, ']');
		gb__json_close(json, '}');
	}
	gb__json_close(json, ']');
	json_facts(json, facts);
}
