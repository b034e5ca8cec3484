/* What becomes of records when the disk is slow, full or fails. */
#include "service_test_driver.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SERVICE gb_service_syslog

static const char *path = "/dev/null", *syncs = "never";

/* One connection, of whose worker so many bytes may wait; by `begin` 16, of which none does for others. */
static struct gb_conn *begin_with(const char *delay, const char *memory)
{
	struct gb_conn *conn = service_conn(&SERVICE, "file", path);

	CHECK_INT(gb_settings_set(SERVICE.settings, conn->user, "memory", memory, NULL), 0);
	CHECK_INT(gb_settings_set(SERVICE.settings, conn->user, "delay", delay, NULL), 0);
	CHECK_INT(gb_settings_set(SERVICE.settings, conn->user, "fsync", syncs, NULL), 0);
	CHECK_INT(SERVICE.on_prepare(NULL, conn->user, NULL), 0);
	CHECK_INT(SERVICE.on_start((struct gb_worker *)conn, conn->user), 0);
	CHECK_INT(SERVICE.on_open(conn), 0);
	return conn;
}

static struct gb_conn *begin(void)
{
	return begin_with("0", "16");
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

TEST(records_are_stored_together_after_a_delay_or_when_they_are_enough)
{
	struct gb_conn *conn = begin_with("5ms", "100");

	deliver(conn, "<1>one");
	deliver(conn, "<2>two");
	CHECK(!service_append && service_timer && conn->holds == 1);
	service_timer_expire();
	check_append("<1>one\n<2>two\n");
	deliver(conn, "<3>three");
	CHECK(!service_timer);
	service_append_done(14, 14);
	CHECK(!service_append && service_timer && conn->holds == 1);
	deliver(conn, "<4>12345678901234567890123456789012345678901234567890123456789012345678901234567890");
	CHECK(!service_append);
	deliver(conn, "<5>1234567");
	check_append("<3>three\n"
		     "<4>12345678901234567890123456789012345678901234567890123456789012345678901234567890\n"
		     "<5>1234567\n");
	service_append_done(104, 104);
	CHECK_INT(conn->holds, 0);
	service_timer_expire();
	deliver(conn, "<6>six");
	SERVICE.on_drain(conn);
	check_append("<6>six\n");
	service_append_done(7, 7);
	gb_timer_stop(service_timer);
	end(conn, "{\"accepted\": 6, \"stored\": 6, \"lost\": 0, \"waiting\": 0,");
}

static bool naps_counted;
static unsigned naps;

/* In place of the C library's. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	const int error = naps_counted ? 0 : clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);

	naps++;
	errno = error;
	return error ? -1 : 0;
}

/* So that more come together; however many turns there have been. */
TEST(a_worker_rests_after_each_turn_that_brought_little)
{
	struct gb_conn *conn = begin_with("1s", "1000000");

	naps_counted = true;
	for (unsigned i = 1; i <= 2000; i++) {
		deliver(conn, "<1>12345678901234567890");
		CHECK_INT(naps, i);
	}
	SERVICE.on_drain(conn);
	service_append_done((int)service_append->size, service_append->size);
	gb_timer_stop(service_timer);
	end(conn, "{\"accepted\": 2000, \"stored\": 2000, \"lost\": 0, \"waiting\": 0,");
}

/* In a file of its own, which the test moves away. */
static struct gb_conn *begin_rotating(char *folder)
{
	static char name[64];

