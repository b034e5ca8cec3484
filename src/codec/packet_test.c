#include "buffer/output.h"
#include "codec/codec_test_driver.h"
#include "harness.h"

#include <gearbox/error.h>

#include <string.h>

/* Packets in a row, as they are kept. Returns the bytes. */
static size_t put(unsigned char *data, size_t at, uint32_t size, const char *bytes)
{
	memcpy(data + at, &size, sizeof(size));
	memcpy(data + at + sizeof(size), bytes, strlen(bytes));
	return at + sizeof(size) + strlen(bytes);
}

static void check(
	struct gb_bytes input, size_t max_message, const struct gb_bytes *expected, size_t count, int ending)
{
	codec_test(&(struct codec_conversation){
		&gb_codec_packet, NULL, max_message, input, expected, count, ending, 0 });
}

TEST(each_packet_is_a_message)
{
	static const struct gb_bytes expected[] = { BYTES("one"), BYTES("2"), BYTES("three") };
	unsigned char data[64];
	size_t size = put(data, put(data, put(data, 0, 3, "one"), 1, "2"), 5, "three");

	check((struct gb_bytes){ data, size }, 5, expected, 3, 0);
}

TEST(a_packet_above_the_maximum_is_refused_behind_those_before_it)
{
	static const struct gb_bytes expected[] = { BYTES("one") };
	unsigned char data[64];
	size_t size = put(data, put(data, 0, 3, "one"), 4, "four");

	check((struct gb_bytes){ data, size }, 3, expected, 1, -GB_ETOOLARGE);
}

TEST(a_packet_that_was_cut_is_refused_whatever_the_maximum)
{
	static const struct gb_bytes expected[] = { BYTES("one") };
	unsigned char data[64];
	size_t size = put(data, put(data, 0, 3, "one"), GB__PACKET_CUT, "");

	check((struct gb_bytes){ data, size }, SIZE_MAX, expected, 1, -GB_ETOOLARGE);
}
