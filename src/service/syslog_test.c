/* What becomes of records when the disk is slow, full or fails. */
#include "service_test_driver.h"

#include <errno.h>

#define SERVICE gb_service_syslog

/* One connection, of whose worker 16 bytes may wait. */
static struct gb_conn *begin(void)
{
	struct gb_conn *conn = service_conn(&SERVICE, "file", "/dev/null");

	CHECK_INT(gb_settings_set(SERVICE.settings, conn->user, "memory", "16", NULL), 0);
	CHECK_INT(SERVICE.on_prepare(NULL, conn->user, NULL), 0);
	CHECK_INT(SERVICE.on_start((struct gb_worker *)conn, conn->user), 0);
	CHECK_INT(SERVICE.on_open(conn), 0);
	return conn;
}

static void deliver(struct gb_conn *conn, const char *record)
{
	SERVICE.routes->table[0].on_message(
		conn, (struct gb_bytes){ (const unsigned char *)record, strlen(record) });
}

/* The append that is under way is of this. */
static void check_append(const char *text)
{
	CHECK(service_append != NULL);
	CHECK_INT(service_append->size, strlen(text));
	CHECK(memcmp(service_append->data, text, strlen(text)) == 0);
}

static void end(struct gb_conn *conn, const char *counted)
{
	char text[512];

	CHECK(!service_append);
	SERVICE.on_close(conn, GB_CLOSE_EOF);
	SERVICE.on_stop((struct gb_worker *)conn, conn->user);
	SERVICE.on_summary(conn->user, text, sizeof(text));
	if (strncmp(text, counted, strlen(counted)) != 0)
		test_fail(__FILE__, __LINE__, "%s", text);
	SERVICE.on_release(conn->user);
	service_conn_destroy(&SERVICE, conn);
}

TEST(records_wait_for_a_full_disk_and_their_senders_with_them)
{
	struct gb_conn *conn = begin();

	deliver(conn, "<1>one");
	check_append("<1>one\n");
	CHECK(!conn->paused && conn->holds == 1);
	deliver(conn, "<2>two, and more");
	CHECK(conn->paused);
	service_append_done(-ENOSPC, 3);
	CHECK(!service_append);
	service_timer_expire();
	check_append("one\n");
	service_append_done(-ENOSPC, 0);
	service_timer_expire();
	check_append("one\n");
	service_append_done(4, 4);
	check_append("<2>two, and more\n");
	CHECK(conn->paused && conn->holds == 1);
	service_append_done(17, 17);
	CHECK(!conn->paused && conn->holds == 0 && !service_timer);
	end(conn, "{\"accepted\": 2, \"stored\": 2, \"lost\": 0, \"waiting\": 0,");
}

TEST(line_that_an_error_cut_is_ended_before_the_next_record)
{
	struct gb_conn *conn = begin();

	deliver(conn, "<1>a");
	service_append_done(5, 5);
	deliver(conn, "<2>b");
	deliver(conn, "<3>c");
	deliver(conn, "<4>d");
	check_append("<2>b\n");
	service_append_done(5, 5);
	check_append("<3>c\n<4>d\n");
	deliver(conn, "<5>e");
	service_append_done(-EIO, 7);
	check_append("\n<5>e\n");
	service_append_done(-EIO, 0);
	deliver(conn, "<6>f");
	check_append("\n<6>f\n");
	service_append_done(6, 6);
	deliver(conn, "<7>g");
	check_append("<7>g\n");
	service_append_done(5, 5);
	CHECK_INT(conn->holds, 0);
	end(conn, "{\"accepted\": 7, \"stored\": 5, \"lost\": 2, \"waiting\": 0,");
}

TEST(drain_tries_a_full_disk_for_the_last_time)
{
	struct gb_conn *conn = begin();

	deliver(conn, "<1>one");
	deliver(conn, "<2>two, and more");
	service_append_done(-ENOSPC, 0);
	CHECK(!service_append && conn->paused);
	SERVICE.on_drain(conn);
	CHECK(!service_timer);
	check_append("<1>one\n");
	service_append_done(-ENOSPC, 0);
	check_append("<2>two, and more\n");
	service_append_done(17, 17);
	CHECK(!conn->paused && conn->holds == 0);
	end(conn, "{\"accepted\": 2, \"stored\": 1, \"lost\": 1, \"waiting\": 0,");
}

TEST(what_waits_for_a_disk_when_its_worker_ends_is_stored_then)
{
	struct gb_conn *conn = begin();

	deliver(conn, "<1>one");
	deliver(conn, "<2>two, and more");
	service_append_done(-ENOSPC, 0);
	end(conn, "{\"accepted\": 2, \"stored\": 2, \"lost\": 0, \"waiting\": 0,");
}

TEST(record_that_its_connection_cuts_is_stored_as_such_and_counted)
{
	struct gb_conn *conn = begin();
	char text[512];

	deliver(conn, "<1>one");
	service_append_done(7, 7);
	conn->rest = (struct gb_bytes){ (const unsigned char *)"9 <2>two", 8 };
	SERVICE.on_eof(conn);
	check_append("<2>two#cut\n");
	conn->rest = (struct gb_bytes){ NULL, 0 };
	service_append_done(11, 11);
	CHECK(conn->closed && conn->reason == GB_CLOSE_EOF);
	SERVICE.on_summary(conn->user, text, sizeof(text));
	CHECK(strstr(text, "\"cut\": 1,") != NULL);
	end(conn, "{\"accepted\": 2, \"stored\": 2, \"lost\": 0, \"waiting\": 0,");
}
