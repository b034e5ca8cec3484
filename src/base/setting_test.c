#include "base/alloc.h"
#include "base/capture_test.h"

#include <gearbox/setting.h>

#include <errno.h>
#include <signal.h>

struct options {
	bool nodelay;
	uint64_t backlog, max_message, idle_timeout_ms, linger_ms;
	char *user, *greeting;
	unsigned engine;
};

static const struct gb_setting table[] = {
	{ "nodelay", GB_SETTING_SWITCH, offsetof(struct options, nodelay), .fallback = "yes" },
	{ "backlog", GB_SETTING_COUNT, offsetof(struct options, backlog), .fallback = "511", .min = 1,
		.max = 65535 },
	{ "max-message", GB_SETTING_SIZE, offsetof(struct options, max_message), .fallback = "64KiB",
		.min = 16 },
	{ "idle-timeout", GB_SETTING_DURATION, offsetof(struct options, idle_timeout_ms), .fallback = "1m",
		.max = 3600000 },
	{ "linger", GB_SETTING_DURATION, offsetof(struct options, linger_ms), .min = 100, .max = 90000 },
	{ "user", GB_SETTING_TEXT, offsetof(struct options, user) },
	{ "greeting", GB_SETTING_TEXT, offsetof(struct options, greeting), .fallback = "hello" },
	{ "engine", GB_SETTING_CHOICE, offsetof(struct options, engine), .fallback = "poll",
		.choices = "epoll|poll|select" },
	{ NULL },
};

static struct options options;

/* Runs in each test's own process. */
static void start(void)
{
	CHECK_INT(gb_settings_init(table, &options, sizeof(options)), 0);
}

static void check_set(const char *key, const char *value)
{
	struct gb_error error = { 0 };
	int rc = gb_settings_set(table, &options, key, value, &error);

	if (rc < 0)
		test_fail(__FILE__, __LINE__, "%s=%s: %s", key, value, error.text);
}

static void check_refused(const char *key, const char *value, const char *text)
{
	struct options before = options;
	struct gb_error error = { 0 };

	CHECK_INT(gb_settings_set(table, &options, key, value, &error), -GB_EUSAGE);
	CHECK_INT(error.code, -GB_EUSAGE);
	CHECK_STR(error.text, text);
	CHECK(memcmp(&before, &options, sizeof(options)) == 0);
}

static void check_get(const char *key, const char *expected)
{
	char text[64];

	CHECK_INT(gb_settings_get(table, &options, key, text, sizeof(text)), strlen(expected));
	CHECK_STR(text, expected);
}

TEST(fallbacks_are_applied)
{
	memset(&options, 0xff, sizeof(options));
	start();
	CHECK(options.nodelay);
	CHECK_INT(options.backlog, 511);
	CHECK_INT(options.max_message, 65536);
	CHECK_INT(options.idle_timeout_ms, 60000);
	CHECK_INT(options.linger_ms, 0); /* no fallback, and its range does not matter then */
	CHECK(options.user == NULL);
	CHECK_STR(options.greeting, "hello");
	CHECK_INT(options.engine, 1);
	gb_settings_finish(table, &options);
}

TEST(values_are_taken)
{
	start();
	check_set("nodelay", "no");
	CHECK(!options.nodelay);
	for (size_t i = 0; i < 4; i++) {
		static const char *const words[][2] = { { "yes", "no" }, { "on", "off" }, { "true", "false" },
			{ "1", "0" } };

		check_set("nodelay", words[i][0]);
		CHECK(options.nodelay);
		check_set("nodelay", words[i][1]);
		CHECK(!options.nodelay);
	}
	check_set("backlog", "65535");
	CHECK_INT(options.backlog, 65535);
	check_set("max-message", "1GiB");
	CHECK_INT(options.max_message, 1 << 30);
	check_set("idle-timeout", "off");
	CHECK_INT(options.idle_timeout_ms, 0);
	check_set("linger", "100ms");
	CHECK_INT(options.linger_ms, 100);
	check_set("engine", "epoll");
	CHECK_INT(options.engine, 0);
	check_set("engine", "select");
	CHECK_INT(options.engine, 2);
	gb_settings_finish(table, &options);
}

