#include "load/hdr_log.h"

#include "load/hdr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct hdr_log_entry *entry_of(struct hdr_log *log, const char *tag)
{
	struct hdr_log_entry *entry;

	for (size_t i = 0; i < log->count; i++)
		if (strcmp(log->list[i].tag, tag) == 0)
			return &log->list[i];
	if (log->count == HDR_LOG_TAGS_MAX)
		return NULL;
	entry = &log->list[log->count];
	entry->histogram = malloc(sizeof(*entry->histogram));
	if (!entry->histogram)
		return NULL;
	gb__histogram_init(entry->histogram);
	snprintf(entry->tag, sizeof(entry->tag), "%s", tag);
	log->count++;
	return entry;
}

int gb__hdr_log_add(struct hdr_log *log, const char *tag, double seconds, const struct histogram *histogram)
{
	struct hdr_log_entry *entry = entry_of(log, tag);

	if (!entry)
		return log->count == HDR_LOG_TAGS_MAX ? -ENOSPC : -ENOMEM;
	entry->seconds += seconds;
	gb__histogram_merge(entry->histogram, histogram);
	return 0;
}

/* "Tag=X,START,LENGTH,MAX,HISTOGRAM", of which the tag may be missing. */
static int read_line(struct hdr_log *log, char *line, struct gb_error *error)
{
	struct hdr_log_entry *entry;
	const char *tag = "";
	double start, length, max;
	int used = 0;

	if (strncmp(line, "Tag=", 4) == 0) {
		char *comma = strchr(line, ',');

		if (!comma || comma - line - 4 >= HDR_LOG_TAG_MAX)
			return gb_error_set(error, -GB_EUSAGE, "no tag");
		*comma = '\0';
		tag = line + 4;
		line = comma + 1;
	}
	if (sscanf(line, "%lf,%lf,%lf,%n", &start, &length, &max, &used) != 3 || used == 0)
		return gb_error_set(error, -GB_EUSAGE, "no line of a histogram log");
	entry = entry_of(log, tag);
	if (!entry)
		return gb_error_set(error, -GB_EUSAGE, "more than %u tags", HDR_LOG_TAGS_MAX);
	entry->seconds += length;
	return gb__hdr_decode(line + used, entry->histogram, error);
}

int gb__hdr_log_read(struct hdr_log *log, const char *path, struct gb_error *error)
{
	FILE *file = fopen(path, "re");
	struct gb_error inner = { 0 };
	size_t room = 0, number = 0;
	char *line = NULL;
	int rc = 0;

	if (!file)
		return gb_error_set(error, -errno, "%s: %s", path, gb_strerror(-errno));
	while (rc == 0 && getline(&line, &room, file) >= 0) {
		number++;
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] != '#' && line[0] != '"' && line[0] != '\0')
			rc = read_line(log, line, &inner);
	}
	free(line);
	fclose(file);
	return rc < 0 ? gb_error_set(error, rc, "%s:%zu: %s", path, number, inner.text) : 0;
}

static int write_lines(const struct hdr_log *log, FILE *file, double begin)
{
	time_t when = (time_t)begin;
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&when, &tm))
		strftime(text, sizeof(text), "%a %b %d %H:%M:%S UTC %Y", &tm);
	fprintf(file, "#[Histogram log format version 1.3]\n#[StartTime: %.3f (seconds since epoch), %s]\n",
		begin, text);
	fputs("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
		file);
	for (size_t i = 0; i < log->count; i++) {
		const struct hdr_log_entry *entry = &log->list[i];
		char *word = gb__hdr_encode(entry->histogram);

		if (!word)
			return -ENOMEM;
		fprintf(file, "%s%s%s0.000,%.3f,%.3f,%s\n", entry->tag[0] ? "Tag=" : "", entry->tag,
			entry->tag[0] ? "," : "", entry->seconds, (double)entry->histogram->max / 1e6, word);
		free(word);
	}
	return ferror(file) ? -EIO : 0;
}

int gb__hdr_log_write(const struct hdr_log *log, const char *path, double begin, struct gb_error *error)
{
	FILE *file = fopen(path, "we");
	int rc = file ? write_lines(log, file, begin) : -errno;

	if (file && fclose(file) != 0 && rc == 0)
		rc = -errno;
	return rc < 0 ? gb_error_set(error, rc, "%s: %s", path, gb_strerror(rc)) : 0;
}

void gb__hdr_log_finish(struct hdr_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		free(log->list[i].histogram);
	log->count = 0;
}
