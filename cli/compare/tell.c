#include "compare/tell.h"

#include "compare/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 64
#define COLUMNS_MAX 80
#define NAME_MAX_COLUMNS 44 /* of a model; longer ones are cut */
#define FOLD 100            /* columns of sentences */

struct cell {
	char text[CELL_MAX];
};

struct table {
	struct cell *cells; /* rows of `columns` */
	size_t rows, columns;
};

/* Characters, not bytes. */
static size_t width(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void print_padded(const char *text, size_t columns, bool left)
{
	size_t used = width(text), gap = columns > used ? columns - used : 0;

	if (!left)
		printf("%*s", (int)gap, "");
	fputs(text, stdout);
	if (left)
		printf("%*s", (int)gap, "");
}

/* Words to the left, numbers to the right; the first row is the heading. */
static void print_table(const struct table *table)
{
	size_t widths[COLUMNS_MAX] = { 0 };

	for (size_t i = 0; i < table->rows * table->columns; i++) {
		size_t used = width(table->cells[i].text), *most = &widths[i % table->columns];

		*most = used > *most ? used : *most;
	}
	for (size_t row = 0; row < table->rows; row++) {
		for (size_t column = 0; column < table->columns; column++) {
			if (column > 0)
				fputs("  ", stdout);
			print_padded(table->cells[row * table->columns + column].text, widths[column],
				column == 0);
		}
		putchar('\n');
	}
	putchar('\n');
}

/* Without a cut inside a character. */
static void set_name(struct cell *cell, const char *name)
{
	size_t bytes = strlen(name);

	if (bytes > NAME_MAX_COLUMNS)
		for (bytes = NAME_MAX_COLUMNS - 1; bytes > 0 && ((unsigned char)name[bytes] & 0xc0) == 0x80;
			bytes--)
			;
	snprintf(cell->text, CELL_MAX, "%.*s%s", (int)bytes, name, name[bytes] ? "…" : "");
}

/* A median, with its spread where that is wanted, and a star when it is among the best of its step. */
static void set_value(const struct comparison *comparison, const struct compare_point *point, size_t n,
	enum compare_metric metric, bool with_spread, struct cell *cell)
{
	const struct compare_spread *spread = &point->spreads[metric];
	const struct compare_point *best = gb__compare_best(comparison, metric, n);
	char value[FIGURE_MAX], bounds[24] = "";
	bool star;

	if (!compare_measured(point) || !isfinite(spread->median)) {
		snprintf(cell->text, CELL_MAX, "%s ",
			point->error[0] && metric == METRIC_MESSAGES_PER_SECOND ? "failed" : "–");
		return;
	}
	if (with_spread && point->samples_count > 1 && spread->median > 0)
		snprintf(bounds, sizeof(bounds), " ±%.0f %%",
			50 * (spread->high - spread->low) / spread->median);
	star = best && (best == point || !gb__compare_points_differ(comparison, best, point, metric));
	snprintf(cell->text, CELL_MAX, "%s%s%s",
		gb__figure(gb__compare_metrics[metric].form, spread->median, value), bounds,
		star ? "*" : " ");
}

static bool anybody_has(const struct comparison *comparison, enum compare_metric metric)
{
	for (size_t i = 0; i < compare_told(comparison) * comparison->grid; i++)
		if (isfinite(comparison->points[i].spreads[metric].median))
			return true;
	return false;
}

static const struct comparison *compared; /* for the order, which knows nothing else */

static int by_throughput(const void *left, const void *right)
{
	const size_t *a = left, *b = right;
	const struct compare_point *first = compare_point(compared, *a, 0),
				   *second = compare_point(compared, *b, 0);
	double one = first->spreads[METRIC_MESSAGES_PER_SECOND].median;
	double other = second->spreads[METRIC_MESSAGES_PER_SECOND].median;

	if (compare_measured(first) != compare_measured(second))
		return compare_measured(first) ? -1 : 1;
	if (one != other && (isfinite(one) || isfinite(other)))
		return gb__compare_better(METRIC_MESSAGES_PER_SECOND, one, other) ? -1 : 1;
	return (*a > *b) - (*a < *b);
}

/* One point each: metrics side by side, the fastest first. */
static void tell_points(const struct comparison *comparison)
{
	static const enum compare_metric all[] = { METRIC_MESSAGES_PER_SECOND, METRIC_P50, METRIC_P99,
		METRIC_P99_9, METRIC_CPU, METRIC_INSTRUCTIONS, METRIC_SWITCHES, METRIC_SYSTEM_CALLS,
		METRIC_MEMORY, METRIC_IDLE_CPU, METRIC_LOOP_DELAY, METRIC_IMBALANCE };
	enum compare_metric shown[sizeof(all) / sizeof(*all)];
	const size_t models = compare_told(comparison);
	struct table table = { .columns = 1, .rows = models + 1 };
	size_t *order = calloc(models + 1, sizeof(*order));

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (anybody_has(comparison, all[i]))
			shown[table.columns++ - 1] = all[i];
	table.cells = calloc(table.rows * table.columns, sizeof(*table.cells));
	if (table.cells && order) {
		for (size_t i = 0; i < models; i++)
			order[i] = i;
		compared = comparison;
		qsort(order, models, sizeof(*order), by_throughput);
		snprintf(table.cells[0].text, CELL_MAX, "model");
		for (size_t column = 1; column < table.columns; column++)
			snprintf(table.cells[column].text, CELL_MAX, "%s ",
				gb__compare_metrics[shown[column - 1]].words);
		for (size_t row = 1; row < table.rows; row++) {
			size_t model = order[row - 1];
			struct cell *cells = &table.cells[row * table.columns];

			set_name(&cells[0], comparison->models[model].name);
			for (size_t column = 1; column < table.columns; column++)
				set_value(comparison, compare_point(comparison, model, 0), 0,
					shown[column - 1], shown[column - 1] == METRIC_MESSAGES_PER_SECOND,
					&cells[column]);
		}
		print_table(&table);
	}
	free(order);
	free(table.cells);
}

/* A metric along the last axis, at a step of the one before it. */
static void tell_along(const struct comparison *comparison, enum compare_metric metric,
	const struct compare_axis *axis, size_t first)
{
	struct table table = { .columns = axis->count + 1, .rows = compare_told(comparison) + 1 };

	table.cells = calloc(table.rows * table.columns, sizeof(*table.cells));
	if (!table.cells)
		return;
	snprintf(table.cells[0].text, CELL_MAX, "%s, %s=", gb__compare_metrics[metric].words, axis->name);
	for (size_t n = 0; n < axis->count; n++)
		snprintf(table.cells[n + 1].text, CELL_MAX, "%s ", axis->steps[n].text);
	for (size_t model = 0; model + 1 < table.rows; model++) {
		struct cell *cells = &table.cells[(model + 1) * table.columns];

		set_name(&cells[0], comparison->models[model].name);
		for (size_t n = 0; n < axis->count; n++)
			set_value(comparison, compare_point(comparison, model, first + n), first + n, metric,
				false, &cells[n + 1]);
	}
	print_table(&table);
	free(table.cells);
}

static void tell_sweep(const struct comparison *comparison)
{
	static const enum compare_metric shown[] = { METRIC_MESSAGES_PER_SECOND, METRIC_P99, METRIC_CPU,
		METRIC_MEMORY };
	const struct compare_options *options = comparison->options;
	const struct compare_axis *last = &options->axes[options->axes_count - 1];
	const bool by_connections = strcmp(last->name, "connections") == 0;

	for (size_t first = 0; first < comparison->grid; first += last->count) {
		if (options->axes_count == 2)
			printf("%s=%s\n\n", options->axes[0].name,
				options->axes[0].steps[first / last->count].text);
		for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++)
			if (anybody_has(comparison, shown[i]) &&
				(shown[i] != METRIC_MEMORY || by_connections))
				tell_along(comparison, shown[i], last, first);
	}
}

