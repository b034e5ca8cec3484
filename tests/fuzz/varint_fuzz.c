#include "fuzz.h"

#include <gearbox/error.h>

#define BYTES_MAX 10u /* of a length of 64 bits */

static struct gb_varint_options chosen;

static const void *choose(struct fuzz_source *source)
{
	const unsigned flags = fuzz_take(source);

	chosen.keep_header = flags & 1;
	return flags & 2 ? NULL : &chosen;
}

static int keeps(const void *options)
{
	return options && ((const struct gb_varint_options *)options)->keep_header;
}

static int decode(const void *options, struct gb_bytes input, size_t max_message, struct gb_frame *ret)
{
	unsigned __int128 length = 0;
	size_t header = 0;
	int more = 1;

	while (more) {
		if (header == input.size)
			return 0;
		length += (unsigned __int128)(input.data[header] & 0x7f) << 7 * header;
		more = input.data[header] & 0x80;
		header++;
		if (length > UINT64_MAX || (more && header == BYTES_MAX))
			return -GB_EBADFRAME;
	}
	if (length > max_message)
		return -GB_ETOOLARGE;
	if (header + length > input.size)
		return 0;
	ret->consumed = header + (size_t)length;
	ret->offset = keeps(options) ? 0 : header;
	ret->size = ret->consumed - ret->offset;
	return 1;
}

static size_t encode(const void *options, struct gb_bytes from, size_t max_message, unsigned char *out,
	struct gb_bytes *ret_message)
{
	size_t header = 0, length = from.size;

	for (; length > 0x7f; length >>= 7)
		out[header++] = (unsigned char)(length | 0x80);
	out[header++] = (unsigned char)length;
	for (size_t i = 0; i < from.size; i++)
		out[header + i] = from.data[i];
	length = header + from.size;
	*ret_message = keeps(options) ? (struct gb_bytes){ out, length }
				      : (struct gb_bytes){ out + header, from.size };
	return length;
}

const struct fuzz_codec fuzz_codec = { &gb_codec_varint, "\0\1\2\5\x80\x81\xff\x7f", 8, choose, decode,
	encode };
