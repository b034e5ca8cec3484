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

/* A tenth is all that these figures are good for. */
static json_t *json_tenths(double value)
{
	return json_real((double)(int64_t)(value * 10 + 0.5) / 10);
}

static json_t *json_spread(const struct spread *spread)
{
	return json_pack("{s:o, s:o, s:o}", "q1", json_tenths(spread->low), "median",
		json_tenths(spread->median), "q3", json_tenths(spread->high));
}

void gb__costs_json(json_t *object, const struct costs *costs)
{
	json_t *list = json_array();

	json_object_set_new(object, "load_average", json_tenths(costs->load));
	json_object_set_new(object, "costs", list);
	for (size_t i = 0; i < costs->count; i++) {
		const struct cost_result *result = &costs->results[i];
		json_t *row = json_pack("{s:s, s:s, s:s?}", "key", result->cost->key, "label",
			result->cost->label, "missing", result->missing);

		if (!result->missing) {
			json_object_set_new(row, "wall_ns", json_spread(&result->wall_ns));
			json_object_set_new(row, "cpu_ns", json_spread(&result->cpu_ns));
			json_object_set_new(row, "rounds", json_integer(result->rounds));
			json_object_set_new(
				row, "operations_per_round", json_integer((json_int_t)result->operations));
		}
		json_array_append_new(list, row);
	}
}
