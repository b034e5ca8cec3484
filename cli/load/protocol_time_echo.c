/*
 * Lines that come back with the time before them: "[Thu Apr 20 12:00:00 2017] line". All requests have the
 * same size, so all replies have, and the checker knows what each byte must be without looking for ends.
 */
#include "load/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STAMP_SIZE 27u /* "[Thu Apr 20 12:00:00 2017] " */

struct stamped_state {
	uint64_t offset;                     /* bytes checked */
	size_t at;                           /* the place of the line that the current reply must have */
	size_t of_reply;                     /* bytes of the current reply that have arrived */
	unsigned char stamp[STAMP_SIZE + 1]; /* as far as it has arrived */
	unsigned char right[STAMP_SIZE + 1]; /* the last one that was found to be right; replies share it */
};

static int stamped_prepare(const struct load_request *request, struct traffic *ret)
{
	int result = gb__traffic_of_lines(request->size, ret);

	if (result == 0)
		ret->reply_size = STAMP_SIZE + request->size;
	return result;
}

static size_t stamped_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	struct stamped_state *line = state;
	size_t lines = traffic->period / traffic->request_size;

	*line = (struct stamped_state){ .at = (size_t)(number % lines) * traffic->request_size };
	return line->at;
}

/* Whether "[Thu Apr 20 12:00:00 2017] " names a time that exists. */
static bool is_stamp(const unsigned char *stamp)
{
	char text[STAMP_SIZE + 1], again[26]; /* the size that asctime_r asks for */
	struct tm tm = { 0 };

	memcpy(text, stamp, STAMP_SIZE);
	text[STAMP_SIZE] = '\0';
	/* Reading is lenient: what was read is written again, with the weekday that the date really has. */
	if (!strptime(text, "[%a %b %e %H:%M:%S %Y] ", &tm))
		return false;
	timegm(&tm);
	return asctime_r(&tm, again) && text[0] == '[' && memcmp(again, text + 1, 24) == 0 &&
		strcmp(text + 25, "] ") == 0;
}

/* Takes bytes of the stamp. Returns how many, or -GB_EBADFRAME. */
static int64_t check_stamp(struct stamped_state *line, struct gb_bytes bytes, struct gb_error *error)
{
	size_t left = STAMP_SIZE - line->of_reply;
	size_t size = bytes.size < left ? bytes.size : left;

	memcpy(line->stamp + line->of_reply, bytes.data, size);
	if (size < left || memcmp(line->stamp, line->right, STAMP_SIZE) == 0)
		return (int64_t)size;
	if (!is_stamp(line->stamp))
		return gb_error_set(error, -GB_EBADFRAME,
			"byte %llu of the replies begins \"%.*s\", expected a time as \"[Thu Apr 20 12:00:00 2017] \"",
			(unsigned long long)(line->offset - line->of_reply), (int)STAMP_SIZE,
			(const char *)line->stamp);
	memcpy(line->right, line->stamp, STAMP_SIZE);
	return (int64_t)size;
}

/* Takes bytes of the line itself. Returns how many, or -GB_EBADFRAME. */
static int64_t check_text(const struct traffic *traffic, const struct stamped_state *line,
	struct gb_bytes bytes, struct gb_error *error)
{
	size_t of_line = line->of_reply - STAMP_SIZE, left = traffic->request_size - of_line;
	size_t size = bytes.size < left ? bytes.size : left;
	int64_t rc = gb__protocol_compare(
		traffic->data + line->at + of_line, bytes.data, size, line->offset, error);

	return rc < 0 ? rc : (int64_t)size;
}

static int64_t stamped_check(const struct traffic *traffic, void *state, uint64_t awaited,
	struct gb_bytes bytes, struct gb_error *error)
{
	struct stamped_state *line = state;
	uint64_t replies = 0;

	while (bytes.size > 0) {
		int64_t taken;

		if (replies == awaited)
			return gb__protocol_surplus(line->offset, error);
		if (line->of_reply < STAMP_SIZE)
			taken = check_stamp(line, bytes, error);
		else
			taken = check_text(traffic, line, bytes, error);
		if (taken < 0)
			return taken;
		bytes.data += taken;
		bytes.size -= (size_t)taken;
		line->offset += (uint64_t)taken;
		line->of_reply += (size_t)taken;
		if (line->of_reply == traffic->reply_size) {
			line->of_reply = 0;
			line->at = traffic_after(traffic, line->at, traffic->request_size);
			replies++;
		}
	}
	return (int64_t)replies;
}

const struct protocol gb__protocol_time_echo = {
	.name = "time-echo",
	.state_size = sizeof(struct stamped_state),
	.prepare = stamped_prepare,
	.begin = stamped_begin,
	.check = stamped_check,
};
