/*
 * The comparison stands in the page as JSON, in an element that browsers do not run. Of JSON only texts can hold what
 * HTML would take for markup, and there each character may as well be written as a number: so whatever a text says,
 * it cannot end the element. The page's script makes text of texts, never markup.
 */
#include "report/check.h"
#include "report/page.h"
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Seven digits are more than any figure here has. */
#define FORM (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(7))
/* Curves of latency together: what a page of a megabyte and a half has room for. */
#define PAIRS_MAX 30000u
#define PAIRS_MIN 24u /* of one curve */

/* One piece of JSON text, without what HTML could see in it. */
static int put(const char *text, size_t size, void *stream)
{
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		int rc = c == '<' || c == '>' || c == '&'
			? fprintf(stream, "\\u%04x", (unsigned)(unsigned char)c)
			: fputc(c, stream);

		if (rc < 0)
			return -1;
	}
	return 0;
}

static size_t count_pairs(const json_t *points)
{
	size_t count = 0, i;
	json_t *point;

	json_array_foreach(points, i, point) count += json_array_size(json_object_get(point, "latency"));
	return count;
}

/* As many of the pairs, evenly, the last among them. */
static json_t *thin(const json_t *latency, size_t count)
{
	size_t have = json_array_size(latency);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append(list, json_array_get(latency, i * (have - 1) / (count - 1)));
	return list;
}

/* The comparison itself, or one with fewer steps in its curves. The caller has a reference. NULL: no memory. */
static json_t *with_room(const json_t *comparison)
{
	size_t points = json_array_size(json_object_get(comparison, "points")), i, most;
	json_t *copy, *point;

	if (count_pairs(json_object_get(comparison, "points")) <= PAIRS_MAX)
		return json_incref((json_t *)comparison);
	most = PAIRS_MAX / points > PAIRS_MIN ? PAIRS_MAX / points : PAIRS_MIN;
	copy = json_deep_copy(comparison);
	json_array_foreach(json_object_get(copy, "points"), i, point)
	{
		const json_t *latency = json_object_get(point, "latency");

		if (json_array_size(latency) > most)
			json_object_set_new(point, "latency", thin(latency, most));
	}
	return copy;
}

static int write_page(FILE *stream, const json_t *comparison)
{
	json_t *shown = with_room(comparison);
	int rc = -1;

	if (!shown)
		return -ENOMEM;
	errno = 0;
	if (fwrite(gb__report_page_head, 1, gb__report_page_head_size, stream) == gb__report_page_head_size &&
		json_dump_callback(shown, put, stream, FORM) == 0 &&
		fwrite(gb__report_page_tail, 1, gb__report_page_tail_size, stream) ==
			gb__report_page_tail_size &&
		fflush(stream) == 0)
		rc = 0;
	json_decref(shown);
	if (rc < 0)
		return errno ? -errno : -ENOMEM;
	return 0;
}

/* To a file beside it, which then takes its name: nobody finds half a report. */
static int replace(const json_t *comparison, const char *path)
{
	char *part = NULL;
	FILE *stream = NULL;
	int rc = 0, fd;

	if (asprintf(&part, "%s.%d.part", path, (int)getpid()) < 0)
		return -ENOMEM;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd >= 0)
		stream = fdopen(fd, "w");
	if (!stream) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
	}
	if (rc == 0)
		rc = write_page(stream, comparison);
	if (stream && fclose(stream) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(part, path) < 0)
		rc = -errno;
	if (rc < 0 && fd >= 0)
		unlink(part);
	free(part);
	return rc;
}

static int write_into(const json_t *comparison, const char *path)
{
	FILE *stream = fopen(path, "we");
	int rc;

	if (!stream)
		return -errno;
	rc = write_page(stream, comparison);
	if (fclose(stream) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

int gb__report_write(const json_t *comparison, const char *path, struct gb_error *error)
{
	struct stat status;
	int rc = gb__report_check(comparison, error);

	if (rc < 0)
		return rc;
	if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
		rc = write_into(comparison, path);
	else
		rc = replace(comparison, path);
	return rc < 0 ? gb_error_set(error, rc, "%s: %s", path, gb_strerror(rc)) : 0;
}
