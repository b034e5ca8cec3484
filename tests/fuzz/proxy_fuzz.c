/*
 * Headers of the PROXY protocol. They are no codec, so this target has a body of its own.
 *
 * An input is: one byte that says what the stream begins with (nothing, the beginning of either version), and the rest of
 * it. However much of the stream is there, the parser says what the one below says, which is written from
 * proxy-protocol.txt; what has been found is written again, and found again.
 */
#include "net/proxy_header.h"

#include "fuzz.h"

#include <gearbox/error.h>

#include <arpa/inet.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_MAX 5000u
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static const struct gb_codec_ops named = { .name = "proxy" };
static const char alphabet[] =
	SIGNATURE "\x21\x20\x11\x31 PROXYTCP46UNKNOWN\r\n.:0123459f\1\2\3\4\5\x21\x22\0\x0c\x24\xd8";
const struct fuzz_codec fuzz_codec = {
	.ops = &named, .alphabet = alphabet, .alphabet_size = sizeof(alphabet) - 1
};

unsigned fuzz_take(struct fuzz_source *source)
{
	if (source->size == 0)
		return 0;
	source->size--;
	return *source->data++;
}

static _Noreturn void fail(const unsigned char *data, size_t size, const char *what)
{
	fprintf(stderr, "proxy: %s, of the stream ", what);
	for (size_t i = 0; i < size; i++)
		fprintf(stderr, "%02x", data[i]);
	fputc('\n', stderr);
	abort();
}

/* A plain decoder: how it ends once `size` bytes are there, and what the header's own size is. */
static int judge_v1(const unsigned char *data, size_t size, size_t *ret_size)
{
	static const char number[] = "(0|[1-9][0-9]{0,4})";
	char pattern[128], line[108] = "";
	const char *most;
	regex_t regex;
	regmatch_t at[5];
	unsigned char host[2][16];
	int family, found;

	for (size_t end = 0; end < size; end++) {
		if (end == 107)
			return -1;
		if (data[end] != '\n')
			continue;
		if (data[end - 1] != '\r')
			return -1;
		*ret_size = end + 1;
		memcpy(line, data, end - 1);
		line[end - 1] = '\0';
		if ((end == 14 && strcmp(line, "PROXY UNKNOWN") == 0) ||
			strncmp(line, "PROXY UNKNOWN ", 14) == 0)
			return 1;
		if (strlen(line) != end - 1)
			return -1;
		family = strncmp(line, "PROXY TCP6", 10) == 0 ? AF_INET6 : AF_INET;
		snprintf(pattern, sizeof(pattern), "^PROXY TCP[46] ([^ ]+) ([^ ]+) %s %s$", number, number);
		if (regcomp(&regex, pattern, REG_EXTENDED) != 0)
			abort();
		found = regexec(&regex, line, 5, at, 0);
		regfree(&regex);
		if (found != 0)
			return -1;
		for (int i = 1; i <= 4; i++)
			line[at[i].rm_eo] = '\0';
		if (inet_pton(family, line + at[1].rm_so, host[0]) != 1 ||
			inet_pton(family, line + at[2].rm_so, host[1]) != 1)
			return -1;
		most = "65535";
		for (int i = 3; i <= 4; i++)
			if (strlen(line + at[i].rm_so) == 5 && strcmp(line + at[i].rm_so, most) > 0)
				return -1;
		return 1;
	}
	return size >= 107 ? -1 : 0;
}

/* Whether they fill it; with what a value must hold. 2: a value is wrong. */
static int judge_tlvs(const unsigned char *header, size_t from, size_t end, bool within)
{
	int sums = 0, verdict = 1;

	for (size_t at = from, size; at < end; at += 3 + size) {
		if (end - at < 3)
			return 0;
		size = header[at + 1] * 256u + header[at + 2];
		if (size > end - at - 3)
			return 0;
		if (within)
			continue;
		if (header[at] == 0x20 && (size < 5 || !judge_tlvs(header, at + 8, at + 3 + size, true)))
			verdict = 2;
		if (header[at] == 0x05 && size > 128)
			verdict = 2;
		if (header[at] == 0x03) {
			uint32_t sum = gb__proxy_checksum(header, end, at + 3), told;

			if (++sums > 1 || size != 4) {
				verdict = 2;
				continue;
			}
			memcpy(&told, header + at + 3, 4);
			if (ntohl(told) != sum)
				verdict = 2;
		}
	}
	return verdict;
}

static int judge_v2(const unsigned char *data, size_t size, size_t *ret_size)
{
	static const size_t room[] = { 0, 12, 36, 216 };
	unsigned family, transport;
	int tlvs;

	if (size > 12 && data[12] != 0x20 && data[12] != 0x21)
		return -1;
	if (size > 13 && data[12] == 0x21 &&
		(data[13] > 0x3f || (data[13] & 15) > 2 || ((data[13] & 15) == 2 && data[13] > 15)))
		return -1;
	if (size < 16)
		return 0;
	*ret_size = 16 + data[14] * 256u + data[15];
	if (*ret_size > 4096)
		return -1;
	if (size < *ret_size)
		return 0;
	if (data[12] == 0x20)
		return 1;
	family = data[13] >> 4;
	transport = data[13] & 15;
	if (*ret_size - 16 < room[family])
		return -1;
	tlvs = judge_tlvs(data, 16 + room[family], *ret_size, false);
	if (tlvs == 2)
		return -1;
	return tlvs == 1 || family == 0 || transport == 0 ? 1 : -1;
}

