#include "load/hdr_log.h"

#include "harness.h"

#include <stdlib.h>
#include <unistd.h>

/* A file with this text; its name lies in `ret`. */
static void put(const char *text, char ret[32])
{
	int fd;

	strcpy(ret, "/tmp/hdr-log-XXXXXX");
	fd = mkstemp(ret);
	CHECK(fd >= 0);
	CHECK_INT(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

TEST(logs_of_others_are_read_tag_by_tag)
{
	/* As jHiccup writes it (HdrHistogram's test data), once more without a tag. */
	static const char text[] =
		"#[Histogram log format version 1.3]\n"
		"#[StartTime: 1441812279.474 (seconds since epoch), Wed Sep 09 08:24:39 PDT 2015]\n"
		"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
		"Tag=A,0.127,1.007,2.769,HISTFAAAAEV42pNpmSzMwMCgyAABTBDKT4GBgdnNYMcCBvsPEBEJISEuATEZMQ4uASkhIR4nrxg9v2lMaxhv"
		"MekILGZkKmcCAEf2CsI=\r\n"
		"0.127,1.007,2.769,HISTFAAAAEV42pNpmSzMwMCgyAABTBDKT4GBgdnNYMcCBvsPEBEJISEuATEZMQ4uASkhIR4nrxg9v2lMaxhvMekI"
		"LGZkKmcCAEf2CsI=\n\n";
	struct hdr_log log = { 0 };
	struct gb_error error;
	char path[32];

	put(text, path);
	CHECK_INT(gb__hdr_log_read(&log, path, &error), 0);
	CHECK_INT(gb__hdr_log_read(&log, path, &error), 0);
	CHECK_INT(log.count, 2);
	CHECK_STR(log.list[0].tag, "A");
	CHECK_STR(log.list[1].tag, "");
	CHECK(log.list[0].seconds > 2.013 && log.list[0].seconds < 2.015);
	CHECK(log.list[0].histogram->count > 0 &&
		log.list[0].histogram->count == log.list[1].histogram->count);
	unlink(path);
	gb__hdr_log_finish(&log);
}

TEST(what_is_written_is_read_and_merged)
{
	struct hdr_log log = { 0 }, again = { 0 };
	struct histogram histogram;
	struct gb_error error;
	char path[32];

	gb__histogram_init(&histogram);
	gb__histogram_add_many(&histogram, 1000000, 10);
	CHECK_INT(gb__hdr_log_add(&log, "response", 2, &histogram), 0);
	CHECK_INT(gb__hdr_log_add(&log, "service", 2, &histogram), 0);
	put("", path);
	CHECK_INT(gb__hdr_log_write(&log, path, 1e9, &error), 0);
	CHECK_INT(gb__hdr_log_read(&again, path, &error), 0);
	CHECK_INT(gb__hdr_log_read(&again, path, &error), 0);
	CHECK_INT(again.count, 2);
	CHECK_STR(again.list[1].tag, "service");
	CHECK_INT(again.list[1].histogram->count, 20);
	CHECK(again.list[1].seconds == 4);
	gb__hdr_log_finish(&log);
	gb__hdr_log_finish(&again);
	unlink(path);
}

TEST(files_that_are_none_are_refused_with_their_line)
{
	static const char *const wrong[] = { "#x\nhello\n", "#x\n0.1,2,3,HIST\n", "#\nTag=a\n",
		"\"a\"\n1,2,HIST\n" };
	struct hdr_log log = { 0 };
	struct gb_error error;
	char path[32];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		put(wrong[i], path);
		CHECK_INT(gb__hdr_log_read(&log, path, &error), -GB_EUSAGE);
		CHECK(strstr(error.text, ":2: "));
		unlink(path);
	}
	CHECK(gb__hdr_log_read(&log, "/nowhere/at/all", &error) < 0);
	gb__hdr_log_finish(&log);
}