TEST(texts_are_copied_and_replaced)
{
	char value[] = "nobody";

	start();
	check_set("user", value);
	value[0] = 'x';
	CHECK_STR(options.user, "nobody");
	check_set("user", "somebody");
	CHECK_STR(options.user, "somebody");
	check_set("greeting", "");
	CHECK_STR(options.greeting, "");
	gb_settings_finish(table, &options);
	CHECK(options.user == NULL && options.greeting == NULL);
	gb_settings_finish(table, &options); /* a second one is harmless */
}

TEST(unknown_key_names_the_nearest)
{
	start();
	check_refused("idle-timout", "3s", "unknown setting \"idle-timout\": did you mean \"idle-timeout\"?");
	check_refused("idle", "3s", "unknown setting \"idle\": did you mean \"idle-timeout\"?");
	check_refused("Nodelay", "yes", "unknown setting \"Nodelay\": did you mean \"nodelay\"?");
	gb_settings_finish(table, &options);
}

TEST(unknown_key_without_a_near_one_lists_all)
{
	static const struct gb_setting none[] = { { NULL } };
	struct gb_error error;

	start();
	check_refused("zebra", "1",
		"unknown setting \"zebra\": known are nodelay, backlog, max-message, idle-timeout, linger, user, "
		"greeting, engine");
	CHECK_INT(gb_settings_set(none, &options, "x", "1", &error), -GB_EUSAGE);
	CHECK_STR(error.text, "unknown setting \"x\": there are none");
	gb_settings_finish(table, &options);
}

TEST(long_list_of_keys_says_that_it_was_cut)
{
	struct gb_setting many[101] = { 0 };
	struct gb_error error;
	char keys[100][16];
	const char *end;

	for (unsigned i = 0; i < 100; i++) {
		snprintf(keys[i], sizeof(keys[i]), "option-%04u", i);
		many[i].key = keys[i];
	}
	CHECK_INT(gb_settings_set(many, &options, "zebra", "1", &error), -GB_EUSAGE);
	end = strstr(error.text, ", ...");
	CHECK(end && end[5] == '\0');
	CHECK(strstr(error.text, "known are option-0000, option-0001") != NULL);
}

TEST(malformed_value_says_what_would_be_right)
{
	start();
	check_refused("idle-timeout", "3x",
		"idle-timeout: \"3x\" is not a duration: write a number with ms, s, m or h, e.g. 30s");
	check_refused("max-message", "64K",
		"max-message: \"64K\" is not a size: write a number of bytes, or one with KiB, MiB or GiB, e.g. "
		"64KiB");
	check_refused(
		"backlog", "many", "backlog: \"many\" is not a whole number: write digits only, e.g. 16");
	check_refused("backlog", "-1", "backlog: \"-1\" is not a whole number: write digits only, e.g. 16");
	check_refused("nodelay", "maybe", "nodelay: \"maybe\" is not a switch: write yes or no");
	check_refused("engine", "kqueue", "engine: \"kqueue\" is not a choice: write epoll, poll or select");
	check_refused("engine", "", "engine: \"\" is not a choice: write epoll, poll or select");
	check_refused("engine", "epo", "engine: \"epo\" is not a choice: write epoll, poll or select");
	check_refused("engine", "epoll|poll",
		"engine: \"epoll|poll\" is not a choice: write epoll, poll or select");
	gb_settings_finish(table, &options);
}

TEST(value_out_of_range_says_the_range)
{
	start();
	check_refused("backlog", "0", "backlog: \"0\" is out of range: write 1 to 65535");
	check_refused("backlog", "65536", "backlog: \"65536\" is out of range: write 1 to 65535");
	check_refused("idle-timeout", "61m", "idle-timeout: \"61m\" is out of range: write 0 to 1h");
	check_refused("linger", "99ms", "linger: \"99ms\" is out of range: write 100ms to 90s");
	check_refused("linger", "off", "linger: \"off\" is out of range: write 100ms to 90s");
	check_refused("max-message", "15", "max-message: \"15\" is out of range: write 16 or more");
	gb_settings_finish(table, &options);
}

