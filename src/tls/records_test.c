/* Records of sessions without a handshake: what each answers to what it gets, whatever the pieces. */
#include "tls/records_test_driver.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "harness.h"

#include <errno.h>

static const uint16_t suites[] = { 0x1301, 0x1302, 0x1303 };
static struct driver driver;
static unsigned char got[DRIVER_WIRE_MAX], wire[DRIVER_WIRE_MAX];
static size_t got_size, wire_size;

static void begin(bool server, uint16_t suite)
{
	got_size = wire_size = 0;
	driver_begin(&driver, server, suite);
}

/* On the wire: a record with this inside. */
static void record(unsigned char type, const void *data, size_t size, size_t padding)
{
	static unsigned char inner[40000];

	memset(inner, 0, sizeof(inner));
	if (size > 0)
		memcpy(inner, data, size);
	inner[size] = type;
	wire_size += driver_seal(&driver.to, inner, size + 1 + padding, wire + wire_size);
}

/* The wire has arrived in such pieces. */
static int arrive(size_t piece)
{
	int result = driver_feed(&driver, wire, wire_size, piece, got, &got_size);

	wire_size = 0;
	return result;
}

static void expect_got(const void *data, size_t size)
{
	CHECK_INT(got_size, size);
	CHECK(memcmp(got, data, size) == 0);
	got_size = 0;
}

/* It is over, for this reason, and the peer is told this. */
static void expect_refused(const char *problem, unsigned char alert)
{
	unsigned char said[100], type;

	CHECK(driver.session->failed && driver.session->problem);
	CHECK_STR(driver.session->problem, problem);
	CHECK_INT(driver_emitted(&driver, said, &type), 2);
	CHECK_INT(type, GB__RECORD_ALERT);
	CHECK_INT(said[0], SSL3_AL_FATAL);
	CHECK_INT(said[1], alert);
	CHECK_INT(arrive(1), 0); /* nothing, of no bytes */
	driver_end(&driver);
}

static void read_hex(const char *text, unsigned char *ret)
{
	for (unsigned byte; sscanf(text, "%2x", &byte) == 1; text += 2)
		*ret++ = (unsigned char)byte;
}

/* RFC 8448, 3: what follows from the secrets of the simple handshake, and its records. */
TEST(keys_and_records_are_those_of_rfc_8448)
{
	static const struct {
		const char *secret, *key, *iv, *record;
		uint64_t sequence;
	} ways[] = {
		{ "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
			"17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
			"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd5"
			"4a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
			0 },
		{ "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
			"9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984",
			"17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc60"
			"2dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
			1 },
	};
	struct gb__tls_pool *pool;

	CHECK_INT(gb__tls_pool_create(&pool), 0);
	for (size_t i = 0; i < 2; i++) {
		unsigned char secret[32], key[16], iv[12], bytes[100], plain[51], sealed[100];
		struct gb__tls_way way = { 0 };

		read_hex(ways[i].secret, secret);
		read_hex(ways[i].key, key);
		read_hex(ways[i].iv, iv);
		read_hex(ways[i].record, bytes);
		for (unsigned char at = 0; at < 50; at++)
			plain[at] = at;
		plain[50] = GB__RECORD_DATA;
		CHECK_INT(gb__tls_way_begin(
				  pool, &way, gb__tls_suite_find(0x1301), true, secret, ways[i].sequence),
			0);
		CHECK(memcmp(way.key, key, sizeof(key)) == 0 && memcmp(way.iv, iv, sizeof(iv)) == 0);
		CHECK_INT(gb__tls_record_seal(pool, &way, GB__RECORD_DATA, plain, 50, sealed), 72);
		CHECK(memcmp(sealed, bytes, 72) == 0);
		gb__tls_way_finish(pool, &way);
		CHECK_INT(gb__tls_way_begin(
				  pool, &way, gb__tls_suite_find(0x1301), false, secret, ways[i].sequence),
			0);
		CHECK_INT(gb__tls_record_open(pool, &way, bytes, 72), 51);
		CHECK(memcmp(bytes + 5, plain, 51) == 0);
		gb__tls_way_finish(pool, &way);
	}
	gb__tls_pool_destroy(pool);
}

