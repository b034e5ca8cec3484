/* The ring that one process writes and others read at their own pace. */
#include "model/broadcast.h"

#include "harness.h"

#include <string.h>

#define SIZE 60000u

static unsigned char message[SIZE], got[GB__BROADCAST_SIZE / 4];

static void write_numbered(struct gb__broadcast *broadcast, unsigned n, size_t size)
{
	memset(message, (int)(n % 251), size);
	memcpy(message, &n, sizeof(n));
	gb__broadcast_write(broadcast, message, size);
}

/* Returns how many were lost before it. */
static uint64_t read_numbered(
	struct gb__broadcast *broadcast, struct gb__broadcast_reader *reader, unsigned n, size_t size)
{
	uint64_t lost;
	size_t read;
	unsigned number;

	CHECK(gb__broadcast_read(broadcast, reader, got, sizeof(got), &read, &lost));
	CHECK_INT(read, size);
	memcpy(&number, got, sizeof(number));
	CHECK_INT(number, n);
	for (size_t i = sizeof(n); i < size; i++)
		CHECK(got[i] == n % 251);
	return lost;
}

static bool anything(struct gb__broadcast *broadcast, struct gb__broadcast_reader *reader)
{
	uint64_t lost;
	size_t size;

	return gb__broadcast_read(broadcast, reader, got, sizeof(got), &size, &lost);
}

TEST(who_keeps_up_reads_all_in_order_round_the_ring)
{
	struct gb__broadcast *broadcast = gb__broadcast_create();
	struct gb__broadcast_reader reader;

	write_numbered(broadcast, 12345, 100);
	gb__broadcast_begin(broadcast, &reader);
	CHECK(!anything(broadcast, &reader)); /* what was before is nothing to it */
	for (unsigned n = 0; n < 4 * GB__BROADCAST_SIZE / SIZE; n++) {
		size_t size = SIZE - n % 7;

		write_numbered(broadcast, n, size);
		CHECK_INT(read_numbered(broadcast, &reader, n, size), 0);
	}
	CHECK(!anything(broadcast, &reader));
	gb__broadcast_destroy(broadcast);
}

TEST(who_is_overtaken_learns_how_many_it_missed)
{
	struct gb__broadcast *broadcast = gb__broadcast_create();
	struct gb__broadcast_reader slow, slower;
	const unsigned count = 3 * GB__BROADCAST_SIZE / SIZE;
	unsigned n = count;
	uint64_t lost;
	size_t size;

	gb__broadcast_begin(broadcast, &slow);
	gb__broadcast_begin(broadcast, &slower);
	write_numbered(broadcast, 0, SIZE);
	CHECK_INT(read_numbered(broadcast, &slow, 0, SIZE), 0);
	for (unsigned i = 1; i < count; i++)
		write_numbered(broadcast, i, SIZE);
	CHECK(gb__broadcast_read(broadcast, &slow, got, sizeof(got), &size, &lost));
	memcpy(&n, got, sizeof(n));
	CHECK(lost > 0 && lost < count);
	CHECK_INT(n, 1 + lost);
	CHECK_INT(read_numbered(broadcast, &slower, n, SIZE), n); /* all from the first on */
	while (++n < count)
		CHECK_INT(read_numbered(broadcast, &slow, n, SIZE), 0);
	CHECK(!anything(broadcast, &slow));
	gb__broadcast_destroy(broadcast);
}

TEST(nonsense_in_the_shared_memory_ends_nobody)
{
	struct gb__broadcast *broadcast = gb__broadcast_create();
	struct gb__broadcast_reader reader;

	gb__broadcast_begin(broadcast, &reader);
	write_numbered(broadcast, 0, SIZE);
	memset(broadcast->bytes, 0xff, GB__BROADCAST_SIZE);
	CHECK(!anything(broadcast, &reader));
	write_numbered(broadcast, 1, SIZE);
	CHECK_INT(read_numbered(broadcast, &reader, 1, SIZE), 1);
	memset(broadcast->bytes, 0xff, GB__BROADCAST_SIZE);
	for (unsigned i = 0; i < 2 * GB__BROADCAST_SIZE / SIZE; i++)
		write_numbered(broadcast, i, SIZE);
	CHECK(anything(broadcast, &reader));
	gb__broadcast_destroy(broadcast);
}
