#include "base/assert.h"
#include "base/capture_test.h"

#include <signal.h>

static void fail(void)
{
	int gears = 0;

	gb__assert(gears == 1);
}

TEST(failed_assertion_tells_where_and_aborts)
{
	char text[8192], place[256];
	int status = capture(fail, text, sizeof(text));

	CHECK(WIFSIGNALED(status));
	CHECK_INT(WTERMSIG(status), SIGABRT);
	snprintf(place, sizeof(place), "gearbox: %s:", __FILE__);
	CHECK(strncmp(text, place, strlen(place)) == 0);
	CHECK(strstr(text, ": fail: assertion failed: gears == 1\n") != NULL);
}

static void break_rule(void)
{
	gb__rule(15, 1 > 2, "it is used on another thread");
}

TEST(broken_rule_names_function_fault_and_rule_and_aborts)
{
	char text[8192];
	int status = capture(break_rule, text, sizeof(text));

	CHECK(WIFSIGNALED(status));
	CHECK_INT(WTERMSIG(status), SIGABRT);
	CHECK(strncmp(text,
		      "gearbox: break_rule: it is used on another thread (rule 15 of docs/lifetimes.md)\n",
		      strlen("gearbox: break_rule: it is used on another thread (rule 15 of docs/lifetimes.md)\n")) ==
		0);
}

#ifndef GB__LACKS_BACKTRACE
TEST(failed_assertion_prints_a_backtrace)
{
	char text[8192];
	unsigned lines = 0;

	capture(fail, text, sizeof(text));
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	CHECK(lines >= 3); /* the message, this program's frames and libc's */
}
#endif

static void hold(void)
{
	unsigned evaluated = 0;

	gb__assert(++evaluated == 1);
	gb__assert(evaluated == 1);
}

TEST(assertion_that_holds_is_evaluated_once_and_silent)
{
	char text[64];
	int status = capture(hold, text, sizeof(text));

	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_STR(text, "");
}