TEST(nothing_of_a_secret_is_left)
{
	static const struct gb__tls_way none;
	struct gb__tls_way way = { 0 };
	struct gb__tls_pool *pool;
	unsigned char secret[48] = "secret", to[100];

	CHECK_INT(gb__tls_pool_create(&pool), 0);
	CHECK_INT(gb__tls_way_begin(pool, &way, gb__tls_suite_find(0x1302), true, secret, 7), 0);
	CHECK(gb__tls_record_seal(pool, &way, GB__RECORD_DATA, "x", 1, to) > 0);
	gb__tls_way_finish(pool, &way);
	CHECK(memcmp(&way, &none, sizeof(way)) == 0);
	CHECK_INT(pool->seats_count, 1);
	CHECK(pool->seats[0]->ctx && !EVP_CIPHER_CTX_get0_cipher(pool->seats[0]->ctx));
	gb__tls_pool_destroy(pool);
}

TEST(who_has_used_its_context_since_the_hand_has_passed_keeps_it)
{
	static struct gb__tls_way ways[GB__TLS_SEATS + 2];
	unsigned char secret[32] = "secret", to[100];
	struct gb__tls_pool *pool;

	CHECK_INT(gb__tls_pool_create(&pool), 0);
	for (size_t i = 0; i < gb__countof(ways); i++) {
		CHECK_INT(gb__tls_way_begin(pool, &ways[i], gb__tls_suite_find(0x1301), true, secret, 0), 0);
		if (i > GB__TLS_SEATS) /* all have had a round by now, from which the first has not come back */
			CHECK(gb__tls_seat_find(pool, &ways[1]));
		CHECK(gb__tls_record_seal(pool, &ways[i], GB__RECORD_DATA, "x", 1, to) > 0);
	}
	CHECK_INT(pool->seats_count, GB__TLS_SEATS);
	CHECK(!ways[0].seat && ways[1].seat && !ways[2].seat && ways[3].seat);
	for (size_t i = 0; i < gb__countof(ways); i++)
		gb__tls_way_finish(pool, &ways[i]);
	gb__tls_pool_destroy(pool);
}

/* One of no bytes, which HKDF refuses, stands for one that there is no memory for. */
TEST(without_a_next_key_numbers_go_on)
{
	struct gb__tls_suite suite = *gb__tls_suite_find(0x1301);
	struct gb__tls_way way = { 0 };
	struct gb__tls_pool *pool;
	unsigned char secret[48] = "secret", key[16];

	CHECK_INT(gb__tls_pool_create(&pool), 0);
	CHECK_INT(gb__tls_way_begin(pool, &way, &suite, true, secret, 7), 0);
	memcpy(key, way.key, sizeof(key));
	suite.key_size = 0;
	CHECK_INT(gb__tls_way_update(pool, &way), -ENOMEM);
	CHECK_INT(way.sequence, 7);
	CHECK(memcmp(way.key, key, sizeof(key)) == 0);
	suite.key_size = sizeof(key);
	CHECK_INT(gb__tls_way_update(pool, &way), 0);
	CHECK_INT(way.sequence, 0);
	gb__tls_way_finish(pool, &way);
	gb__tls_pool_destroy(pool);
}

/* Contexts are fewer than sessions, and what one has sealed another opens. */
TEST(more_sessions_than_contexts_work_in_turn)
{
	enum { COUNT = GB__TLS_SEATS + 20 };
	static struct gb__tls_way to[COUNT], from[COUNT];
	unsigned char secret[48] = { 0 }, bytes[100];
	uint64_t seed = test_seed();
	struct gb__tls_pool *pool;

	CHECK_INT(gb__tls_pool_create(&pool), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		const struct gb__tls_suite *suite = gb__tls_suite_find(suites[i % 3]);

		secret[0] = (unsigned char)i;
		CHECK_INT(gb__tls_way_begin(pool, &to[i], suite, true, secret, 0), 0);
		CHECK_INT(gb__tls_way_begin(pool, &from[i], suite, false, secret, 0), 0);
	}
	for (unsigned round = 0; round < 5 * COUNT; round++) {
		unsigned i = round < 2 * COUNT ? round % COUNT : (unsigned)(test_random(&seed) % COUNT);
		int size = gb__tls_record_seal(pool, &to[i], GB__RECORD_DATA, &round, sizeof(round), bytes);

		CHECK_INT(size, sizeof(round) + GB__RECORD_OVERHEAD);
		CHECK_INT(gb__tls_record_open(pool, &from[i], bytes, (size_t)size), sizeof(round) + 1);
		CHECK(memcmp(bytes + 5, &round, sizeof(round)) == 0);
		if (round == 3 * COUNT)
			gb__tls_pool_trim(pool);
		if (round % 7 == 0) {
			CHECK_INT(gb__tls_way_update(pool, &to[i]), 0);
			CHECK_INT(gb__tls_way_update(pool, &from[i]), 0);
		}
	}
	for (unsigned i = 0; i < COUNT; i++) {
		gb__tls_way_finish(pool, &to[i]);
		gb__tls_way_finish(pool, &from[i]);
	}
	gb__tls_pool_destroy(pool);
}

