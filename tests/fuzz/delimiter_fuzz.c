#include "fuzz.h"

#include <gearbox/error.h>

#include <string.h>

#define SIZE_CHOSEN_MAX 8u

static unsigned char bytes[SIZE_CHOSEN_MAX];
static struct gb_delimiter_options chosen;

/* Of few letters or of any bytes, at the end of their memory. */
static const void *choose(struct fuzz_source *source)
{
	const unsigned flags = fuzz_take(source);
	unsigned char *at;

	chosen.keep_end = flags & 1;
	chosen.size = 1 + (flags >> 2) % SIZE_CHOSEN_MAX;
	chosen.bytes = at = bytes + SIZE_CHOSEN_MAX - chosen.size;
	for (size_t i = 0; i < chosen.size; i++) {
		const unsigned byte = fuzz_take(source);

		at[i] = (unsigned char)(flags & 2 ? byte : 'a' + byte % 2);
	}
	return &chosen;
}

static size_t find(const struct gb_delimiter_options *delimiter, struct gb_bytes in)
{
	for (size_t i = 0; i + delimiter->size <= in.size; i++)
		if (memcmp(in.data + i, delimiter->bytes, delimiter->size) == 0)
			return i;
	return SIZE_MAX;
}

static int decode(const void *options, struct gb_bytes input, size_t max_message, struct gb_frame *ret)
{
	const struct gb_delimiter_options *delimiter = options;
	const size_t end = find(delimiter, input);

	if (end == SIZE_MAX) /* refused when the largest message and its end would be there */
		return (unsigned __int128)max_message + delimiter->size <= input.size ? -GB_ETOOLARGE : 0;
	if (end > max_message)
		return -GB_ETOOLARGE;
	ret->consumed = end + delimiter->size;
	ret->offset = 0;
	ret->size = delimiter->keep_end ? ret->consumed : end;
	return 1;
}

static size_t encode(const void *options, struct gb_bytes from, size_t max_message, unsigned char *out,
	struct gb_bytes *ret_message)
{
	const struct gb_delimiter_options *delimiter = options;
	const size_t size = from.size + delimiter->size;

	for (size_t i = 0; i < from.size; i++)
		out[i] = from.data[i];
	memcpy(out + from.size, delimiter->bytes, delimiter->size);
	if (find(delimiter, (struct gb_bytes){ out, size }) != from.size)
		return 0;
	*ret_message = (struct gb_bytes){ out, delimiter->keep_end ? size : from.size };
	return size;
}

const struct fuzz_codec fuzz_codec = { &gb_codec_delimiter, "aababb", 6, choose, decode, encode };
