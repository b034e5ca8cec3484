/* Messages that end with some bytes. What has come in pieces is searched once: `scanned` keeps the place. */
#include "base/assert.h"
#include "base/macros.h"

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

const struct gb_codec_ops gb_codec_delimiter = { .name = "delimiter", .decode = delimiter_decode };
