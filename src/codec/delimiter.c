/* Messages that end with some bytes. What has come in pieces is searched once: `scanned` keeps the place. */
#include "base/assert.h"
#include "base/macros.h"
#include "codec/part.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#include <string.h>

static int incomplete(struct gb_bytes input, size_t size, size_t max_message, uint32_t *scanned)
{
	/* Behind the maximum there can only be the beginning of a delimiter. */
	if (input.size > max_message && input.size - max_message >= size)
		return -GB_ETOOLARGE;
	/* A delimiter may have begun in the last bytes. */
	*scanned = (uint32_t)gb__min(input.size < size ? 0 : input.size - size + 1, (size_t)UINT32_MAX);
	return 0;
}

static int delimiter_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_delimiter_options *delimiter = options;
	const unsigned char *found;
	size_t end;

	gb__assert(delimiter && delimiter->size > 0);
	gb__assert(*scanned <= input.size);
	found = memmem(input.data + *scanned, input.size - *scanned, delimiter->bytes, delimiter->size);
	if (!found)
		return incomplete(input, delimiter->size, max_message, scanned);
	end = (size_t)(found - input.data);
	if (end > max_message)
		return -GB_ETOOLARGE;
	ret->consumed = end + delimiter->size;
	ret->offset = 0;
	ret->size = delimiter->keep_end ? ret->consumed : end;
	return 1;
}

/* Bytes behind all that may begin a delimiter. */
static size_t begun(const struct gb_delimiter_options *delimiter, struct gb_bytes input)
{
	size_t size = gb__min(delimiter->size - 1, input.size);

	while (size > 0 && memcmp(input.data + input.size - size, delimiter->bytes, size) != 0)
		size--;
	return size;
}

static int delimiter_decode_part(const void *options, void *state, struct gb_bytes input, size_t max_part,
	struct gb_progress *progress, struct gb_frame *ret)
{
	const struct gb_delimiter_options *delimiter = options;
	const unsigned char *found;
	size_t end, window;

	gb__assert(delimiter && delimiter->size > 0);
	/* What begins behind a part is the next one's. */
	window = input.size > max_part ? max_part + gb__min(input.size - max_part, delimiter->size)
				       : input.size;
	found = memmem(input.data, window, delimiter->bytes, delimiter->size);
	end = found ? (size_t)(found - input.data) : input.size - begun(delimiter, input);
	if (!found || end > max_part)
		return gb__part_of_unknown(progress, end, max_part, ret);
	return gb__part_last(
		progress, delimiter->keep_end ? end + delimiter->size : end, end + delimiter->size, ret);
}

const struct gb_codec_ops gb_codec_delimiter = {
	.name = "delimiter",
	.decode = delimiter_decode,
	.decode_part = delimiter_decode_part,
};
