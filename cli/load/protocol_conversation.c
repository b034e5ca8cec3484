/*
 * A recorded conversation: what a client said and what it heard, exchange by exchange, over and over again. Each reply must
 * be what it was, byte for byte.
 *
 * The file has a line for each request, which begins with "> ", and for its reply, which begins with "< "; \r, \n, \t, \0,
 * \\ and \xHH stand for bytes as in --message. Several lines of one kind in a row are one text. '#' begins a comment.
 */
#include "load/protocol_script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	struct script_bytes requests, replies;
	struct script_line *lines;
	size_t count;
	bool hears; /* the last line was heard */
};

/* One line's text, without its mark. Returns 0, -GB_EUSAGE or -ENOMEM. */
static int take_text(struct reading *reading, bool hears, const char *text, struct gb_error *error)
{
	struct messages one = { 0 };
	int rc = gb__messages_add(&one, text, error);

	if (rc == 0 && hears && reading->count == 0)
		rc = gb_error_set(error, -GB_EUSAGE, "a reply before any request");
	if (rc == 0 && !hears && (reading->count == 0 || reading->hears)) {
		struct script_line *grown = realloc(reading->lines, (reading->count + 1) * sizeof(*grown));

		if (grown) {
			reading->lines = grown;
			reading->lines[reading->count++] = (struct script_line){ 0 };
		}
		rc = grown ? 0 : gb_error_set(error, -ENOMEM, "%s", gb_strerror(-ENOMEM));
	}
	if (rc == 0) {
		struct script_line *line = &reading->lines[reading->count - 1];
		const struct gb_bytes *bytes = &one.list[0];

		*(hears ? &line->reply : &line->request) += bytes->size;
		reading->hears = hears;
		rc = gb__script_append(
			hears ? &reading->replies : &reading->requests, bytes->data, bytes->size);
	}
	gb__messages_finish(&one);
	return rc;
}

static int read_line(struct reading *reading, char *line, struct gb_error *error)
{
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if ((line[0] == '>' || line[0] == '<') && line[1] == ' ')
		return take_text(reading, line[0] == '<', line + 2, error);
	return gb_error_set(error, -GB_EUSAGE, "neither \"> \" and a request nor \"< \" and a reply");
}

/* Every request must have been answered: else nobody could tell when the next one is due. */
static int check_all(const struct reading *reading, struct gb_error *error)
{
	for (size_t i = 0; i < reading->count; i++)
		if (reading->lines[i].reply == 0)
			return gb_error_set(error, -GB_EUSAGE, "request %zu has no reply", i + 1);
	return reading->count > 0 ? 0 : gb_error_set(error, -GB_EUSAGE, "no request");
}

int gb__conversation_read(const char *path, struct traffic *ret, struct gb_error *error)
{
	FILE *file = fopen(path, "re");
	struct gb_error inner = { 0 };
	struct reading reading = { 0 };
	size_t room = 0, number = 0;
	char *line = NULL;
	int rc = 0;

	if (!file)
		return gb_error_set(error, -errno, "%s: %s", path, gb_strerror(-errno));
	while (rc == 0 && getline(&line, &room, file) >= 0) {
		number++;
		rc = read_line(&reading, line, &inner);
	}
	if (rc == 0)
		rc = check_all(&reading, &inner);
	if (rc == 0)
		rc = gb__script_traffic(
			&reading.requests, &reading.replies, reading.lines, reading.count, ret);
	free(line);
	fclose(file);
	free(reading.requests.data);
	free(reading.replies.data);
	free(reading.lines);
	return rc < 0 ? gb_error_set(error, rc, "%s:%zu: %s", path, number,
				inner.text[0] ? inner.text : gb_strerror(rc))
		      : 0;
}

static int conversation_prepare(const struct load_request *request, struct traffic *ret)
{
	struct gb_error error;

	return gb__conversation_read(request->conversation, ret, &error);
}

const struct protocol gb__protocol_conversation = {
	.name = "conversation",
	.state_size = sizeof(struct script_state),
	.prepare = conversation_prepare,
	.begin = gb__script_begin,
	.check = gb__script_check,
};
