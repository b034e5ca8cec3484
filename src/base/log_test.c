#include "base/capture_test.h"
#include "base/log.h"

#include "base/macros.h"

#include <gearbox/clock.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void log_each_level(void)
{
	gb__log(GB__LOG_ERROR, "one %d", 1);
	gb_log(GB_LOG_WARNING, "two");
	gb__log(GB__LOG_NOTICE, "three");
	gb__log(GB__LOG_INFO, "four");
	gb__log(GB__LOG_DEBUG, "five");
}

TEST(notices_and_worse_are_logged_at_first)
{
	char text[256];

	capture(log_each_level, text, sizeof(text));
	CHECK_STR(text, "gearbox: error: one 1\ngearbox: warning: two\ngearbox: notice: three\n");
}

static void log_everything(void)
{
	gb__log_set_level(GB__LOG_DEBUG);
	log_each_level();
}

TEST(level_lets_more_through)
{
	char text[256];

	capture(log_everything, text, sizeof(text));
	CHECK_STR(text,
		"gearbox: error: one 1\ngearbox: warning: two\ngearbox: notice: three\ngearbox: info: four\n"
		"gearbox: debug: five\n");
}

static void log_hostile_text(void)
{
	gb__log(GB__LOG_ERROR, "%s", "a\ngearbox: error: forged\x1b[2J");
}

TEST(record_stays_one_line)
{
	char text[256];

	capture(log_hostile_text, text, sizeof(text));
	CHECK_STR(text, "gearbox: error: a\\x0agearbox: error: forged\\x1b[2J\n");
}

static void log_long_text(void)
{
	gb__log(GB__LOG_ERROR, "%0*d", 5000, 7);
}

TEST(long_record_is_cut_and_still_ends_its_line)
{
	char text[8192];
	size_t size;

	capture(log_long_text, text, sizeof(text));
	size = strlen(text);
	CHECK(size > 900 && size <= 1024);
	CHECK(strchr(text, '\n') == text + size - 1);
}

static void log_with_errno(void)
{
	close(STDERR_FILENO); /* so that writing fails */
	errno = ETIMEDOUT;
	gb__log(GB__LOG_ERROR, "text");
	_exit(errno == ETIMEDOUT ? 3 : 4);
}

TEST(logging_keeps_errno)
{
	char text[64];

	CHECK_INT(WEXITSTATUS(capture(log_with_errno, text, sizeof(text))), 3);
}

static void log_as_json(void)
{
	const struct gb__log_field fields[] = { { "peer", "unix:/a\"b\n" }, { "reason", "idle" } };

	CHECK_INT(gb__log_set_format(GB__LOG_JSON, NULL), 0);
	gb__log_set_name("my \"own\"");
	gb__log_with(GB__LOG_WARNING, fields, gb__countof(fields), "a \"b\" c\\d\n");
}

TEST(json_quotes_what_needs_it)
{
	char text[1024], pid[32];

	capture(log_as_json, text, sizeof(text));
	CHECK(strncmp(text, "{\"time\": \"20", 12) == 0);
	CHECK(strstr(text, "Z\", \"level\": \"warning\", \"program\": \"my \\\"own\\\"\", \"pid\": "));
	CHECK(strstr(text,
		", \"peer\": \"unix:/a\\\"b\\\\x0a\", \"reason\": \"idle\", \"message\": "
		"\"a \\\"b\\\" c\\\\d\\\\x0a\"}\n"));
	snprintf(pid, sizeof(pid), "\"pid\": %d,", (int)getpid());
	CHECK(!strstr(text, pid)); /* it was the child's */
}

static void log_long_json(void)
{
	char hostile[2000];
	const struct gb__log_field fields[] = { { "a", hostile }, { "b", hostile }, { "c", hostile } };

	memset(hostile, '"', sizeof(hostile) - 1);
	hostile[sizeof(hostile) - 1] = '\0';
	CHECK_INT(gb__log_set_format(GB__LOG_JSON, NULL), 0);
	gb__log_with(GB__LOG_ERROR, fields, gb__countof(fields), "%s", hostile);
}