TEST(number_beyond_64_bits_is_out_of_range)
{
	start();
	check_refused("backlog", "18446744073709551616",
		"backlog: \"18446744073709551616\" is out of range: write 1 to 65535");
	check_refused("idle-timeout", "9999999999999999999h",
		"idle-timeout: \"9999999999999999999h\" is out of range: write 0 to 1h");
	gb_settings_finish(table, &options);
}

TEST(hostile_value_is_quoted_short_and_escaped)
{
	char value[200] = "a\nb";

	start();
	check_refused("nodelay", value, "nodelay: \"a\\x0ab\" is not a switch: write yes or no");
	memset(value, 'y', sizeof(value) - 1);
	check_refused("nodelay", value,
		"nodelay: \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...\" is not a switch: write yes or "
		"no");
	gb_settings_finish(table, &options);
}

TEST(error_is_optional)
{
	start();
	CHECK_INT(gb_settings_set(table, &options, "nodelay", "x", NULL), -GB_EUSAGE);
	CHECK_INT(gb_settings_set(table, &options, "zebra", "x", NULL), -GB_EUSAGE);
	gb_settings_finish(table, &options);
}

TEST(get_writes_what_set_takes)
{
	static const char *const pairs[][2] = { { "nodelay", "no" }, { "nodelay", "yes" }, { "backlog", "7" },
		{ "max-message", "3MiB" }, { "max-message", "1025" }, { "idle-timeout", "0" },
		{ "idle-timeout", "1500ms" }, { "idle-timeout", "45s" }, { "idle-timeout", "1h" },
		{ "user", "a b\"c" }, { "engine", "epoll" }, { "engine", "select" } };

	start();
	check_get("user", "");
	check_get("greeting", "hello");
	check_get("engine", "poll");
	check_get("idle-timeout", "1m");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		check_set(pairs[i][0], pairs[i][1]);
		check_get(pairs[i][0], pairs[i][1]);
	}
	check_set("idle-timeout", "120s");
	check_get("idle-timeout", "2m");
	gb_settings_finish(table, &options);
}

TEST(get_cuts_as_snprintf_does)
{
	char text[4];

	start();
	CHECK_INT(gb_settings_get(table, &options, "greeting", text, sizeof(text)), 5);
	CHECK_STR(text, "hel");
	CHECK_INT(gb_settings_get(table, &options, "engine", text, sizeof(text)), 4);
	CHECK_STR(text, "pol");
	CHECK_INT(gb_settings_get(table, &options, "backlog", NULL, 0), 3);
	CHECK_INT(gb_settings_get(table, &options, "zebra", text, sizeof(text)), -GB_EUSAGE);
	gb_settings_finish(table, &options);
}

TEST(find_gives_the_row)
{
	CHECK(gb_settings_find(table, "linger") == &table[4]);
	CHECK(gb_settings_find(table, "linge") == NULL);
	CHECK(gb_settings_find(table, "") == NULL);
}

TEST(out_of_memory_changes_nothing)
{
	struct gb_error error;
	char text[64];

	start();
	gb__alloc_fail_at(1);
	CHECK_INT(gb_settings_set(table, &options, "greeting", "bye", &error), -ENOMEM);
	snprintf(text, sizeof(text), "greeting: %s", strerror(ENOMEM)); /* C libraries differ */
	CHECK_STR(error.text, text);
	CHECK_STR(options.greeting, "hello");
	gb_settings_finish(table, &options);
	gb__alloc_fail_at(1);
	CHECK_INT(gb_settings_init(table, &options, sizeof(options)), -ENOMEM);
	CHECK(options.greeting == NULL);
}

static void init_with_a_wrong_fallback(void)
{
	static const struct gb_setting wrong[] = { { "count", GB_SETTING_COUNT, 0, .fallback = "5x" },
		{ NULL } };
	uint64_t count;

	gb_settings_init(wrong, &count, sizeof(count));
}

TEST(fallback_that_its_row_refuses_aborts)
{
	char text[8192];
	int status = capture(init_with_a_wrong_fallback, text, sizeof(text));

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(strstr(text, "count: \"5x\" is not a whole number") != NULL);
}
