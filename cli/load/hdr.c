#include "load/hdr.h"

#include "load/base64.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define COOKIE 0x1c849303u            /* version 2 … */
#define COOKIE_COMPRESSED 0x1c849304u /* … and compressed */
#define COOKIE_WORDS 0x10u            /* the width of counts, which version 2 no longer has */
#define COOKIE_WIDTH 0xf0u
#define HEADER 40u
#define DIGITS 2 /* whose buckets ours are: 2 * 10^2 values, as a power of two 256, lie in one run */
#define DIGITS_MAX 5
#define WORD_MAX 9u /* bytes of a number */
#define PAYLOAD_MAX \
	(16u << 20) /* of counts: five digits of 64 bits have 6 million empty ones, in a few bytes */

static void put32(unsigned char *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static void put64(unsigned char *to, uint64_t value)
{
	value = htobe64(value);
	memcpy(to, &value, sizeof(value));
}

static uint32_t get32(const unsigned char *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}

static uint64_t get64(const unsigned char *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return be64toh(value);
}

/* LEB128, but that a ninth byte has all eight bits. Returns the bytes written. */
static size_t put_word(unsigned char *to, int64_t value)
{
	uint64_t rest = (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
	size_t size = 0;

	while (rest >= 0x80 && size < WORD_MAX - 1) {
		to[size++] = (unsigned char)(rest | 0x80);
		rest >>= 7;
	}
	to[size++] = (unsigned char)rest;
	return size;
}

/* Returns the bytes read, or 0: it is cut off. */
static size_t get_word(const unsigned char *from, size_t size, int64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size && i < WORD_MAX; i++) {
		bool last = i == WORD_MAX - 1;

		value |= (uint64_t)(last ? from[i] : from[i] & 0x7f) << (7 * i);
		if (last || !(from[i] & 0x80)) {
			*ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
			return i + 1;
		}
	}
	return 0;
}

static size_t put_counts(unsigned char *to, const struct histogram *histogram)
{
	size_t size = 0;
	int64_t empty = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (histogram->buckets[i] == 0) {
			empty++;
			continue;
		}
		if (empty > 0)
			size += put_word(to + size, -empty);
		empty = 0;
		size += put_word(to + size, (int64_t)histogram->buckets[i]);
	}
	return size;
}

static char *compress_and_encode(const unsigned char *data, size_t size)
{
	uLongf packed = compressBound(size);
	unsigned char *out = malloc(8 + packed);
	char *text = NULL;

	if (out && compress(out + 8, &packed, data, size) == Z_OK) {
		put32(out, COOKIE_COMPRESSED | COOKIE_WORDS);
		put32(out + 4, (uint32_t)packed);
		text = gb__base64_encode(out, 8 + packed);
	}
	free(out);
	return text;
}

char *gb__hdr_encode(const struct histogram *histogram)
{
	unsigned char *data = malloc(HEADER + 2 * (size_t)HISTOGRAM_BUCKETS * WORD_MAX);
	uint64_t highest = histogram->max > 2 ? histogram->max : 2; /* readers ask for twice the lowest */
	double ratio = 1;
	uint64_t bits;
	size_t size;
	char *text;

	if (!data)
		return NULL;
	size = put_counts(data + HEADER, histogram);
	memcpy(&bits, &ratio, sizeof(bits));
	put32(data, COOKIE | COOKIE_WORDS);
	put32(data + 4, (uint32_t)size);
	put32(data + 8, 0); /* nothing is shifted */
	put32(data + 12, DIGITS);
	put64(data + 16, 1);
	put64(data + 24, highest > INT64_MAX ? INT64_MAX : highest);
	put64(data + 32, bits);
	text = compress_and_encode(data, HEADER + size);
	free(data);
	return text;
}

/* How the buckets of a histogram lie: runs of `1 << half_bits`, each twice as wide as the one before. */
struct layout {
	unsigned unit_bits, half_bits;
};

static int read_header(const unsigned char *data, size_t size, struct layout *ret)
{
	uint64_t values = 2, lowest;
	uint32_t digits, length;

	if (size < HEADER || (get32(data) & ~COOKIE_WIDTH) != COOKIE)
		return -EINVAL;
	length = get32(data + 4);
	if (length != size - HEADER &&
		length != size) /* older versions of HdrHistogram_c count the header in */
		return -EINVAL;
	digits = get32(data + 12);
	lowest = get64(data + 16);
	if (get32(data + 8) != 0 || digits > DIGITS_MAX || lowest == 0 || lowest > INT64_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < digits; i++)
		values *= 10;
	ret->unit_bits = 63u - (unsigned)__builtin_clzll(lowest);
	ret->half_bits =
		63u - (unsigned)__builtin_clzll(values - 1); /* half of the power of two that holds them */
	return 0;
}

/* The largest value of a bucket. Returns false when 64 bits do not hold it. */
static bool top_of(const struct layout *layout, uint64_t index, uint64_t *ret)
{
	uint64_t half = UINT64_C(1) << layout->half_bits, run = index >> layout->half_bits;
	uint64_t shift = layout->unit_bits + (run > 0 ? run - 1 : 0);
	uint64_t first = run > 0 ? (index & (half - 1)) | half : index;

	if (shift + layout->half_bits >= 63)
		return false;
	*ret = (first << shift) + ((UINT64_C(1) << shift) - 1);
	return true;
}

static int add_counts(
	const unsigned char *data, size_t size, const struct layout *layout, struct histogram *histogram)
{
	uint64_t index = 0, value;

	for (size_t at = 0; at < size;) {
		int64_t word;
		size_t taken = get_word(data + at, size - at, &word);

		if (taken == 0 || word < -(int64_t)UINT32_MAX)
			return -EINVAL;
		at += taken;
		if (word > 0 && !top_of(layout, index, &value))
			return -EINVAL;
		if (word > 0)
			gb__histogram_add_many(histogram, value, (uint64_t)word);
		index += word < 0 ? (uint64_t)-word : 1;
	}
	return 0;
}

static int add_packed(const unsigned char *packed, size_t size, struct histogram *ret)
{
	uLongf unpacked = HEADER + PAYLOAD_MAX;
	struct layout layout;
	unsigned char *data;
	int rc = -EINVAL;

	if (size < 8 || (get32(packed) & ~COOKIE_WIDTH) != COOKIE_COMPRESSED || get32(packed + 4) != size - 8)
		return -EINVAL;
	data = malloc(unpacked);
	if (!data)
		return -ENOMEM;
	if (uncompress(data, &unpacked, packed + 8, size - 8) == Z_OK)
		rc = read_header(data, unpacked, &layout);
	if (rc == 0)
		rc = add_counts(data + HEADER, unpacked - HEADER, &layout, ret);
	free(data);
	return rc;
}

int gb__hdr_decode(const char *text, struct histogram *histogram, struct gb_error *error)
{
	struct histogram *added = malloc(sizeof(*added));
	unsigned char *packed = NULL;
	size_t size = 0;
	int rc = added ? gb__base64_decode(text, strlen(text), &packed, &size) : -ENOMEM;

	if (rc == 0) {
		gb__histogram_init(added);
		rc = add_packed(packed, size, added);
	}
	if (rc == 0)
		gb__histogram_merge(histogram, added);
	free(packed);
	free(added);
	if (rc == 0)
		return 0;
	return gb_error_set(error, rc == -ENOMEM ? rc : -GB_EUSAGE, "%s",
		rc == -ENOMEM ? gb_strerror(rc) : "no histogram of HdrHistogram's V2 compressed format");
}