static void seal_and_open(struct gb__tls_pool *pool, struct gb__tls_way *to, struct gb__tls_way *from)
{
	unsigned char bytes[100];
	int size = gb__tls_record_seal(pool, to, GB__RECORD_DATA, "x", 1, bytes);

	CHECK_INT(gb__tls_record_open(pool, from, bytes, (size_t)size), 2);
	CHECK_INT(bytes[5], 'x');
}

/* Those of sessions that have ended, before new ones are made. */
TEST(contexts_that_were_given_back_are_taken_again)
{
	struct gb__tls_way to[4] = { 0 }, from[4] = { 0 };
	const unsigned char secret[48] = { 1 };
	const struct gb__tls_suite *suite = gb__tls_suite_find(suites[0]);
	struct gb__tls_pool *pool;

	CHECK_INT(gb__tls_pool_create(&pool), 0);
	for (unsigned sessions = 1; sessions <= 4; sessions++) {
		for (unsigned i = 0; i < sessions; i++) {
			CHECK_INT(gb__tls_way_begin(pool, &to[i], suite, true, secret, 0), 0);
			CHECK_INT(gb__tls_way_begin(pool, &from[i], suite, false, secret, 0), 0);
			seal_and_open(pool, &to[i], &from[i]);
		}
		for (unsigned i = 0; i < sessions; i++)
			seal_and_open(pool, &to[i], &from[i]);
		for (unsigned i = 0; i < sessions; i++) {
			gb__tls_way_finish(pool, &to[i]);
			gb__tls_way_finish(pool, &from[i]);
		}
	}
	gb__tls_pool_destroy(pool);
}

static void fill(unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(i * 7 + i / 251);
}

TEST(records_of_all_sizes_arrive_whatever_the_pieces)
{
	static const size_t sizes[] = { 1, 2, 15, 16, 17, 1023, 1024, 4000, 5000, 16383, 16384 };
	static const size_t pieces[] = { 1, 2, 4, 5, 6, 22, 1000, 5000, DRIVER_WIRE_MAX };
	static unsigned char data[100000];

	fill(data, sizeof(data));
	for (size_t suite = 0; suite < 3; suite++)
		for (size_t piece = 0; piece < sizeof(pieces) / sizeof(*pieces); piece++) {
			size_t size = 0;

			begin(true, suites[suite]);
			for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
				record(GB__RECORD_DATA, data + size, sizes[i], 0);
				size += sizes[i];
			}
			CHECK_INT(arrive(pieces[piece]), 0);
			expect_got(data, size);
			CHECK(!driver.session->room);
			driver_end(&driver);
		}
}

/* What answers them is one record as well. */
TEST(short_records_that_came_together_are_read_together)
{
	unsigned char *data;

	begin(true, 0x1301);
	for (unsigned i = 0; i < 10; i++)
		record(GB__RECORD_DATA, "hello", 5, 0);
	driver.session->input = wire;
	driver.session->input_size = wire_size;
	CHECK_INT(gb__tls_traffic_read(driver.session, &data), 50);
	CHECK(memcmp(data, "hellohellohello", 15) == 0);
	CHECK_INT(gb__tls_traffic_read(driver.session, &data), 0);
	driver_end(&driver);
}