static int judge(const unsigned char *data, size_t size, size_t *ret_size)
{
	if (size == 0)
		return 0;
	if (memcmp(data, SIGNATURE, size < 12 ? size : 12) == 0)
		return size < 12 ? 0 : judge_v2(data, size, ret_size);
	if (memcmp(data, "PROXY ", size < 6 ? size : 6) == 0)
		return size < 6 ? 0 : judge_v1(data, size, ret_size);
	return -1;
}

static struct gb__address plain(struct gb__address address)
{
	struct gb__address v4 = { .v4 = { .sin_family = AF_INET, .sin_port = address.v6.sin6_port },
		.size = sizeof(v4.v4) };

	if (address.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr))
		return address;
	memcpy(&v4.v4.sin_addr, address.v6.sin6_addr.s6_addr + 12, 4);
	return v4;
}

static bool same(const struct gb__address *a, const struct gb__address *b)
{
	const struct gb__address first = plain(*a), second = plain(*b);

	return first.size == second.size && memcmp(&first, &second, first.size) == 0;
}

/* Either version of what was found. */
static void write_again(const unsigned char *data, size_t size, const struct gb__proxy_header *header)
{
	struct gb__proxy_write what = { .source = &header->source, .destination = &header->destination };
	unsigned char out[GB__PROXY_HEADER_MAX];
	struct gb__proxy_header again;
	const char *problem;
	struct gb_bytes value;
	size_t written;

	gb__proxy_find(header->tlvs, GB_PROXY_AUTHORITY, &what.authority);
	written = gb__proxy_write_v2(&what, out);
	if (gb__proxy_parse(out, written, &again, &problem) != 1 || again.size != written)
		fail(data, size, "what was written is not found");
	if (!same(&again.source, &header->source) || !same(&again.destination, &header->destination))
		fail(data, size, "other ends are found than were written");
	if (what.authority.size > 0 && what.authority.size < 3000 &&
		(gb__proxy_find(again.tlvs, GB_PROXY_AUTHORITY, &value) < 0 ||
			value.size != what.authority.size ||
			memcmp(value.data, what.authority.data, value.size) != 0))
		fail(data, size, "another value is found than was written");
	written = gb__proxy_write_v1(&what, (char *)out);
	if (gb__proxy_parse(out, written, &again, &problem) != 1 || again.size != written)
		fail(data, size, "the line that was written is not found");
	if (again.has_ends && !same(&again.source, &header->source))
		fail(data, size, "another end is found than was written in the line");
}

static void walk(const unsigned char *data, size_t size, const struct gb__proxy_header *header)
{
	struct gb_bytes rest = header->tlvs, value;
	unsigned type;

	while (gb__proxy_next(&rest, &type, &value))
		if (value.size > 0 && (value.data < data || value.data + value.size > data + header->size))
			fail(data, size, "a value lies outside of the header");
	if (rest.size > 0)
		fail(data, size, "values end within the header");
	for (type = 0; type < 256; type++)
		gb__proxy_find(header->tlvs, type, &value);
}

static int try_beginning(const unsigned char *stream, size_t size)
{
	unsigned char *data = malloc(size ? size : 1);
	struct gb__proxy_header header;
	const char *problem = NULL;
	size_t expected_size = 0;
	int result, expected;

	if (!data)
		abort();
	if (size)
		memcpy(data, stream, size);
	result = gb__proxy_parse(data, size, &header, &problem);
	expected = judge(data, size, &expected_size);
	if (result != (expected < 0 ? -GB_EBADFRAME : expected))
		fail(data, size, "another result than the plain parser's");
	if (result < 0 && !problem)
		fail(data, size, "it is refused without a reason");
	if (result == 1) {
		if (header.size != expected_size || header.size > size)
			fail(data, size, "another size than the plain parser's");
		walk(data, size, &header);
		if (header.has_ends)
			write_again(data, size, &header);
	}
	free(data);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_size)
{
	static const struct gb_bytes beginnings[] = { { (const uint8_t *)"", 0 },
		{ (const uint8_t *)"PROXY TCP4 ", 11 }, { (const uint8_t *)SIGNATURE "\x21", 13 },
		{ (const uint8_t *)SIGNATURE "\x21\x11\0\x20"
					     "ssssddddSSDD",
			28 } };
	struct fuzz_source source = { input, input_size };
	const struct gb_bytes begin = beginnings[fuzz_take(&source) % 4];
	unsigned char stream[STREAM_MAX];
	size_t size = begin.size + (source.size < STREAM_MAX - 32 ? source.size : STREAM_MAX - 32);
	int result = 0;

	memcpy(stream, begin.data, begin.size);
	if (size > begin.size)
		memcpy(stream + begin.size, source.data, size - begin.size);
	for (size_t arrived = 0; arrived <= size; arrived++) {
		const int before = result;

		result = try_beginning(stream, arrived);
		if (before != 0 && result != before)
			fail(stream, arrived, "what comes behind it changes what was found");
		if (before != 0 && arrived + 8 < size)
			arrived = size - 1; /* that holds of all */
	}
	return 0;
}