/* What a flag of the load is, or over what it goes. */
static void print_amount(const struct compare_options *options, const char *key, uint64_t value)
{
	for (size_t i = 0; i < options->axes_count; i++)
		if (strcmp(options->axes[i].name, key) == 0) {
			printf("%s %s to %s, ", key, options->axes[i].steps[0].text,
				options->axes[i].steps[options->axes[i].count - 1].text);
			return;
		}
	printf("%s %llu, ", key, (unsigned long long)value);
}

static void print_heading(const struct comparison *comparison, const json_t *document)
{
	const struct compare_options *options = comparison->options;
	const json_t *machine = json_object_get(document, "machine");
	size_t models = compare_told(comparison);

	printf("%s under %zu model%s: %s%s, ", options->serving.service->name, models, models == 1 ? "" : "s",
		options->protocol, options->tls ? " over TLS" : "");
	print_amount(options, "connections", options->connections);
	print_amount(options, "size", options->size);
	print_amount(options, "depth", options->depth);
	if (options->messages)
		printf("%llu messages in each of %llu round%s\n", (unsigned long long)options->messages,
			(unsigned long long)options->rounds, options->rounds == 1 ? "" : "s");
	else
		printf("%.3g s in each of %llu round%s\n", (double)options->duration_ms / 1000,
			(unsigned long long)options->rounds, options->rounds == 1 ? "" : "s");
	printf("%s, %lld of %lld CPUs allotted, %s, gearbox %s (%s)\n\n",
		json_string_value(json_object_get(machine, "cpu")),
		(long long)json_integer_value(json_object_get(machine, "cpus_allotted")),
		(long long)json_integer_value(json_object_get(machine, "cpus")),
		json_string_value(json_object_get(machine, "kernel")),
		json_string_value(json_object_get(machine, "gearbox")),
		json_string_value(json_object_get(machine, "commit")));
}

