/* Handlers on a connection that only records: the public functions that they call are defined here. */
#include "services.h"

#include "harness.h"

#include <time.h>

struct gb_conn {
	void *user;
	char sent[256];
	size_t size;
	bool closed;
};

const struct gb_codec_ops gb_codec_line; /* never called: messages come whole */

void *gb_conn_user(const struct gb_conn *conn)
{
	return conn->user;
}

int gb_conn_send(struct gb_conn *conn, const void *data, size_t size)
{
	CHECK(!conn->closed && conn->size + size <= sizeof(conn->sent));
	memcpy(conn->sent + conn->size, data, size);
	conn->size += size;
	return 0;
}

void gb_conn_close(struct gb_conn *conn)
{
	conn->closed = true;
}

static void deliver(const struct gb_service *service, struct gb_conn *conn, const char *data, size_t size)
{
	service->on_message(conn, (struct gb_bytes){ (const unsigned char *)data, size });
}

static void *settings_of(const struct gb_service *service, const char *key, const char *value)
{
	void *object = malloc(service->settings_size);
	struct gb_error error;

	CHECK_INT(gb_settings_init(service->settings, object, service->settings_size), 0);
	if (key && gb_settings_set(service->settings, object, key, value, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return object;
}

static void check_sent(const struct gb_conn *conn, const char *data, size_t size)
{
	CHECK_INT(conn->size, size);
	CHECK(memcmp(conn->sent, data, size) == 0);
}

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
	struct gb_conn conn = { .user = settings_of(&gb_service_echo, NULL, NULL) };

	deliver(&gb_service_echo, &conn, "a\0b\xff", 4);
	deliver(&gb_service_echo, &conn, "c", 1);
	check_sent(&conn,
		"a\0b\xff"
		"c",
		5);
	CHECK(!conn.closed);
	free(conn.user);
}

TEST(echo_once_closes_behind_the_answer)
{
	struct gb_conn conn = { .user = settings_of(&gb_service_echo, "once", "yes") };

	deliver(&gb_service_echo, &conn, "hello", 5);
	check_sent(&conn, "hello", 5);
	CHECK(conn.closed);
	free(conn.user);
}

TEST(time_echo_puts_the_local_time_before_a_line)
{
	static const char utc[] = "[Thu Apr 20 12:00:00 2017] hello\n";
	static const char empty[] = "[Thu Apr 20 12:00:00 2017] \n";
	struct gb_conn conn = { .user = settings_of(&gb_service_time_echo, "clock", "1492689600") };

	setenv("TZ", "UTC", 1);
	tzset();
	CHECK(gb_service_time_echo.codec == &gb_codec_line);
	deliver(&gb_service_time_echo, &conn, "hello", 5);
	check_sent(&conn, utc, sizeof(utc) - 1);
	conn.size = 0;
	deliver(&gb_service_time_echo, &conn, "", 0);
	check_sent(&conn, empty, sizeof(empty) - 1);
	free(conn.user);
}

TEST(time_echo_notices_that_the_second_has_changed)
{
	struct gb_conn conn = { .user = settings_of(&gb_service_time_echo, "clock", "1492689600") };
	struct gb_conn later = { .user = settings_of(&gb_service_time_echo, "clock", "1492689661") };

	setenv("TZ", "UTC", 1);
	tzset();
	deliver(&gb_service_time_echo, &conn, "x", 1);
	deliver(&gb_service_time_echo, &later, "x", 1);
	deliver(&gb_service_time_echo, &conn, "x", 1);
	check_sent(&conn, "[Thu Apr 20 12:00:00 2017] x\n[Thu Apr 20 12:00:00 2017] x\n", 58);
	check_sent(&later, "[Thu Apr 20 12:01:01 2017] x\n", 29);
	free(conn.user);
	free(later.user);
}

TEST(time_echo_tells_the_real_time_unless_told_otherwise)
{
	struct gb_conn conn = { .user = settings_of(&gb_service_time_echo, NULL, NULL) };
	time_t before = time(NULL), told, after;
	struct tm parts = { .tm_isdst = -1 };

	deliver(&gb_service_time_echo, &conn, "x", 1);
	after = time(NULL);
	CHECK(strptime(conn.sent, "[%a %b %d %H:%M:%S %Y] x", &parts) != NULL);
	told = mktime(&parts);
	CHECK(before <= told && told <= after);
	free(conn.user);
}

TEST(time_echo_refuses_clocks_that_no_calendar_shows)
{
	struct gb_conn conn = { .user = settings_of(&gb_service_time_echo, "clock", "253402214399") };
	struct gb_error error;

	CHECK_INT(gb_settings_set(gb_service_time_echo.settings, conn.user, "clock", "253402300800", &error),
		-GB_EUSAGE);
	setenv("TZ", "UTC-14", 1);
	tzset();
	deliver(&gb_service_time_echo, &conn, "x", 1);
	CHECK(strncmp(conn.sent, "[Fri Dec 31 13:59:59 9999] x\n", conn.size) == 0);
	free(conn.user);
}