TEST(long_json_is_whole)
{
	char text[8192];
	size_t size;

	capture(log_long_json, text, sizeof(text));
	size = strlen(text);
	CHECK(size > 2000 && strcmp(text + size - 3, "\"}\n") == 0);
}

#define NOWHERE "log_test.nowhere"
static char daemon_path[64];

static void log_without_a_journal(void)
{
	CHECK_INT(gb__log_set_format(GB__LOG_JOURNAL, NOWHERE), 0);
	log_each_level();
}

static void log_without_syslog(void)
{
	CHECK_INT(gb__log_set_format(GB__LOG_SYSLOG, NOWHERE), 0);
	log_each_level();
}

TEST(without_a_daemon_standard_error_gets_priorities)
{
	void (*const runs[])(void) = { log_without_a_journal, log_without_syslog };

	for (size_t i = 0; i < gb__countof(runs); i++) {
		char text[256];

		capture(runs[i], text, sizeof(text));
		CHECK_STR(text, "<3>gearbox: one 1\n<4>gearbox: two\n<5>gearbox: three\n");
	}
}

static int daemon_begin(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(daemon_path, sizeof(daemon_path), "log_test.%d", (int)getpid()); /* cases run side by side */
	memcpy(address.sun_path, daemon_path, sizeof(daemon_path));
	unlink(daemon_path);
	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void daemon_end(int fd)
{
	close(fd);
	unlink(daemon_path);
}

static void expect_record(int fd, const char *wanted)
{
	char text[4096];
	ssize_t got = recv(fd, text, sizeof(text) - 1, 0);

	CHECK(got >= 0);
	text[got] = '\0';
	CHECK_STR(text, wanted);
}

static int64_t frozen_wall(void *arg)
{
	return *(int64_t *)arg;
}

static void log_to_daemon(enum gb__log_format format)
{
	static const struct gb__log_field fields[] = { { "peer", "unix:/a\nPRIORITY=0" },
		{ "reason", "idle" } };
	static int64_t then = 1491998405123456789;

	gb_clock_set(&(struct gb_clock){ .wall_ns = frozen_wall, .arg = &then });
	gb__log_set_name("own");
	CHECK_INT(gb__log_set_format(format, daemon_path), 0);
	gb__log_with(GB__LOG_NOTICE, fields, gb__countof(fields), "first\nMESSAGE=second");
	gb__log_say(GB__LOG_ERROR, "said");
}

static void log_to_the_journal(void)
{
	log_to_daemon(GB__LOG_JOURNAL);
}

static void log_to_syslog(void)
{
	setenv("TZ", "UTC", 1);
	log_to_daemon(GB__LOG_SYSLOG);
}

/* What `log` says goes to the daemon and nowhere else. Returns the number that stands behind `mark` there: of a process. */
static int pid_that_logs(int fd, void (*log)(void), const char *mark)
{
	char text[512];
	const char *found;

	capture(log, text, sizeof(text));
	CHECK_STR(text, "");
	memset(text, 0, sizeof(text));
	CHECK(recv(fd, text, sizeof(text) - 1, MSG_PEEK) > 0);
	found = strstr(text, mark);
	CHECK(found);
	return atoi(found + strlen(mark));
}

TEST(journal_gets_fields)
{
	const int fd = daemon_begin();
	const int pid = pid_that_logs(fd, log_to_the_journal, "SYSLOG_PID=");
	char wanted[512];

	snprintf(wanted, sizeof(wanted),
		"PRIORITY=5\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=own\nSYSLOG_PID=%d\n"
		"GEARBOX_PEER=unix:/a\\x0aPRIORITY=0\nGEARBOX_REASON=idle\nMESSAGE=first\\x0aMESSAGE=second\n",
		pid);
	expect_record(fd, wanted);
	snprintf(wanted, sizeof(wanted),
		"PRIORITY=3\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=own\nSYSLOG_PID=%d\nMESSAGE=said\n", pid);
	expect_record(fd, wanted);
	daemon_end(fd);
}

TEST(syslog_gets_priority_time_and_tag)
{
	const int fd = daemon_begin();
	const int pid = pid_that_logs(fd, log_to_syslog, "[");
	char wanted[512];

	snprintf(wanted, sizeof(wanted), "<29>Apr 12 12:00:05 own[%d]: first\\x0aMESSAGE=second", pid);
	expect_record(fd, wanted);
	snprintf(wanted, sizeof(wanted), "<27>Apr 12 12:00:05 own[%d]: said", pid);
	expect_record(fd, wanted);
	daemon_end(fd);
}

/* Nothing here may wait: the harness would end the test. */
TEST(daemon_that_does_not_keep_up_loses_lines_and_is_told_how_many)
{
	const int fd = daemon_begin();
	char text[512];
	int records = 0, sent = 0;

	CHECK_INT(gb__log_set_format(GB__LOG_JOURNAL, daemon_path), 0);
	for (; sent < 5000; sent++)
		gb__log(GB__LOG_ERROR, "one of many");
	while (recv(fd, text, sizeof(text), 0) > 0)
		records++;
	CHECK(records > 0 && records < sent);
	gb__log(GB__LOG_ERROR, "seen");
	snprintf(text, sizeof(text),
		"PRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=gearbox\nSYSLOG_PID=%d\n"
		"MESSAGE=%d lines lost: nobody read them\n",
		getpid(), sent - records);
	expect_record(fd, text);
	daemon_end(fd);
	CHECK_INT(gb__log_set_format(GB__LOG_TEXT, NULL), 0);
}

TEST(daemon_that_is_started_anew_is_found)
{
	char text[512];
	int fd = daemon_begin();

	CHECK_INT(gb__log_set_format(GB__LOG_SYSLOG, daemon_path), 0);
	daemon_end(fd);
	fd = daemon_begin();
	gb__log(GB__LOG_ERROR, "seen");
	CHECK(recv(fd, text, sizeof(text), 0) > 0);
	daemon_end(fd);
	CHECK_INT(gb__log_set_format(GB__LOG_TEXT, NULL), 0);
}

TEST(path_of_a_daemon_that_is_too_long_is_refused)
{
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	CHECK_INT(gb__log_set_format(GB__LOG_SYSLOG, path), -ENAMETOOLONG);
	CHECK_INT(gb__log_format(), GB__LOG_TEXT);
}

static void tell_hook(enum gb_log_level level, const char *text, void *arg)
{
	char line[128];
	int length = snprintf(line, sizeof(line), "%s %d %s.", (char *)arg, (int)level, text);

	CHECK(write(STDERR_FILENO, line, (size_t)length) == length);
}

static void log_to_a_hook(void)
{
	static char own[] = "own";

	gb_log_set(tell_hook, own);
	gb__log(GB__LOG_WARNING, "a\nb");
	gb__log(GB__LOG_DEBUG, "not wanted");
	gb_log_set(NULL, NULL);
	gb__log(GB__LOG_ERROR, "c");
}

TEST(program_takes_the_lines_and_gives_them_back)
{
	char text[256];

	capture(log_to_a_hook, text, sizeof(text));
	CHECK_STR(text, "own 1 a\\x0ab.gearbox: error: c\n");
}

/* Standard error is such a pipe, or a file of that name, from here on. Returns its read end. */
static int become_full(const char *name)
{
	char page[4096] = { 0 };
	int ends[2];

	if (name) {
		CHECK_INT(mkfifo(name, 0600), 0);
		ends[0] = open(name, O_RDONLY | O_NONBLOCK);
		ends[1] = open(name, O_WRONLY);
		unlink(name);
	} else {
		CHECK_INT(pipe(ends), 0);
	}
	CHECK(ends[0] >= 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	CHECK_INT(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
	while (write(STDERR_FILENO, page, sizeof(page)) > 0)
		;
	CHECK_INT(errno, EAGAIN);
	CHECK_INT(fcntl(STDERR_FILENO, F_SETFL, 0), 0);
	return ends[0];
}

static void expect(int fd, const char *wanted)
{
	char text[128 * 1024];
	ssize_t got = read(fd, text, sizeof(text) - 1);
	size_t size = strlen(wanted);

	CHECK(got >= (ssize_t)size && memcmp(text + got - size, wanted, size) == 0);
}

static void drain(int fd)
{
	char page[4096];

	CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (read(fd, page, sizeof(page)) > 0)
		;
	CHECK_INT(fcntl(fd, F_SETFL, 0), 0);
}

static void loses_and_counts(const char *name, bool without_descriptors)
{
	int fd = become_full(name);
	struct rlimit before, none;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	if (without_descriptors)
		CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 3; i++)
		gb__log(GB__LOG_ERROR, "lost");
	CHECK_INT(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	drain(fd);
	gb__log(GB__LOG_ERROR, "seen");
	expect(fd, "gearbox: error: seen\n");
	gb__log(GB__LOG_ERROR, "again");
	expect(fd, "gearbox: error: again\n");
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0); /* sanitizers look at files in the end */
}

/* Nothing here may wait: the harness would end the test. */
TEST(full_pipe_loses_lines)
{
	loses_and_counts(NULL, false);
}

TEST(full_pipe_of_an_older_kernel_loses_lines)
{
	loses_and_counts("log_test.fifo.1", false);
}

TEST(full_pipe_that_cannot_be_opened_again_loses_lines)
{
	loses_and_counts("log_test.fifo.2", true);
}

TEST(lost_lines_are_counted_once_there_is_room)
{
	int fd = become_full(NULL);

	for (int i = 0; i < 3; i++)
		gb__log(GB__LOG_ERROR, "lost");
	gb__log_tell_lost();
	drain(fd);
	gb__log_tell_lost();
	expect(fd, "gearbox: warning: 3 lines lost: nobody read them\n");
	gb__log(GB__LOG_ERROR, "seen");
	expect(fd, "gearbox: error: seen\n");
}

TEST(full_socket_loses_lines)
{
	int ends[2], flags;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	flags = fcntl(STDERR_FILENO, F_GETFL);
	for (int i = 0; i < 100000; i++)
		gb__log(GB__LOG_ERROR, "%0*d", 800, i);
	CHECK_INT(fcntl(STDERR_FILENO, F_GETFL), flags);
	drain(ends[0]);
	gb__log(GB__LOG_ERROR, "seen");
	expect(ends[0], "gearbox: error: seen\n");
}

TEST(terminal_that_stands_still_loses_lines)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK(slave >= 0 && dup2(slave, STDERR_FILENO) == STDERR_FILENO);
	for (int i = 0; i < 1000; i++)
		gb__log(GB__LOG_ERROR, "%0*d", 800, i);
	CHECK_INT(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}

TEST(reader_that_has_gone_ends_nobody)
{
	int ends[2];

	CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	CHECK_INT(pipe(ends), 0);
	CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
	gb__log(GB__LOG_ERROR, "lost");
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
	gb__log(GB__LOG_ERROR, "lost");
}

TEST(full_disk_loses_lines)
{
	int fd = open("/dev/full", O_WRONLY);

	CHECK(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	gb__log(GB__LOG_ERROR, "lost");
}

TEST(limit_lets_one_line_a_second_through)
{
	struct gb__log_limit limit = { 0 };
	uint64_t held = 99;

	CHECK(gb__log_allowed(&limit, 5000, &held));
	CHECK_INT(held, 0);
	CHECK(!gb__log_allowed(&limit, 5000, &held));
	CHECK(!gb__log_allowed(&limit, 5999, &held));
	CHECK(gb__log_allowed(&limit, 6000, &held));
	CHECK_INT(held, 2);
	CHECK(gb__log_allowed(&limit, 7000, &held));
	CHECK_INT(held, 0);
}

TEST(limit_works_from_a_clock_at_zero)
{
	struct gb__log_limit limit = { 0 };
	uint64_t held;

	CHECK(gb__log_allowed(&limit, 0, &held));
	CHECK(!gb__log_allowed(&limit, 0, &held));
	CHECK(!gb__log_allowed(&limit, 999, &held));
	CHECK(gb__log_allowed(&limit, 1001, &held));
	CHECK_INT(held, 2);
}
