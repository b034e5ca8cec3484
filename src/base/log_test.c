#include "base/capture_test.h"
#include "base/log.h"

#include <errno.h>

static void log_each_level(void)
{
	gb__log(GB__LOG_ERROR, "one %d", 1);
	gb__log(GB__LOG_WARNING, "two");
	gb__log(GB__LOG_INFO, "three");
	gb__log(GB__LOG_DEBUG, "four");
}

TEST(warnings_and_worse_are_logged_at_first)
{
	char text[256];

	capture(log_each_level, text, sizeof(text));
	CHECK_STR(text, "gearbox: error: one 1\ngearbox: warning: two\n");
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
		"gearbox: error: one 1\ngearbox: warning: two\ngearbox: info: three\ngearbox: debug: four\n");
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
	CHECK(size > 1000 && size <= 1024);
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