	CHECK(mkdtemp(folder) != NULL);
	snprintf(name, sizeof(name), "%s/log", folder);
	path = name;
	return begin();
}

static void hang_up(void)
{
	CHECK(service_hangup != NULL);
	service_hangup->on_signal(service_hangup, 1, service_hangup->user);
}

static void move_away(const char *to)
{
	char name[80];

	snprintf(name, sizeof(name), "%s.%s", path, to);
	CHECK_INT(rename(path, name), 0);
}

static void end_rotating(struct gb_conn *conn, char *folder, const char *const *names, const char *counted)
{
	struct stat status;
	char name[80];

	end(conn, counted);
	CHECK_INT(stat(path, &status), 0);
	unlink(path);
	for (; *names; names++) {
		snprintf(name, sizeof(name), "%s.%s", path, *names);
		CHECK_INT(unlink(name), 0);
	}
	CHECK_INT(rmdir(folder), 0);
	path = "/dev/null";
}

static const char *const once[] = { "1", NULL };

TEST(hang_up_without_a_rotation_changes_nothing)
{
	static const char *const none[] = { NULL };
	char folder[] = "/tmp/gearbox-syslog-XXXXXX";
	struct gb_conn *conn = begin_rotating(folder);

	hang_up();
	CHECK(!service_switch);
	end_rotating(conn, folder, none, "{\"accepted\": 0,");
}

TEST(hang_ups_that_come_while_the_file_is_changed_are_one)
{
	static const char *const twice[] = { "1", "2", NULL };
	char folder[] = "/tmp/gearbox-syslog-XXXXXX";
	struct gb_conn *conn = begin_rotating(folder);

	move_away("1");
	hang_up();
	CHECK(service_switch != NULL);
	hang_up();
	move_away("2");
	hang_up();
	service_switch_done();
	CHECK(service_switch != NULL);
	service_switch_done();
	CHECK(!service_switch);
	end_rotating(conn, folder, twice, "{\"accepted\": 0,");
}

TEST(line_that_a_full_disk_cuts_is_whole_in_the_next_file)
{
	char folder[] = "/tmp/gearbox-syslog-XXXXXX";
	struct gb_conn *conn = begin_rotating(folder);

	deliver(conn, "<1>one");
	service_append_done(7, 7);
	deliver(conn, "<2>two");
	service_append_done(-ENOSPC, 3);
	move_away("1");
	hang_up();
	service_timer_expire();
	check_append("<2>two\n");
	service_switch_done();
	service_append_done(7, 7);
	deliver(conn, "<3>three");
	service_append_done(9, 9);
	end_rotating(conn, folder, once, "{\"accepted\": 3, \"stored\": 3, \"lost\": 0, \"waiting\": 0,");
}

TEST(line_that_is_cut_behind_a_hang_up_is_whole_in_the_next_file)
{
	char folder[] = "/tmp/gearbox-syslog-XXXXXX";
	struct gb_conn *conn = begin_rotating(folder);

	deliver(conn, "<1>one");
	move_away("1");
	hang_up();
	service_append_done(-ENOSPC, 3);
	service_switch_done();
	service_timer_expire();
	check_append("<1>one\n");
	service_append_done(7, 7);
	end_rotating(conn, folder, once, "{\"accepted\": 1, \"stored\": 1, \"lost\": 0, \"waiting\": 0,");
}

TEST(line_that_an_error_cuts_in_the_last_file_needs_no_end_in_the_next)
{
	char folder[] = "/tmp/gearbox-syslog-XXXXXX";
	struct gb_conn *conn = begin_rotating(folder);

	deliver(conn, "<1>one");
	deliver(conn, "<2>two");
	move_away("1");
	hang_up();
	service_append_done(-EIO, 3);
	check_append("<2>two\n");
	service_switch_done();
	service_append_done(-EIO, 3);
	deliver(conn, "<3>three");
	check_append("\n<3>three\n");
	service_append_done(10, 10);
	end_rotating(conn, folder, once, "{\"accepted\": 3, \"stored\": 1, \"lost\": 2, \"waiting\": 0,");
}

TEST(file_that_cannot_be_opened_again_leaves_the_one_before)
{
	char folder[] = "/tmp/gearbox-syslog-XXXXXX", moved[64];
	struct gb_conn *conn = begin_rotating(folder);

	snprintf(moved, sizeof(moved), "%s.moved", folder);
	CHECK_INT(rename(folder, moved), 0);
	hang_up();
	CHECK(!service_switch);
	CHECK_INT(rename(moved, folder), 0);
	deliver(conn, "<1>one");
	service_append_done(7, 7);
	end_rotating(conn, folder, (const char *const[]){ NULL }, "{\"accepted\": 1, \"stored\": 1,");
}

TEST(what_is_stored_is_synced_later_or_without_a_timer_at_once)
{
	static const char *const none[] = { NULL };
	char folder[] = "/tmp/gearbox-syslog-XXXXXX";
	struct gb_conn *conn;

	syncs = "interval";
	conn = begin_rotating(folder);
	deliver(conn, "<1>one");
	service_append_done(7, 7);
	CHECK(!service_sync);
	service_timer_expire();
	service_sync_done();
	CHECK(!service_timer);
	service_timers_refused = true;
	deliver(conn, "<2>two");
	service_append_done(7, 7);
	CHECK(service_sync);
	deliver(conn, "<3>three"); /* meanwhile: it is not of that one */
	service_append_done(9, 9);
	service_sync_done();
	service_sync_done();
	CHECK(!service_sync);
	service_timers_refused = false;
	deliver(conn, "<4>four");
	service_append_done(8, 8);
	service_timer_expire();
	service_sync_done();
	end_rotating(conn, folder, none, "{\"accepted\": 4, \"stored\": 4, \"lost\": 0, \"waiting\": 0,");
}