TEST(padding_is_taken_away)
{
	static unsigned char data[16384];

	begin(true, 0x1302);
	record(GB__RECORD_DATA, "abc", 3, 1);
	record(GB__RECORD_DATA, "", 0, 100);
	record(GB__RECORD_DATA, "def\0\0", 5, 1000);
	record(GB__RECORD_DATA, "g", 1, 16383);
	CHECK_INT(arrive(777), 0);
	expect_got("abcdef\0\0g", 9);
	record(GB__RECORD_DATA, data, sizeof(data), 0);
	CHECK_INT(arrive(DRIVER_WIRE_MAX), 0);
	CHECK_INT(got_size, sizeof(data));
	driver_end(&driver);
}

TEST(more_than_a_record_may_hold_is_refused)
{
	static unsigned char data[16386];

	begin(true, 0x1301);
	record(GB__RECORD_DATA, data, 16384, 1);
	CHECK(arrive(1000) < 0);
	expect_refused("data length too long", SSL_AD_RECORD_OVERFLOW);
	begin(true, 0x1301);
	record(GB__RECORD_DATA, data, 16385, 0);
	CHECK(arrive(1000) < 0);
	expect_refused("data length too long", SSL_AD_RECORD_OVERFLOW);
	/* Said by the header alone. */
	begin(true, 0x1301);
	memcpy(wire, "\x17\x03\x03\x41\x01", 5);
	wire_size = 5;
	CHECK(arrive(1) < 0);
	expect_refused("encrypted length too long", SSL_AD_RECORD_OVERFLOW);
}

