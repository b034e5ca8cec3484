#include "service_test_driver.h"

static void deliver(struct gb_conn *conn, const char *bytes, size_t size, uint64_t offset, bool last)
{
	const struct gb_part part = { .bytes = { (const unsigned char *)bytes, size },
		.offset = offset,
		.total = last ? offset + size : GB_TOTAL_UNKNOWN,
		.first = offset == 0,
		.last = last };

	gb_service_bulk.on_part(conn, &part);
}

TEST(reply_has_the_digest_and_as_many_bytes_as_were_asked_for)
{
	struct gb_conn *conn = service_conn(&gb_service_bulk, NULL, NULL);

	/* FNV-1a of "foobar" is 85944171f73967e8, as its authors publish. */
	deliver(conn, "\0\0\0\0\0\0\0\5foobar", 14, 0, true);
	service_check_sent(
		conn, "\0\0\0\0\0\0\0\x0d\x85\x94\x41\x71\xf7\x39\x67\xe8\xe8\xe9\xea\xeb\xec", 21);
	CHECK(!conn->closed);
	service_conn_destroy(&gb_service_bulk, conn);
}

TEST(nothing_is_sent_before_the_last_part_and_the_same_for_all_cuts)
{
	struct gb_conn *conn = service_conn(&gb_service_bulk, NULL, NULL);

	for (size_t cut = 8; cut <= 14; cut++) {
		deliver(conn, "\0\0\0\0\0\0\0\0foobar", cut, 0, false);
		CHECK_INT(conn->size, 0);
		deliver(conn, &"\0\0\0\0\0\0\0\0foobar"[cut], 14 - cut, cut, true);
		service_check_sent(conn, "\0\0\0\0\0\0\0\x08\x85\x94\x41\x71\xf7\x39\x67\xe8", 16);
	}
	service_conn_destroy(&gb_service_bulk, conn);
}

TEST(a_request_for_more_than_allowed_is_refused)
{
	struct gb_conn *conn = service_conn(&gb_service_bulk, "max-reply", "4");

	deliver(conn, "\0\0\0\0\0\0\0\4", 8, 0, true);
	CHECK(!conn->closed);
	deliver(conn, "\0\0\0\0\0\0\0\5", 8, 0, false);
	CHECK(conn->closed);
	CHECK_INT(conn->reason, GB_CLOSE_REFUSED);
	service_conn_destroy(&gb_service_bulk, conn);
}

TEST(a_request_without_its_number_is_none)
{
	struct gb_conn *conn = service_conn(&gb_service_bulk, NULL, NULL);

	deliver(conn, "\0\0\0\0\0\0\0", 7, 0, true);
	CHECK_INT(conn->reason, GB_CLOSE_BAD_FRAME);
	service_conn_destroy(&gb_service_bulk, conn);
}
