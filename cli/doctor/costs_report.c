#include "doctor/costs_list.h"
#include "doctor/format.h"

#define LOAD_HIGH 0.5   /* somebody else is at work */
#define CPU_DIFFERS 0.1 /* from the wall time, to be worth a column */

static bool differs(const struct cost_result *result)
{
	double wall = result->wall_ns.median, cpu = result->cpu_ns.median;

	return cpu > wall * (1 + CPU_DIFFERS) || cpu < wall * (1 - CPU_DIFFERS);
}

static void print_row(FILE *stream, const struct cost_result *result)
{
	char median[FORMAT_MAX], low[FORMAT_MAX], high[FORMAT_MAX], cpu[FORMAT_MAX];

	if (result->missing) {
		fprintf(stream, "  %-52s not measured: %s\n", result->cost->label, result->missing);
		return;
	}
	fprintf(stream, "  %-52s %10s %10s %10s", result->cost->label,
		gb__format_ns(result->wall_ns.median, median), gb__format_ns(result->wall_ns.low, low),
		gb__format_ns(result->wall_ns.high, high));
	if (differs(result))
		fprintf(stream, " %10s", gb__format_ns(result->cpu_ns.median, cpu));
	fputc('\n', stream);
}

void gb__costs_text(FILE *stream, const struct costs *costs)
{
	fprintf(stream, "\ncosts, in nanoseconds of an operation: median and quartiles of short rounds\n");
	if (costs->cpus[0] != costs->cpus[1])
		fprintf(stream,
			"(\"one CPU\" is number %u, \"two CPUs\" are %u and %u; CPU time where it differs "
			"from the wall's)\n",
			costs->cpus[0], costs->cpus[0], costs->cpus[1]);
	if (costs->load >= LOAD_HIGH)
		fprintf(stream,
			"(the load was %.1f: others took CPU time as well, so trust the lower quartile more)\n",
			costs->load);
	fprintf(stream, "  %-52s %10s %10s %10s %10s\n", "", "median", "25 %", "75 %", "CPU");
	for (size_t i = 0; i < costs->count; i++)
		print_row(stream, &costs->results[i]);
}

static void json_spread(struct json *json, const char *key, const struct spread *spread)
{
	gb__json_open(json, key, '{');
	gb__json_decimal(json, "q1", spread->low);
	gb__json_decimal(json, "median", spread->median);
	gb__json_decimal(json, "q3", spread->high);
	gb__json_close(json, '}');
}

void gb__costs_json(struct json *json, const struct costs *costs)
{
	gb__json_decimal(json, "load_average", costs->load);
	gb__json_open(json, "costs", '[');
	for (size_t i = 0; i < costs->count; i++) {
		const struct cost_result *result = &costs->results[i];

		gb__json_open(json, NULL, '{');
		gb__json_text(json, "key", result->cost->key);
		gb__json_text(json, "label", result->cost->label);
		gb__json_text(json, "missing", result->missing);
		if (!result->missing) {
			json_spread(json, "wall_ns", &result->wall_ns);
			json_spread(json, "cpu_ns", &result->cpu_ns);
			gb__json_number(json, "rounds", result->rounds);
			gb__json_number(json, "operations_per_round", result->operations);
		}
		gb__json_close(json, '}');
	}
	gb__json_close(json, ']');
}
