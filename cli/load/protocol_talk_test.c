/* Protocols whose replies are no copy of the request: HTTP, RESP, work. Whatever the split, right ones pass, wrong ones do not. */
#include "load/protocol_script.h"

#include "harness.h"

enum { STATE_WORDS = 64 };

struct talk {
	const struct protocol *protocol;
	struct traffic traffic;
	uint64_t state[STATE_WORDS];
	uint64_t oldest, next; /* of unordered ones */
	uint64_t numbers[16];  /* in the order in which they were answered */
};

static void begin(struct talk *talk, const struct protocol *protocol, const struct load_request *request)
{
	*talk = (struct talk){ .protocol = protocol };
	CHECK(protocol->state_size <= sizeof(talk->state));
	CHECK_INT(protocol->prepare(request, &talk->traffic), 0);
	protocol->begin(&talk->traffic, 0, talk->state);
}

/* Give bytes in pieces of `piece`. Returns the replies, or the error. */
static int64_t hear(
	struct talk *talk, uint64_t awaited, struct gb_bytes bytes, size_t piece, struct gb_error *error)
{
	uint64_t replies = 0;

	while (bytes.size > 0) {
		struct gb_bytes part = { bytes.data, bytes.size < piece ? bytes.size : piece };
		uint64_t number = UINT64_MAX;
		int64_t rc;

		if (talk->protocol->check_one) {
			rc = talk->protocol->check_one(
				&talk->traffic, talk->state, talk->oldest, talk->next, part, &number, error);
			if (rc < 0)
				return rc;
			CHECK(rc > 0 && (size_t)rc <= part.size);
			part.size = (size_t)rc;
			rc = number != UINT64_MAX;
			if (rc)
				talk->numbers[replies] = number;
		} else {
			rc = talk->protocol->check(
				&talk->traffic, talk->state, awaited - replies, part, error);
		}
		if (rc < 0)
			return rc;
		replies += (uint64_t)rc;
		bytes.data += part.size;
		bytes.size -= part.size;
	}
	return (int64_t)replies;
}

static struct gb_bytes text(const char *string)
{
	return (struct gb_bytes){ (const unsigned char *)string, strlen(string) };
}

static const struct load_request get_request = { .size = 10, .address = "host:80", .depth = 1, .seed = 1 };

TEST(http_requests_are_those_of_the_rfc)
{
	struct load_request request = get_request;
	struct talk talk;

	begin(&talk, &gb__protocol_http, &request);
	CHECK(talk.traffic.size >= talk.traffic.request_size);
	CHECK_INT(talk.traffic.request_size, strlen("GET / HTTP/1.1\r\nHost: host:80\r\n\r\n"));
	CHECK(memcmp(talk.traffic.data, "GET / HTTP/1.1\r\nHost: host:80\r\n\r\nGET / ", 39) == 0);
	gb__traffic_finish(&talk.traffic);
	request.post = true;
	request.path = "/a";
	begin(&talk, &gb__protocol_http, &request);
	CHECK(memcmp(talk.traffic.data,
		      "POST /a HTTP/1.1\r\nHost: host:80\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
		      "abcdefghijPOST",
		      strlen("POST /a HTTP/1.1\r\nHost: host:80\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
			     "abcdefghijPOST")) == 0);
	gb__traffic_finish(&talk.traffic);
}

TEST(http_responses_end_where_they_say)
{
	static const struct {
		const char *text;
		int replies;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1 },
		{ "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
			2 },
		{ "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", 1 },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1 },
		{ "HTTP/1.0 200\r\nX-Long: 0123456789012345678901234567890123456789012345678901234567890123456789012345678"
		  "90123456789012345678901234567890\r\nContent-Length: 2\r\n\r\nhi",
			1 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
			1 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n"
		  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			2 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 0 },
	};
	struct gb_error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (size_t piece = 1; piece < 200; piece += piece < 8 ? 1 : 37) {
			struct talk talk;
			int64_t replies;

			begin(&talk, &gb__protocol_http, &get_request);
			replies = hear(&talk, 3, text(rows[i].text), piece, &error);
			if (replies != rows[i].replies)
				test_fail(__FILE__, __LINE__, "%s by %zu: %lld (%s)", rows[i].text, piece,
					(long long)replies, error.text);
			gb__traffic_finish(&talk.traffic);
		}
}

