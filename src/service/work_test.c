#include "service_test_driver.h"

#include <time.h>

static const unsigned char get_7[] = { 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o' };

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* A request without payload, after which the connection is open or closed for a reason. */
static void request(struct gb_conn *conn, uint32_t compute_us, uint32_t block_us)
{
	unsigned char bytes[12] = { 0x12, 0x34, 0x56, 0x78 };

	for (unsigned i = 0; i < 4; i++) {
		bytes[4 + i] = (unsigned char)(compute_us >> (24 - 8 * i));
		bytes[8 + i] = (unsigned char)(block_us >> (24 - 8 * i));
	}
	service_deliver(&gb_service_work, conn, bytes, sizeof(bytes));
}

TEST(reply_carries_id_and_payload_behind_their_length)
{
	struct gb_conn *conn = service_conn(&gb_service_work, NULL, NULL);

	CHECK(gb_service_work.codec == &gb_codec_length && !gb_service_work.codec_options);
	service_deliver(&gb_service_work, conn, get_7, sizeof(get_7));
	service_check_sent(conn, "\0\0\0\x09\0\0\0\x07hello", 13);
	request(conn, 0, 0);
	service_check_sent(conn, "\0\0\0\x04\x12\x34\x56\x78", 8);
	CHECK(!conn->closed);
	service_conn_destroy(&gb_service_work, conn);
}

TEST(computing_takes_so_much_processor_time)
{
	struct gb_conn *conn = service_conn(&gb_service_work, NULL, NULL);
	uint64_t start_us = clock_us(CLOCK_THREAD_CPUTIME_ID);

	request(conn, 5000, 0);
	CHECK(clock_us(CLOCK_THREAD_CPUTIME_ID) - start_us >= 5000);
	service_check_sent(conn, "\0\0\0\x04\x12\x34\x56\x78", 8);
	service_conn_destroy(&gb_service_work, conn);
}

TEST(blocking_takes_so_much_time)
{
	struct gb_conn *conn = service_conn(&gb_service_work, NULL, NULL);
	uint64_t start_us = clock_us(CLOCK_MONOTONIC);

	request(conn, 0, 5000);
	CHECK(clock_us(CLOCK_MONOTONIC) - start_us >= 5000);
	service_check_sent(conn, "\0\0\0\x04\x12\x34\x56\x78", 8);
	service_conn_destroy(&gb_service_work, conn);
}

TEST(short_request_is_a_bad_frame)
{
	for (size_t size = 0; size < 12; size++) {
		struct gb_conn *conn = service_conn(&gb_service_work, NULL, NULL);

		service_deliver(&gb_service_work, conn, get_7, size);
		service_check_sent(conn, NULL, 0);
		CHECK(conn->closed);
		CHECK_INT(conn->reason, GB_CLOSE_BAD_FRAME);
		service_conn_destroy(&gb_service_work, conn);
	}
}

static void check_bound(
	const char *key, const char *value, uint32_t compute_us, uint32_t block_us, bool refused)
{
	struct gb_conn *conn = service_conn(&gb_service_work, key, value);

	request(conn, compute_us, block_us);
	CHECK_INT(conn->closed, refused);
	if (refused)
		CHECK_INT(conn->reason, GB_CLOSE_REFUSED);
	CHECK_INT(conn->size, refused ? 0 : 8);
	service_conn_destroy(&gb_service_work, conn);
}

TEST(request_beyond_a_bound_is_refused)
{
	check_bound("max-compute", "2ms", 2000, 0, false);
	check_bound("max-compute", "2ms", 2001, 0, true);
	check_bound("max-compute", "2ms", 0, 2001, false);
	check_bound("max-block", "2ms", 0, 2000, false);
	check_bound("max-block", "2ms", 0, 2001, true);
	check_bound("max-block", "2ms", 2001, 0, false);
	check_bound("max-block", "2ms", UINT32_MAX, 0, true); /* by the other's fallback */
	check_bound("max-compute", "1h", 3600000001u, 0, true);
	check_bound("max-compute", "0", 2000, 0, false);
}

TEST(a_deferred_reply_is_the_same)
{
	struct gb_conn *conn = service_conn(&gb_service_work_deferred, NULL, NULL);

	service_deliver(&gb_service_work_deferred, conn, get_7, sizeof(get_7));
	service_check_sent(conn, "\0\0\0\x09\0\0\0\x07hello", 13);
	service_deliver(&gb_service_work_deferred, conn, get_7, 11);
	CHECK(conn->closed);
	CHECK_INT(conn->reason, GB_CLOSE_BAD_FRAME);
	service_check_sent(conn, "", 0);
	service_conn_destroy(&gb_service_work_deferred, conn);
}
