#include "load/series.h"

#include "load/doubts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int gb__series_init(
	struct series *series, const char *path, uint64_t interval_ns, unsigned parts, struct gb_error *error)
{
	memset(series, 0, sizeof(*series));
	pthread_mutex_init(&series->lock, NULL);
	series->interval_ns = interval_ns;
	series->parts = parts;
	for (unsigned i = 0; i < SERIES_SLOTS; i++) {
		series->slots[i].response_ns = malloc(sizeof(struct histogram));
		if (!series->slots[i].response_ns)
			return gb_error_set(error, -ENOMEM, "%s", gb_strerror(-ENOMEM));
		gb__histogram_init(series->slots[i].response_ns);
	}
	series->file = fopen(path, "we");
	if (!series->file)
		return gb_error_set(error, -errno, "%s: %s", path, gb_strerror(-errno));
	return 0;
}

static void write_interval(struct series *series)
{
	struct series_slot *slot = &series->slots[series->next % SERIES_SLOTS];
	const struct histogram *histogram = slot->response_ns;
	double seconds = (double)series->interval_ns / 1e9;

	fprintf(series->file, "{\"second\": %.3f, \"messages\": %" PRIu64 ", \"per_second\": %.1f",
		(double)series->next * seconds, histogram->count, (double)histogram->count / seconds);
	for (size_t i = 0; i < QUANTILES_MAX; i++) {
		const struct quantile *quantile = &gb__quantiles[i];

		if (histogram->count < gb__quantile_samples_min(quantile->ten_thousandths))
			fprintf(series->file, ", \"%s_ns\": null", quantile->key);
		else
			fprintf(series->file, ", \"%s_ns\": %" PRIu64, quantile->key,
				gb__histogram_quantile(histogram, quantile->ten_thousandths));
	}
	fprintf(series->file, ", \"max_ns\": %" PRIu64 "}\n", histogram->max);
	fflush(series->file);
	gb__histogram_init(slot->response_ns);
	slot->given = 0;
	series->next++;
}

/* Buckets are counts: what came since is the difference. The extremes are those of its buckets. */
static void add_difference(struct histogram *to, const struct histogram *now, const struct histogram *before)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (now->buckets[i] != before->buckets[i])
			gb__histogram_add_many(
				to, gb__histogram_bucket_top(i), now->buckets[i] - before->buckets[i]);
}

void gb__series_give(
	struct series *series, uint64_t index, const struct histogram *now, struct histogram *before)
{
	struct series_slot *slot;

	pthread_mutex_lock(&series->lock);
	index = index < series->next ? series->next : index;
	while (index - series->next >= SERIES_SLOTS) /* somebody gives nothing any more */
		write_interval(series);
	slot = &series->slots[index % SERIES_SLOTS];
	add_difference(slot->response_ns, now, before);
	slot->given++;
	while (series->slots[series->next % SERIES_SLOTS].given >= series->parts)
		write_interval(series);
	pthread_mutex_unlock(&series->lock);
	*before = *now;
}

int gb__series_finish(struct series *series)
{
	int rc = 0;

	while (series->file) {
		unsigned given = 0;

		for (unsigned i = 0; i < SERIES_SLOTS; i++)
			given += series->slots[i].given;
		if (given == 0)
			break;
		write_interval(series);
	}
	if (series->file && ferror(series->file))
		rc = -EIO;
	if (series->file && fclose(series->file) != 0)
		rc = -EIO;
	for (unsigned i = 0; i < SERIES_SLOTS; i++)
		free(series->slots[i].response_ns);
	series->file = NULL;
	return rc;
}
