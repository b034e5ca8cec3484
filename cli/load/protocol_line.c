/*
 * Lines, each of which is answered by one, or by as many as are said. What they are, the user may say; else they are
 * counted: whoever loses or invents a line is found.
 */
#include "load/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct line_state {
	uint64_t offset;   /* bytes checked */
	uint64_t of_reply; /* lines of the current reply that have arrived; of an expected one, its bytes */
	bool ending;       /* a CR behind an expected one has arrived */
};

static int line_prepare(const struct load_request *request, struct traffic *ret)
{
	bool own = request->messages && request->messages->count > 0;
	int result = own ? gb__traffic_of_messages(request->messages, ret)
			 : gb__traffic_of_lines(request->size, ret);

	if (result < 0)
		return result;
	ret->expect = request->expect;
	ret->reply_lines = request->reply_lines ? request->reply_lines : 1;
	return 0;
}

static size_t line_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	*(struct line_state *)state = (struct line_state){ 0 };
	if (traffic->sizes)
		return 0;
	return (size_t)(number % (traffic->period / traffic->request_size)) * traffic->request_size;
}

/* Take bytes up to the end of a line, or all. Returns how many; `*ret_reply` tells whether a reply is complete. */
static size_t take_line(
	const struct traffic *traffic, struct line_state *line, struct gb_bytes bytes, bool *ret_reply)
{
	const unsigned char *end = memchr(bytes.data, '\n', bytes.size);

	if (!end)
		return bytes.size;
	*ret_reply = ++line->of_reply == traffic->reply_lines;
	if (*ret_reply)
		line->of_reply = 0;
	return (size_t)(end - bytes.data) + 1;
}

/* The same of a reply that is known: its text, then LF or CR LF. Returns how many or -GB_EBADFRAME. */
static int64_t take_expected(const struct traffic *traffic, struct line_state *line, struct gb_bytes bytes,
	bool *ret_reply, struct gb_error *error)
{
	const struct gb_bytes *expect = &traffic->expect;
	size_t left = expect->size - (size_t)line->of_reply, size = bytes.size < left ? bytes.size : left;
	int64_t rc;

	if (size > 0) {
		rc = gb__protocol_compare(
			expect->data + line->of_reply, bytes.data, size, line->offset, error);
		line->of_reply += size;
		return rc < 0 ? rc : (int64_t)size;
	}
	if (bytes.data[0] == '\r' && !line->ending) {
		line->ending = true;
		return 1;
	}
	if (bytes.data[0] != '\n')
		return gb__protocol_wrong_byte(line->offset, '\n', bytes.data[0], error);
	line->of_reply = 0;
	line->ending = false;
	*ret_reply = true;
	return 1;
}

static int64_t line_check(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
	struct gb_error *error)
{
	struct line_state *line = state;
	uint64_t replies = 0;

	while (bytes.size > 0) {
		bool reply = false;
		int64_t taken;

		if (replies == awaited)
			return gb__protocol_surplus(line->offset, error);
		if (traffic->expect.data)
			taken = take_expected(traffic, line, bytes, &reply, error);
		else
			taken = (int64_t)take_line(traffic, line, bytes, &reply);
		if (taken < 0)
			return taken;
		bytes.data += taken;
		bytes.size -= (size_t)taken;
		line->offset += (uint64_t)taken;
		replies += reply;
	}
	return (int64_t)replies;
}

const struct protocol gb__protocol_line = {
	.name = "line",
	.state_size = sizeof(struct line_state),
	.prepare = line_prepare,
	.begin = line_begin,
	.check = line_check,
};
