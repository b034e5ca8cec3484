#include "load/merge.h"

#include "command.h"
#include "load/hdr_log.h"
#include "load/report.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static int read_all(const struct load_options *options, struct hdr_log *log, struct gb_error *error)
{
	int rc = 0;

	for (size_t i = 0; i < options->merged.count && rc == 0; i++) {
		const struct gb_bytes *name = &options->merged.list[i];
		char path[4096];

		snprintf(path, sizeof(path), "%.*s", (int)name->size, (const char *)name->data);
		rc = gb__hdr_log_read(log, path, error);
	}
	return rc;
}

static json_t *json_of(const struct hdr_log *log)
{
	json_t *array = json_array();

	for (size_t i = 0; i < log->count; i++) {
		json_t *entry = gb__report_json_durations(log->list[i].histogram);

		json_object_set_new(entry, "tag", gb__json_text(log->list[i].tag));
		json_object_set_new(entry, "values", json_integer((json_int_t)log->list[i].histogram->count));
		json_object_set_new(entry, "seconds", json_real(log->list[i].seconds));
		json_array_append_new(array, entry);
	}
	return json_pack("{s:o}", "histograms", array);
}

int gb__load_merge(const struct load_options *options, struct gb_error *error)
{
	struct hdr_log log = { 0 };
	int rc = read_all(options, &log, error);

	for (size_t i = 0; i < log.count && rc == 0 && !options->json; i++) {
		printf("%llu values\n", (unsigned long long)log.list[i].histogram->count);
		gb__report_durations(stdout, log.list[i].tag, log.list[i].histogram);
	}
	if (rc == 0 && options->json && gb__json_print(json_of(&log)) != EXIT_DONE)
		rc = gb_error_set(error, -ENOMEM, "%s", gb_strerror(-ENOMEM));
	if (rc == 0 && options->histogram_path)
		rc = gb__hdr_log_write(&log, options->histogram_path, (double)time(NULL), error);
	gb__hdr_log_finish(&log);
	return rc;
}
