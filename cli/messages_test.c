#include "messages.h"

#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void check_message(const struct messages *messages, size_t at, const char *data, size_t size)
{
	CHECK(at < messages->count);
	CHECK_INT(messages->list[at].size, size);
	CHECK(memcmp(messages->list[at].data, data, size) == 0);
}

TEST(escapes_stand_for_bytes)
{
	struct messages messages = { 0 };
	struct gb_error error;

	CHECK_INT(gb__messages_add(&messages, "PING\\r\\n", &error), 0);
	CHECK_INT(gb__messages_add(&messages, "\\x00\\xfF\\0\\\\\\t", &error), 0);
	check_message(&messages, 0, "PING\r\n", 6);
	check_message(&messages, 1, "\0\xff\0\\\t", 5);
	gb__messages_finish(&messages);
	CHECK_INT(messages.count, 0);
}

TEST(what_is_no_message_is_refused)
{
	static const char *const wrong[] = { "", "\\", "\\q", "\\x", "\\x1", "\\xg0" };
	struct messages messages = { 0 };
	struct gb_error error;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_INT(gb__messages_add(&messages, wrong[i], &error), -GB_EUSAGE);
	CHECK_INT(messages.count, 0);
	gb__messages_finish(&messages);
}

static int load(struct messages *messages, const char *text, struct gb_error *error)
{
	char path[] = "/tmp/messages-test-XXXXXX";
	int fd = mkstemp(path), result;

	CHECK(fd >= 0);
	CHECK_INT(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	result = gb__messages_load(messages, path, error);
	unlink(path);
	return result;
}

TEST(a_file_has_a_message_a_line)
{
	struct messages messages = { 0 };
	struct gb_error error;

	CHECK_INT(load(&messages, "one\n\ntwo\\n\r\nthree", &error), 0);
	CHECK_INT(messages.count, 3);
	check_message(&messages, 1, "two\n", 4);
	CHECK_INT(load(&messages, "one\n\\q\n", &error), -GB_EUSAGE);
	CHECK(strstr(error.text, ":2: "));
	CHECK_INT(load(&messages, "\n\n", &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "no message in it"));
	CHECK_INT(gb__messages_load(&messages, "/nonexistent/messages", &error), -ENOENT);
	gb__messages_finish(&messages);
}

TEST(codecs_frame_them)
{
	static const struct gb_length_options small = { .width = 2, .little_endian = 1, .counts_itself = 1 };
	struct messages lines = { 0 }, framed = { 0 }, own = { 0 };
	struct gb_error error;

	gb__messages_add(&lines, "a", &error);
	gb__messages_add(&lines, "b\\r\\n", &error);
	CHECK_INT(gb__messages_copy(&lines, &framed, &error), 0);
	CHECK_INT(gb__messages_copy(&lines, &own, &error), 0);
	CHECK_INT(gb__messages_frame(&lines, &gb_codec_line, NULL, &error), 0);
	check_message(&lines, 0, "a\n", 2);
	check_message(&lines, 1, "b\r\n", 3);
	CHECK_INT(gb__messages_frame(&framed, &gb_codec_length, &small, &error), 0);
	check_message(&framed, 0, "\x03\0a", 3);
	CHECK_INT(gb__messages_frame(&own, NULL, NULL, &error), 0);
	CHECK_INT(gb__messages_frame(&own, &gb_codec_length, NULL, &error), 0);
	check_message(&own, 0,
		"\0\0\0\x01"
		"a",
		5);
	gb__messages_finish(&lines);
	gb__messages_finish(&framed);
	gb__messages_finish(&own);
}

/* The codec gives back what was framed for it. */
static void check_framed(
	const struct gb_codec_ops *codec, const void *options, const char *text, const char *expected)
{
	struct messages messages = { 0 };
	struct gb_frame frame = { 0 };
	struct gb_error error;
	uint32_t scanned = 0;

	CHECK_INT(gb__messages_add(&messages, text, &error), 0);
	CHECK_INT(gb__messages_frame(&messages, codec, options, &error), 0);
	CHECK_INT(codec->decode(options, NULL, messages.list[0], 1000, &scanned, &frame), 1);
	CHECK_INT(frame.consumed, messages.list[0].size);
	CHECK_INT(frame.size, strlen(expected));
	CHECK(memcmp(messages.list[0].data + frame.offset, expected, frame.size) == 0);
	gb__messages_finish(&messages);
}

TEST(messages_are_framed_as_each_codec_takes_them)
{
	static const struct gb_length_options anywhere = { .width = 3, .offset = 2, .adjustment = -5 };
	static const struct gb_delimiter_options end = { "<>", 2, 0 };
	static const struct gb_fixed_options five = { 5 };
	char text[301] = "";

	memset(text, 'x', sizeof(text) - 1);
	check_framed(&gb_codec_length, &anywhere, "hello", "hello");
	check_framed(&gb_codec_varint, NULL, "hello", "hello");
	check_framed(&gb_codec_varint, NULL, text, text);
	check_framed(&gb_codec_delimiter, &end, "hello", "hello");
	check_framed(&gb_codec_fixed, &five, "hi", "hi   ");
	check_framed(&gb_codec_fixed, &five, "hello you", "hello");
}
