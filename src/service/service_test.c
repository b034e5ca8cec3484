/* What all services have in common, and those of a few lines. */
#include "service_test_driver.h"

TEST(services_have_unique_names_and_are_found)
{
	for (const struct gb_service *const *a = gb_services; *a; a++) {
		CHECK((*a)->summary && (*a)->abi == GB_ABI && (*a)->struct_size == sizeof(struct gb_service));
		CHECK(gb_service_find((*a)->name) == *a);
	}
	CHECK(gb_service_find("ecko") == NULL);
}

TEST(echo_sends_back_every_byte)
{
	struct gb_conn *conn = service_conn(&gb_service_echo, NULL, NULL);

	service_deliver(&gb_service_echo, conn, "a\0b\xff", 4);
	service_deliver(&gb_service_echo, conn, "c", 1);
	service_check_sent(conn,
		"a\0b\xff"
		"c",
		5);
	CHECK(!conn->closed);
	service_conn_destroy(&gb_service_echo, conn);
}

TEST(echo_once_closes_behind_the_answer)
{
	struct gb_conn *conn = service_conn(&gb_service_echo, "once", "yes");

	service_deliver(&gb_service_echo, conn, "hello", 5);
	service_check_sent(conn, "hello", 5);
	CHECK(conn->closed);
	CHECK_INT(conn->reason, GB_CLOSE_LOCAL);
	service_conn_destroy(&gb_service_echo, conn);
}

TEST(discard_answers_nothing_and_stays)
{
	struct gb_conn *conn = service_conn(&gb_service_discard, NULL, NULL);

	service_deliver(&gb_service_discard, conn, "hello", 5);
	service_check_sent(conn, NULL, 0);
	CHECK(!conn->closed);
	service_conn_destroy(&gb_service_discard, conn);
}
