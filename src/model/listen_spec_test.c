/* An address with options of its own: where each begins, which there are, and what is said of the others. */
#include "model/listen_spec.h"

#include "harness.h"

static struct gb_options *defaults(void)
{
	struct gb_options *options;

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, "backlog", "77", NULL), 0);
	CHECK_INT(gb_options_set(options, "unix-mode", "640", NULL), 0);
	return options;
}

static struct gb__listen_spec parsed(const char *text)
{
	struct gb_options *options = defaults();
	struct gb__listen_spec spec;
	struct gb_error error = { 0 };

	if (gb__listen_spec_parse(text, options, &spec, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
	gb_options_destroy(options);
	return spec;
}

static void check_refused(const char *text, const char *part)
{
	struct gb_options *options = defaults();
	struct gb__listen_spec spec;
	struct gb_error error = { 0 };

	CHECK_INT(gb__listen_spec_parse(text, options, &spec, &error), -GB_EUSAGE);
	CHECK_INT(error.code, -GB_EUSAGE);
	if (!strstr(error.text, part))
		test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\"", text, error.text, part);
	gb_options_destroy(options);
}

TEST(an_address_alone_has_the_options_of_the_server)
{
	struct gb__listen_spec spec = parsed("127.0.0.1:7000");

	CHECK_STR(spec.address, "127.0.0.1:7000");
	CHECK_INT(spec.options->backlog, 77);
	CHECK_STR(spec.options->unix_mode_text, "640");
	CHECK_INT(spec.options->unix_mode, 0640);
	CHECK(!gb__listen_spec_gives(&spec, "backlog"));
	gb__listen_spec_finish(&spec);
}

TEST(what_it_says_goes_before)
{
	struct gb__listen_spec spec = parsed("*:7000,backlog=5,nodelay=no,unix-mode=600");

	CHECK_STR(spec.address, "*:7000");
	CHECK_INT(spec.options->backlog, 5);
	CHECK(!spec.options->nodelay);
	CHECK_INT(spec.options->unix_mode, 0600);
	CHECK(gb__listen_spec_gives(&spec, "backlog") && gb__listen_spec_gives(&spec, "nodelay"));
	CHECK(!gb__listen_spec_gives(&spec, "sndbuf"));
	gb__listen_spec_finish(&spec);
}

TEST(a_comma_that_begins_no_option_belongs_to_the_path)
{
	static const struct {
		const char *text, *address;
		unsigned backlog;
	} rows[] = {
		{ "unix:/tmp/a,b", "unix:/tmp/a,b", 77 },
		{ "unix:/tmp/a,b,backlog=5", "unix:/tmp/a,b", 5 },
		{ "unix:/tmp/a,B=1,backlog=6", "unix:/tmp/a,B=1", 6 },
		{ "unix:/tmp/a,,backlog=5", "unix:/tmp/a,backlog=5", 77 },
		{ "unix:/tmp/a,,backlog=5,backlog=6", "unix:/tmp/a,backlog=5", 6 },
		{ "unix:/tmp/a,,", "unix:/tmp/a,,", 77 },
		{ "unix:/tmp/a,=", "unix:/tmp/a,=", 77 },
		{ "unix:@a=b", "unix:@a=b", 77 },
		{ "", "", 77 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gb__listen_spec spec = parsed(rows[i].text);

		CHECK_STR(spec.address, rows[i].address);
		CHECK_INT(spec.options->backlog, rows[i].backlog);
		gb__listen_spec_finish(&spec);
	}
}

TEST(what_is_wrong_is_told_with_the_address)
{
	check_refused("*:7000,baklog=5",
		"*:7000: unknown option \"baklog\" of an address: did you mean \"backlog\"?");
	check_refused("*:7000,zz=5", "unknown option \"zz\" of an address: known are ");
	check_refused("*:7000,zz=5", "nodelay");
	check_refused(
		"*:7000,idle-timeout=5s", "idle-timeout is an option of the whole server, --idle-timeout");
	check_refused("*:7000,backlog=5,backlog=6", "backlog is given twice");
	check_refused("*:7000,backlog=0", "backlog: \"0\" is out of range");
	check_refused("*:7000,backlog=", "backlog: \"\" is not a whole number");
	check_refused("*:7000,backlog=5,,nodelay=no", "backlog: \"5,nodelay=no\" is not a whole number");
	check_refused("*:7000,unix-mode=999", "unix-mode: \"999\" is no mode");
}

TEST(a_service_stands_before_an_address_that_cannot_be_its_name)
{
	static const struct {
		const char *text;
		size_t length;
	} rows[] = { { "echo=*:7000", 4 }, { "time-echo=unix:/tmp/a=b", 9 }, { "nope=", 4 },
		{ "*:7000,nodelay=no", 0 }, { "unix:/tmp/a=b", 0 }, { "unix:@a=b", 0 }, { "unix:a=b", 0 },
		{ "systemd,backlog=5", 0 }, { "[::1]:7000,backlog=5", 0 }, { "host:7000", 0 }, { "", 0 },
		{ "=*:7000", 0 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CHECK_INT(gb__listen_service_length(rows[i].text), rows[i].length);
}

/* Whoever adds a row says whether an address may have its own; few enough for the table of what was given. */
TEST(all_rows_have_a_place)
{
	size_t count = 0;

	while (gb_option_settings[count].key)
		count++;
	CHECK(count < GB__OPTIONS_MAX);
}
