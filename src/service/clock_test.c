/* Services that tell the time. */
#include "service_test_driver.h"

#include <time.h>

#define NOON "1492689600" /* Thursday, April 20, 2017 12:00:00 UTC */

/* time(2) is behind the clock by up to a tick. */
static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static void use_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static struct gb_conn *time_echo_at(const char *clock)
{
	return service_conn(&gb_service_time_echo, clock ? "clock" : NULL, clock);
}

static void check_time_echo(struct gb_conn *conn, const char *line, const char *answer)
{
	service_deliver(&gb_service_time_echo, conn, line, strlen(line));
	service_check_sent(conn, answer, strlen(answer));
}

TEST(time_echo_puts_the_local_time_before_a_line)
{
	struct gb_conn *conn = time_echo_at(NOON);

	use_zone("UTC");
	CHECK(gb_service_time_echo.codec == &gb_codec_line);
	check_time_echo(conn, "hello", "[Thu Apr 20 12:00:00 2017] hello\n");
	check_time_echo(conn, "", "[Thu Apr 20 12:00:00 2017] \n");
	service_conn_destroy(&gb_service_time_echo, conn);
}

TEST(time_echo_notices_that_the_second_has_changed)
{
	struct gb_conn *conn = time_echo_at(NOON), *later = time_echo_at("1492689661");

	use_zone("UTC");
	check_time_echo(conn, "x", "[Thu Apr 20 12:00:00 2017] x\n");
	check_time_echo(later, "x", "[Thu Apr 20 12:01:01 2017] x\n");
	check_time_echo(conn, "x", "[Thu Apr 20 12:00:00 2017] x\n");
	service_conn_destroy(&gb_service_time_echo, conn);
	service_conn_destroy(&gb_service_time_echo, later);
}

TEST(time_echo_tells_the_real_time_unless_told_otherwise)
{
	struct gb_conn *conn = time_echo_at(NULL);
	time_t before = now_s(), told;
	struct tm parts = { .tm_isdst = -1 };

	service_deliver(&gb_service_time_echo, conn, "x", 1);
	CHECK(gb_conn_send(conn, "", 1) == 0); /* ends the text */
	CHECK(strptime((const char *)conn->sent, "[%a %b %d %H:%M:%S %Y] x", &parts) != NULL);
	told = mktime(&parts);
	CHECK(before <= told && told <= now_s());
	service_conn_destroy(&gb_service_time_echo, conn);
}

TEST(clocks_that_no_calendar_shows_are_refused)
{
	static const struct gb_service *const services[] = { &gb_service_time_echo, &gb_service_daytime,
		&gb_service_time };
	struct gb_error error;

	for (size_t i = 0; i < sizeof(services) / sizeof(*services); i++) {
		struct gb_conn *conn = service_conn(services[i], "clock", "253402214399");

		CHECK_INT(gb_settings_set(services[i]->settings, conn->user, "clock", "253402300800", &error),
			-GB_EUSAGE);
		service_conn_destroy(services[i], conn);
	}
}

TEST(the_last_second_has_a_year_of_four_digits_in_every_zone)
{
	struct gb_conn *conn = time_echo_at("253402214399");

	use_zone("UTC-14");
	check_time_echo(conn, "x", "[Fri Dec 31 13:59:59 9999] x\n");
	service_conn_destroy(&gb_service_time_echo, conn);
}

/* What a connection is told and that it is closed behind that. */
static void check_told(const struct gb_service *service, const char *clock, const void *data, size_t size)
{
	struct gb_conn *conn = service_conn(service, "clock", clock);

	service_serve(service, conn);
	service_check_sent(conn, data, size);
	CHECK(conn->closed);
	CHECK_INT(conn->reason, GB_CLOSE_LOCAL);
	service_conn_destroy(service, conn);
}

TEST(daytime_is_a_line_with_the_local_time)
{
	static const char utc[] = "Thursday, April 20, 2017 12:00:00-UTC\r\n";
	static const char eastern[] = "Thursday, April 20, 2017 08:00:00-EDT\r\n";

	use_zone("UTC");
	check_told(&gb_service_daytime, NOON, utc, sizeof(utc) - 1);
	use_zone("EST5EDT,M3.2.0,M11.1.0");
	check_told(&gb_service_daytime, NOON, eastern, sizeof(eastern) - 1);
}

TEST(time_is_the_seconds_since_1900)
{
	/* RFC 868: 2,524,521,600 is 00:00 of January 1, 1980, 315,532,800 of Unix. */
	check_told(&gb_service_time, "315532800", "\x96\x79\x24\x80", 4);
	check_told(&gb_service_time, "2085978495", "\xff\xff\xff\xff", 4);
	check_told(&gb_service_time, "2085978496", "\0\0\0\0", 4); /* February 7, 2036 */
}

TEST(time_is_the_real_one_unless_told_otherwise)
{
	struct gb_conn *conn = service_conn(&gb_service_time, NULL, NULL);
	uint32_t before = (uint32_t)((uint64_t)now_s() + 2208988800u), told;

	service_serve(&gb_service_time, conn);
	CHECK_INT(conn->size, 4);
	told = (uint32_t)conn->sent[0] << 24 | (uint32_t)conn->sent[1] << 16 | (uint32_t)conn->sent[2] << 8 |
		conn->sent[3];
	CHECK(told - before <= (uint32_t)((uint64_t)now_s() + 2208988800u) - before);
	service_conn_destroy(&gb_service_time, conn);
}
