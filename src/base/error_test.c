#include "base/escape.h"
#include "harness.h"

#include <gearbox/conn.h>
#include <gearbox/error.h>

#include <errno.h>
#include <limits.h>

TEST(text_of_a_code_ignores_its_sign)
{
	CHECK_STR(gb_strerror(0), "success");
	CHECK_STR(gb_strerror(GB_ELIMIT), "a configured limit is reached");
	CHECK_STR(gb_strerror(-GB_ELIMIT), "a configured limit is reached");
	CHECK_STR(gb_strerror(-ECONNRESET), "Connection reset by peer");
	CHECK_STR(gb_strerror(ECONNRESET), "Connection reset by peer");
}

TEST(unknown_codes_have_a_text)
{
	CHECK_STR(gb_strerror(INT_MIN), "unknown error");
	CHECK_STR(gb_strerror(INT_MAX), "unknown error");
	CHECK_STR(gb_strerror(9999), "unknown error");
	CHECK_STR(gb_strerror(10000), "unknown error");
}

TEST(set_fills_code_and_text_and_returns_the_code)
{
	struct gb_error error;

	CHECK_INT(gb_error_set(&error, -GB_EUSAGE, "port %d: %s", 99999, "too high"), -GB_EUSAGE);
	CHECK_INT(error.code, -GB_EUSAGE);
	CHECK_STR(error.text, "port 99999: too high");
	CHECK_INT(gb_error_set(NULL, -ENOMEM, "nobody listens"), -ENOMEM);
}

TEST(set_may_quote_the_text_it_replaces)
{
	struct gb_error error;

	gb_error_set(&error, -EINVAL, "inner");
	gb_error_set(&error, error.code, "file:3: %s", error.text);
	CHECK_STR(error.text, "file:3: inner");
}

TEST(control_characters_are_escaped)
{
	struct gb_error error;

	gb_error_set(&error, -EINVAL, "%s", "a\nb\tc\x1b[31m\x7f");
	CHECK_STR(error.text, "a\\x0ab\\x09c\\x1b[31m\\x7f");
}

TEST(long_text_is_cut_and_terminated)
{
	struct gb_error error;

	gb_error_set(&error, -EINVAL, "%0*d", 5000, 0);
	CHECK_INT(strlen(error.text), sizeof(error.text) - 1);
}

static void check_escape(const char *text, const char *expected, size_t size)
{
	char *ret = malloc(size); /* exact, so that a sanitizer sees every step too far */
	size_t length = gb__escape(text, ret, size);

	CHECK_STR(ret, expected);
	CHECK_INT(length, strlen(expected));
	free(ret);
}

TEST(printable_utf8_passes)
{
	static const char text[] = "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0";

	check_escape(text, text, 64);
}

TEST(bytes_that_are_not_printable_utf8_are_escaped)
{
	check_escape("\xc2\x9b", "\\xc2\\x9b", 64);                   /* CSI, as a C1 control */
	check_escape("\x9b", "\\x9b", 64);                            /* the same in 8 bits */
	check_escape("\xc0\x8a", "\\xc0\\x8a", 64);                   /* LF in an overlong form */
	check_escape("\xe0\x80\x8a", "\\xe0\\x80\\x8a", 64);          /* the same, longer */
	check_escape("\xed\xa0\x80", "\\xed\\xa0\\x80", 64);          /* a surrogate */
	check_escape("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", 64); /* above U+10FFFF */
	check_escape("\xe2\x82", "\\xe2\\x82", 64);                   /* ends too soon */
	check_escape("\xf0\x9f\x98", "\\xf0\\x9f\\x98", 64);
	check_escape("\xff", "\\xff", 64);
}

TEST(escape_never_cuts_inside_a_character_or_an_escape)
{
	check_escape("ab", "", 1);
	check_escape("ab", "a", 2);
	check_escape("a\n", "a", 5);
	check_escape("a\n", "a\\x0a", 6);
	check_escape("a\xe2\x82\xac", "a", 4);
	check_escape("a\xe2\x82\xac", "a\xe2\x82\xac", 5);
}

TEST(close_reasons_have_their_words)
{
	CHECK_STR(gb_close_reason_name(GB_CLOSE_EOF), "eof");
	CHECK_STR(gb_close_reason_name(GB_CLOSE_READ_TIMEOUT), "read_timeout");
	CHECK_STR(gb_close_reason_name(GB_CLOSE_REASON_COUNT - 1), "crashed");
	CHECK_STR(gb_close_reason_name(GB_CLOSE_REASON_COUNT), "unknown");
	CHECK_STR(gb_close_reason_name(-1), "unknown");
}