TEST(headers_that_are_none_are_refused)
{
	static const struct {
		const char *header, *problem;
		unsigned char alert;
	} cases[] = { { "\x16\x03\x03\x00\x20", "bad record type", SSL_AD_UNEXPECTED_MESSAGE },
		{ "\x14\x03\x03\x00\x01", "bad record type", SSL_AD_UNEXPECTED_MESSAGE },
		{ "\x15\x03\x03\x00\x02", "bad record type", SSL_AD_UNEXPECTED_MESSAGE },
		{ "\x00\x03\x03\x00\x20", "bad record type", SSL_AD_UNEXPECTED_MESSAGE },
		{ "\x17\x02\x03\x00\x20", "wrong version number", SSL_AD_DECODE_ERROR },
		{ "\x17\x03\x01\x00\x20", "wrong version number", SSL_AD_DECODE_ERROR } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (size_t piece = 1; piece < 6; piece++) {
			begin(true, 0x1303);
			record(GB__RECORD_DATA, "before", 6, 0);
			memcpy(wire + wire_size, cases[i].header, 5);
			wire_size += 5;
			CHECK(arrive(piece) < 0);
			expect_got("before", 6);
			expect_refused(cases[i].problem, cases[i].alert);
		}
}

TEST(a_byte_that_was_changed_anywhere_is_noticed)
{
	static const char words[] = "these words are not to be changed by anybody";
	const size_t size = sizeof(words) + GB__RECORD_OVERHEAD;

	for (size_t suite = 0; suite < 3; suite++)
		for (size_t at = 0; at < size; at++) {
			begin(true, suites[suite]);
			record(GB__RECORD_DATA, words, sizeof(words), 0);
			CHECK_INT(wire_size, size);
			wire[at] ^= 0x10;
			/* Of another length, it may be incomplete. */
			wire_size += at == 3 || at == 4 ? 8192 : 0;
			CHECK(arrive(DRIVER_WIRE_MAX) < 0);
			CHECK_INT(got_size, 0);
			CHECK(driver.session->failed && driver.out_size > 0);
			if (at > 2)
				expect_refused("decryption failed or bad record mac", SSL_AD_BAD_RECORD_MAC);
			else
				driver_end(&driver);
		}
}

TEST(records_that_are_repeated_left_out_or_swapped_are_noticed)
{
	for (unsigned what = 0; what < 3; what++) {
		size_t first, second;

		begin(true, 0x1301);
		record(GB__RECORD_DATA, "first!", 6, 0);
		first = wire_size;
		record(GB__RECORD_DATA, "second", 6, 0);
		second = wire_size - first;
		if (what == 0)
			memcpy(wire + first, wire, second);
		else
			memmove(wire, wire + first, second);
		if (what == 1)
			wire_size = second;
		CHECK(arrive(7) < 0);
		CHECK_INT(got_size, what == 0 ? 6 : 0);
		expect_refused("decryption failed or bad record mac", SSL_AD_BAD_RECORD_MAC);
	}
}

TEST(records_too_short_for_a_tag_are_noticed)
{
	for (unsigned char size = 0; size < 17; size++) {
		begin(true, 0x1301);
		memcpy(wire, "\x17\x03\x03\x00", 4);
		wire[4] = size;
		memset(wire + 5, 1, size);
		wire_size = 5u + size;
		CHECK(arrive(DRIVER_WIRE_MAX) < 0);
		expect_refused("decryption failed or bad record mac", SSL_AD_BAD_RECORD_MAC);
	}
}

TEST(a_record_without_a_type_is_refused)
{
	static const unsigned char types[] = { 0, 20, 24, 255 };

	for (size_t i = 0; i < sizeof(types); i++) {
		begin(true, 0x1301);
		record(types[i], types[i] ? "x" : "", types[i] != 0, 3);
		CHECK(arrive(4) < 0);
		expect_refused("bad record type", SSL_AD_UNEXPECTED_MESSAGE);
	}
}

TEST(close_notify_is_an_end_and_nothing_behind_it_counts)
{
	begin(true, 0x1301);
	record(GB__RECORD_DATA, "last", 4, 0);
	record(GB__RECORD_ALERT, "\x01\x00", 2, 5);
	record(GB__RECORD_DATA, "more", 4, 0);
	CHECK_INT(arrive(9), 0);
	expect_got("last", 4);
	CHECK(driver.session->ended && !driver.session->failed);
	CHECK_INT(gb__tls_traffic_write(driver.session, "the other way goes on", 21), 21);
	CHECK(driver.out_size > 21);
	driver_end(&driver);
}

TEST(alerts_are_told_and_not_answered)
{
	static const struct {
		unsigned char level, alert;
		const char *problem;
	} cases[] = { { 2, 20, "the peer says: bad record mac" }, { 1, 20, "the peer says: bad record mac" },
		{ 2, 116, "the peer says: certificate required" },
		{ 2, 80, "the peer says: internal error" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(true, 0x1301);
		record(GB__RECORD_ALERT, "\x01\x5a", 2, 0); /* user_canceled says nothing */
		record(GB__RECORD_DATA, "x", 1, 0);
		record(GB__RECORD_ALERT, (unsigned char[]){ cases[i].level, cases[i].alert }, 2, 0);
		CHECK(arrive(DRIVER_WIRE_MAX) < 0);
		expect_got("x", 1);
		CHECK_STR(driver.session->problem, cases[i].problem);
		CHECK_INT(driver.out_size, 0);
		driver_end(&driver);
	}
	for (size_t size = 0; size < 4; size += size == 1 ? 2 : 1) {
		begin(true, 0x1301);
		record(GB__RECORD_ALERT, "\x01\x00\x00", size, 0);
		CHECK(arrive(3) < 0);
		expect_refused(size ? "invalid alert" : "bad length", SSL_AD_UNEXPECTED_MESSAGE);
	}
}

static void key_update(unsigned char asks)
{
	record(GB__RECORD_HANDSHAKE, (unsigned char[]){ 24, 0, 0, 1, asks }, 5, 0);
	driver_update(&driver.to);
}

/* What was emitted is KeyUpdate that asks for nothing; what follows has other keys. */
static void expect_update(void)
{
	unsigned char said[100], type;

	CHECK_INT(driver_emitted(&driver, said, &type), 5);
	CHECK_INT(type, GB__RECORD_HANDSHAKE);
	CHECK(memcmp(said, "\x18\x00\x00\x01\x00", 5) == 0);
	driver_update(&driver.from);
}

static void expect_written(const char *text)
{
	unsigned char said[100], type;

	CHECK_INT(gb__tls_traffic_write(driver.session, text, strlen(text)), strlen(text));
	CHECK_INT(driver_emitted(&driver, said, &type), strlen(text));
	CHECK_INT(type, GB__RECORD_DATA);
	CHECK(memcmp(said, text, strlen(text)) == 0);
}

TEST(keys_are_updated_by_the_peer_and_an_answer_is_sent_if_it_asks)
{
	for (size_t suite = 0; suite < 3; suite++)
		for (size_t piece = 1; piece < 30; piece += 4) {
			begin(suite == 1, suites[suite]);
			record(GB__RECORD_DATA, "a", 1, 0);
			key_update(0);
			record(GB__RECORD_DATA, "b", 1, 0);
			CHECK_INT(arrive(piece), 0);
			CHECK_INT(driver.out_size, 0);
			expect_written("old keys");
			key_update(1);
			record(GB__RECORD_DATA, "c", 1, 0);
			CHECK_INT(arrive(piece), 0);
			expect_update();
			expect_written("new keys");
			expect_got("abc", 3);
			driver_end(&driver);
		}
}

TEST(several_key_updates_at_once_have_one_answer)
{
	begin(true, 0x1301);
	for (unsigned i = 0; i < 50; i++)
		key_update(1);
	record(GB__RECORD_DATA, "x", 1, 0);
	CHECK_INT(arrive(DRIVER_WIRE_MAX), 0);
	expect_got("x", 1);
	expect_update();
	driver_end(&driver);
}

TEST(nothing_is_sent_behind_our_close_notify)
{
	begin(true, 0x1301);
	driver.session->closed = true;
	key_update(1);
	CHECK_INT(arrive(DRIVER_WIRE_MAX), 0);
	CHECK_INT(driver.out_size, 0);
	record(99, "x", 1, 0);
	CHECK(arrive(DRIVER_WIRE_MAX) < 0);
	CHECK_INT(driver.out_size, 0);
	driver_end(&driver);
}

TEST(keys_of_ours_are_updated_before_they_have_sealed_too_much)
{
	begin(true, 0x1301);
	driver.pool->update_after = 3;
	for (unsigned i = 0; i < 3; i++)
		expect_written("a record");
	CHECK_INT(gb__tls_traffic_write(driver.session, "more", 4), 4);
	CHECK_INT(driver.out_size, 5 + GB__RECORD_OVERHEAD + 4 + GB__RECORD_OVERHEAD);
	driver.out_size -= 4 + GB__RECORD_OVERHEAD;
	expect_update();
	CHECK_INT(driver.session->out.sequence, 1);
	driver_end(&driver);
}

TEST(a_message_may_come_in_pieces_and_nothing_between_them)
{
	static const unsigned char update[] = { 24, 0, 0, 1, 1 };

	begin(true, 0x1301);
	for (unsigned i = 0; i < 5; i++)
		record(GB__RECORD_HANDSHAKE, update + i, 1, i);
	driver_update(&driver.to);
	record(GB__RECORD_DATA, "x", 1, 0);
	CHECK_INT(arrive(11), 0);
	expect_got("x", 1);
	expect_update();
	record(GB__RECORD_HANDSHAKE, update, 4, 0);
	record(GB__RECORD_DATA, "x", 1, 0);
	CHECK(arrive(11) < 0);
	expect_refused("unexpected record", SSL_AD_UNEXPECTED_MESSAGE);
}

TEST(messages_that_nobody_may_send_are_refused)
{
	static const struct {
		bool server;
		size_t size;
		const char *bytes, *problem;
		unsigned char alert;
	} cases[] = { { true, 5, "\x18\0\0\1\2", "bad key update", SSL_AD_ILLEGAL_PARAMETER },
		{ true, 6, "\x18\0\0\1\0\0", "not on record boundary", SSL_AD_UNEXPECTED_MESSAGE },
		{ true, 10, "\x18\0\0\1\0\x18\0\0\1\0", "not on record boundary", SSL_AD_UNEXPECTED_MESSAGE },
		{ true, 4, "\x18\0\0\0", "bad key update", SSL_AD_DECODE_ERROR },
		{ true, 6, "\x18\0\0\2\0\0", "excessive message size", SSL_AD_ILLEGAL_PARAMETER },
		{ true, 4, "\x18\xff\xff\xff", "excessive message size", SSL_AD_ILLEGAL_PARAMETER },
		{ true, 5, "\1\0\0\1\0", "unexpected message", SSL_AD_UNEXPECTED_MESSAGE },
		{ true, 5, "\4\0\0\1\0", "unexpected message", SSL_AD_UNEXPECTED_MESSAGE },
		{ false, 5, "\1\0\0\1\0", "unexpected message", SSL_AD_UNEXPECTED_MESSAGE },
		{ false, 5, "\x0d\0\0\1\0", "unexpected message", SSL_AD_UNEXPECTED_MESSAGE },
		{ false, 4, "\4\x02\x01\x0b", "excessive message size", SSL_AD_ILLEGAL_PARAMETER },
		{ true, 0, "", "bad length", SSL_AD_UNEXPECTED_MESSAGE } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(cases[i].server, 0x1301);
		record(GB__RECORD_HANDSHAKE, cases[i].bytes, cases[i].size, 0);
		CHECK(arrive(DRIVER_WIRE_MAX) < 0);
		expect_refused(cases[i].problem, cases[i].alert);
	}
}

/* Which came too late for OpenSSL. */
TEST(a_client_passes_over_tickets)
{
	static unsigned char ticket[40000] = { 4, 0, 0x75, 0x30 };
	static const size_t pieces[] = { 1, 3, 4, 100, 16000 };

	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		begin(false, 0x1302);
		for (size_t at = 0; at < 30004; at += pieces[i]) {
			size_t left = 30004 - at;

			record(GB__RECORD_HANDSHAKE, ticket + at, left < pieces[i] ? left : pieces[i], 0);
			CHECK_INT(arrive(DRIVER_WIRE_MAX), 0);
			driver.session->silent = 0; /* it is no flood here */
		}
		record(GB__RECORD_HANDSHAKE, "\4\0\0\0\4\0\0\1\xff", 9, 0);
		key_update(1);
		record(GB__RECORD_DATA, "x", 1, 0);
		CHECK_INT(arrive(7), 0);
		expect_got("x", 1);
		expect_update();
		driver_end(&driver);
	}
}

TEST(records_without_data_and_no_end_are_a_flood)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		begin(true, 0x1301);
		for (unsigned i = 0; i < 2 * GB__TLS_SILENT_MAX; i++) {
			if (i == GB__TLS_SILENT_MAX)
				record(GB__RECORD_DATA, "x", 1, 0); /* then it begins anew */
			if (kind == 0)
				key_update(0);
			else
				record(kind == 1 ? GB__RECORD_DATA : GB__RECORD_ALERT, "\1\x5a",
					kind == 1 ? 0 : 2, 0);
		}
		CHECK_INT(arrive(1000), 0);
		expect_got("x", 1);
		key_update(0);
		CHECK(arrive(1000) < 0);
		expect_refused("the peer sends records without data and no end", SSL_AD_UNEXPECTED_MESSAGE);
	}
}

