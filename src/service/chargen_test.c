#include "service_test_driver.h"

#define LINE 74u

/* RFC 864's own example, byte by byte: the line advances by one character, the ring has 95. */
static unsigned char expected_at(uint64_t at)
{
	uint64_t line = at / LINE, column = at % LINE;

	if (column >= 72)
		return column == 72 ? '\r' : '\n';
	return (unsigned char)(' ' + (line + column) % 95);
}

/* What was sent continues behind `from` bytes; forgets it. Returns how many there are now. */
static uint64_t take(struct gb_conn *conn, uint64_t from)
{
	for (size_t i = 0; i < conn->size; i++)
		CHECK_INT(conn->sent[i], expected_at(from + i));
	from += conn->size;
	conn->size = 0;
	return from;
}

/* A connection with a total and room for so much at a time. */
static struct gb_conn *chargen(const char *bytes, size_t room)
{
	struct gb_conn *conn = service_conn(&gb_service_chargen, "bytes", bytes);

	conn->room = room;
	CHECK_INT(gb_service_chargen.on_open(conn), 0);
	return conn;
}

TEST(lines_are_those_of_the_standard)
{
	static const char first[] =
		" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n"
		"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
	struct gb_conn *conn = chargen("148", SIZE_MAX);

	service_check_sent(conn, first, sizeof(first) - 1);
	service_conn_destroy(&gb_service_chargen, conn);
}

TEST(total_is_sent_to_the_byte_then_closed)
{
	static const char *const totals[] = { "1", "73", "74", "75", "4735", "4736", "4737", "7030",
		"100003" };

	for (size_t i = 0; i < sizeof(totals) / sizeof(*totals); i++) {
		struct gb_conn *conn = chargen(totals[i], SIZE_MAX);

		CHECK_INT(take(conn, 0), strtoull(totals[i], NULL, 10));
		CHECK(conn->closed);
		CHECK_INT(conn->reason, GB_CLOSE_LOCAL);
		service_conn_destroy(&gb_service_chargen, conn);
	}
}

TEST(no_more_is_queued_than_there_is_room_for)
{
	static const size_t rooms[] = { 1, 4736, 10000, 65536 };

	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
		struct gb_conn *conn = chargen("300001", rooms[i]);
		uint64_t taken = 0;

		while (!conn->closed) {
			/* An empty queue takes any one piece. */
			CHECK(conn->size > 0 && (conn->size <= rooms[i] || conn->size <= 8192));
			taken = take(conn, taken);
			gb_service_chargen.on_writable(conn);
		}
		CHECK_INT(take(conn, taken), 300001);
		service_conn_destroy(&gb_service_chargen, conn);
	}
}

TEST(endless_goes_on_until_the_client_half_closes)
{
	struct gb_conn *conn = chargen("0", 20000);
	uint64_t taken = 0;

	for (unsigned i = 0; i < 100; i++) {
		CHECK(!conn->closed && conn->size > 0);
		taken = take(conn, taken);
		gb_service_chargen.on_writable(conn);
	}
	gb_service_chargen.on_eof(conn);
	CHECK(conn->closed);
	service_conn_destroy(&gb_service_chargen, conn);
}

TEST(total_is_sent_to_a_client_that_half_closed)
{
	struct gb_conn *conn = chargen("30000", 20000);
	uint64_t taken = take(conn, 0);

	gb_service_chargen.on_eof(conn);
	CHECK(!conn->closed);
	gb_service_chargen.on_writable(conn);
	CHECK_INT(take(conn, taken), 30000);
	CHECK(conn->closed);
	service_conn_destroy(&gb_service_chargen, conn);
}

TEST(input_is_thrown_away)
{
	struct gb_conn *conn = chargen("0", 20000);
	size_t size = conn->size;

	service_deliver(&gb_service_chargen, conn, "stop", 4);
	CHECK(!conn->closed);
	CHECK_INT(conn->size, size);
	service_conn_destroy(&gb_service_chargen, conn);
}
