#include "fuzz.h"

#include <gearbox/error.h>

#include <string.h>

static struct gb_line_options chosen;

static const void *choose(struct fuzz_source *source)
{
	const unsigned flags = fuzz_take(source);

	chosen.keep_end = flags & 1;
	return flags & 2 ? NULL : &chosen;
}

static size_t without_cr(struct gb_bytes line)
{
	return line.size > 0 && line.data[line.size - 1] == '\r' ? line.size - 1 : line.size;
}

static int decode(const void *options, struct gb_bytes input, size_t max_message, struct gb_frame *ret)
{
	const struct gb_line_options *line = options;
	size_t end = 0, size;

	while (end < input.size && input.data[end] != '\n')
		end++;
	/* Without an end: the shortest line that it can become. */
	size = without_cr((struct gb_bytes){ input.data, end });
	if (size > max_message)
		return -GB_ETOOLARGE;
	if (end == input.size)
		return 0;
	ret->consumed = end + 1;
	ret->offset = 0;
	ret->size = line && line->keep_end ? end + 1 : size;
	return 1;
}

/* LF after an even size, CRLF after an odd one; no LF in the line, and no CR at its end. */
static size_t encode(const void *options, struct gb_bytes from, size_t max_message, unsigned char *out,
	struct gb_bytes *ret_message)
{
	const struct gb_line_options *line = options;
	size_t size = from.size;

	for (size_t i = 0; i < size; i++)
		out[i] = from.data[i] == '\n' || (i == size - 1 && from.data[i] == '\r') ? '.' : from.data[i];
	if (size % 2)
		out[size++] = '\r';
	out[size++] = '\n';
	*ret_message = (struct gb_bytes){ out, line && line->keep_end ? size : from.size };
	return size;
}

const struct fuzz_codec fuzz_codec = { &gb_codec_line, "\n\r\nab\r", 6, choose, decode, encode };