/* A subscriber, say, for days. */
TEST(who_only_listens_may_update_keys_any_number_of_times)
{
	begin(true, 0x1301);
	for (unsigned i = 0; i < 4 * GB__TLS_SILENT_MAX; i++) {
		key_update(1);
		CHECK_INT(arrive(1000), 0);
		expect_update();
		CHECK_INT(gb__tls_session_write(driver.session, "news", 4), 4);
		driver.from.sequence++;
		driver.out_size = 0;
	}
	driver_end(&driver);
}

/* What has arrived before the fault is read before it. */
TEST(bytes_before_a_fault_are_read)
{
	begin(true, 0x1301);
	record(GB__RECORD_DATA, "good", 4, 0);
	record(GB__RECORD_DATA, "bad", 3, 0);
	wire[wire_size - 1] ^= 1;
	CHECK(arrive(DRIVER_WIRE_MAX) < 0);
	expect_got("good", 4);
	expect_refused("decryption failed or bad record mac", SSL_AD_BAD_RECORD_MAC);
}

TEST(what_cannot_be_emitted_or_kept_ends_the_session)
{
	begin(true, 0x1301);
	driver.refuse = -EPIPE;
	CHECK_INT(gb__tls_traffic_write(driver.session, "no", 2), -EPIPE);
	CHECK(driver.session->failed && driver.session->problem);
	driver_end(&driver);
	begin(true, 0x1301);
	record(GB__RECORD_DATA, "half", 4, 0);
	wire_size = 10;
	gb__alloc_fail_at(1);
	CHECK(arrive(DRIVER_WIRE_MAX) < 0);
	CHECK(driver.session->failed && driver.session->problem);
	driver_end(&driver);
}