TEST(http_responses_that_are_none_are_found)
{
	static const char *const rows[] = { "SSH-2.0-OpenSSH\r\n", "HTTP/2 200 OK\r\n",
		"HTTP/1.1 2000 OK\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 500 X\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\n: x\r\n",
		"HTTP/1.1 200 OK\r\nA b: c\r\n", "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab\r\n" };
	struct gb_error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (size_t piece = 1; piece < 100; piece += 33) {
			struct talk talk;

			begin(&talk, &gb__protocol_http, &get_request);
			if (hear(&talk, 2, text(rows[i]), piece, &error) != -GB_EBADFRAME)
				test_fail(__FILE__, __LINE__, "%s", rows[i]);
			CHECK(strstr(error.text, "of the replies"));
			gb__traffic_finish(&talk.traffic);
		}
}

TEST(http_bodies_are_compared_where_they_are_known)
{
	struct load_request request = get_request;
	struct gb_error error;
	struct talk talk;

	request.expect = text("hello");
	begin(&talk, &gb__protocol_http, &request);
	CHECK_INT(hear(&talk, 1, text("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 7, &error), 1);
	CHECK_INT(
		hear(&talk, 1,
			text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
			7, &error),
		1);
	CHECK_INT(hear(&talk, 1, text("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelLo"), 7, &error),
		-GB_EBADFRAME);
	CHECK(strstr(error.text, "0x4c, expected 0x6c"));
	gb__traffic_finish(&talk.traffic);
	begin(&talk, &gb__protocol_http, &request);
	CHECK_INT(hear(&talk, 1, text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell"), 7, &error),
		-GB_EBADFRAME);
	gb__traffic_finish(&talk.traffic);
	begin(&talk, &gb__protocol_http, &request);
	CHECK_INT(hear(&talk, 1, text("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!"), 7, &error),
		-GB_EBADFRAME);
	gb__traffic_finish(&talk.traffic);
}

/* Redis, with a memory of one kind: all keys are set, or none is. Returns the replies to the first requests. */
static void redis(const struct traffic *traffic, bool set, size_t count, struct script_bytes *ret)
{
	for (size_t i = 0; i < count; i++) {
		const struct traffic_reply *reply = &traffic->replies[i];
		const struct gb_bytes *one = reply->other.size && !set ? &reply->other : &reply->right;

		CHECK_INT(gb__script_append(ret, one->data, one->size), 0);
	}
}

TEST(resp_takes_the_value_of_a_key_or_nil)
{
	const struct load_request request = {
		.size = 20, .command = "ping,set:2,get:3", .keys = 5, .seed = 7
	};
	struct gb_error error;
	unsigned kinds = 0;

	for (unsigned set = 0; set < 2; set++)
		for (size_t piece = 1; piece < 40; piece += piece < 4 ? 1 : 17) {
			struct script_bytes replies = { 0 };
			struct talk talk;
			size_t count = 50;

			begin(&talk, &gb__protocol_resp, &request);
			redis(&talk.traffic, set, count, &replies);
			CHECK_INT(hear(&talk, count, (struct gb_bytes){ replies.data, replies.size }, piece,
					  &error),
				count);
			for (size_t i = 0; i < count; i++)
				kinds |= talk.traffic.replies[i].right.data[0] == '+'
					? (talk.traffic.replies[i].right.data[1] == 'P' ? 1 : 2)
					: 4;
			CHECK_INT(hear(&talk, 0, text("+"), 1, &error), -GB_EBADFRAME);
			gb__traffic_finish(&talk.traffic);
			free(replies.data);
		}
	CHECK_INT(kinds, 7);
}

TEST(resp_finds_wrong_replies)
{
	static const char *const rows[] = { "$-1\r\n", "-ERR\r\n", "+OK\n", "+OKAY\r\n", "$1\r\n" };
	const struct load_request request = { .size = 20, .command = "SET", .keys = 5, .seed = 7 };
	struct gb_error error;
	struct talk talk;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		begin(&talk, &gb__protocol_resp, &request);
		CHECK_INT(hear(&talk, 2, text(rows[i]), 3, &error), -GB_EBADFRAME);
		gb__traffic_finish(&talk.traffic);
	}
	begin(&talk, &gb__protocol_resp,
		&(struct load_request){ .size = 3, .command = "get", .keys = 1, .seed = 7 });
	CHECK_INT(hear(&talk, 2, text("$3\r\n\x01zz\r\n"), 3, &error), -GB_EBADFRAME);
	gb__traffic_finish(&talk.traffic);
	CHECK_INT(gb__resp_check_mix("set:1,get:9", &error), 0);
	for (size_t i = 0; i < 6; i++)
		CHECK_INT(gb__resp_check_mix(
				  (const char *[]){ "", "del", "set:", "set:0", "set,", "get:x" }[i], &error),
			-GB_EUSAGE);
}

TEST(connections_begin_at_different_commands)
{
	const struct load_request request = {
		.size = 20, .command = "ping,set:2,get:3", .keys = 5, .seed = 7
	};
	struct script_state state;
	struct traffic traffic;

	CHECK_INT(gb__protocol_resp.prepare(&request, &traffic), 0);
	for (uint64_t number = 0; number < 200; number += 13) {
		size_t at = gb__protocol_resp.begin(&traffic, number, &state);

		CHECK_INT(gb__traffic_turn(&traffic, at), state.turn);
		CHECK(memcmp(traffic.data + at, "*", 1) == 0);
	}
	gb__traffic_finish(&traffic);
}

#define WORK_SIZE 40u

/* The reply to request `number`, which the traffic has. */
static void work_reply(const struct talk *talk, uint64_t number, unsigned char *ret)
{
	const unsigned char *request = talk->traffic.data + number * WORK_SIZE;

	memcpy(ret, "\0\0\0\x1c", 4); /* 28: id and payload */
	memcpy(ret + 4, request + 4, 4);
	memcpy(ret + 8, request + 16, 24);
}

TEST(work_replies_may_come_in_any_order)
{
	const struct load_request request = { .size = WORK_SIZE, .depth = 8, .compute_us = 5 };
	static const uint64_t order[] = { 3, 0, 4, 1, 2 };
	unsigned char replies[5 * 32];
	struct gb_error error;

	for (size_t piece = 1; piece < 100; piece += piece < 9 ? 1 : 13) {
		struct talk talk;

		begin(&talk, &gb__protocol_work, &request);
		CHECK_INT(talk.traffic.reply_size, 32);
		CHECK(memcmp(talk.traffic.data + 8, "\0\0\0\x05\0\0\0\0", 8) == 0);
		talk.next = 5;
		for (size_t i = 0; i < 5; i++)
			work_reply(&talk, order[i], replies + i * 32);
		CHECK_INT(hear(&talk, 5, (struct gb_bytes){ replies, sizeof(replies) }, piece, &error), 5);
		CHECK(memcmp(talk.numbers, order, sizeof(order)) == 0);
		gb__traffic_finish(&talk.traffic);
	}
}

TEST(work_replies_that_are_wrong_are_found)
{
	const struct load_request request = { .size = WORK_SIZE, .depth = 8 };
	struct gb_error error;
	struct talk talk;

	for (size_t i = 0; i <= 32; i++) {
		unsigned char reply[32];

		begin(&talk, &gb__protocol_work, &request);
		talk.next = i < 32 ? 3 : 0; /* the last row: nobody asked */
		work_reply(&talk, 1, reply);
		reply[i % 32] ^= 0x40;
		CHECK_INT(
			hear(&talk, 3, (struct gb_bytes){ reply, sizeof(reply) }, 5, &error), -GB_EBADFRAME);
		gb__traffic_finish(&talk.traffic);
	}
}