static void print_folded(const char *mark, const char *text)
{
	size_t column = width(mark);

	fputs(mark, stdout);
	while (*text) {
		char word[FOLD * 4];
		size_t length = strcspn(text, " ");

		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		if (column + width(word) > FOLD && column > width(mark)) {
			printf("\n%*s", (int)width(mark), "");
			column = width(mark);
		}
		printf("%s ", word);
		column += width(word) + 1;
		text += length + (text[length] == ' ');
	}
	putchar('\n');
}

/* The first warning that no finding tells. */
static const char *untold(const struct compare_point *point)
{
	for (size_t i = 0; i < point->warnings_count; i++)
		if (!strstr(point->warnings[i], COMPARE_TURNS))
			return point->warnings[i];
	return NULL;
}

static void tell_warnings(const struct comparison *comparison)
{
	const struct compare_point *known = NULL;
	size_t points = 0, all = compare_told(comparison) * comparison->grid;
	char text[COMPARE_TEXT_MAX + 200];

	for (size_t i = 0; i < all; i++)
		if (untold(&comparison->points[i])) {
			known = known ? known : &comparison->points[i];
			points++;
		}
	if (!known)
		return;
	snprintf(text, sizeof(text),
		"Doubts at %zu of %zu point%s (--json has all). The first, of %.80s: %s.", points, all,
		all == 1 ? "" : "s", comparison->models[known->model].name, untold(known));
	print_folded("- ", text);
}

void gb__compare_tell(const struct comparison *comparison, const json_t *document)
{
	const json_t *findings = json_object_get(document, "findings");
	const json_t *changes = json_object_get(json_object_get(document, "baseline"), "findings");

	print_heading(comparison, document);
	if (comparison->options->axes_count == 0)
		tell_points(comparison);
	else
		tell_sweep(comparison);
	puts("* the best, and what the noise does not let tell from it\n");
	for (size_t i = 0; i < json_array_size(findings); i++)
		print_folded("- ", json_string_value(json_array_get(findings, i)));
	tell_warnings(comparison);
	if (changes)
		putchar('\n');
	for (size_t i = 0; i < json_array_size(changes); i++)
		print_folded("- ", json_string_value(json_array_get(changes, i)));
}
