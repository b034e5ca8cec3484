/*
 * Records of TLS 1.3 after the handshake. They are no codec, so this target has a body of its own.
 *
 * An input is: one byte for role and cipher, two for the size of the pieces that arrive, and what the peer does: records of any
 * type with any content, some with padding, bytes that were changed, bytes that are no record. However it is cut, the session
 * reads what the peer below has said, which is written from RFC 8446, and ends as that one expects; what it emits are records
 * that can be opened, with keys that it has said to have updated, and the last is an alert where it was the one to refuse.
 */
#include "tls/records_test_driver.h"

#include "fuzz.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_MAX (128u << 10)
#define PIECES_MAX 400u

static const struct gb_codec_ops named = { .name = "records" };
static const char alphabet[] = "\x16\x15\x17\x18\0\0\1\0\1\2\3\4\5\6\7\x14\x5a";
const struct fuzz_codec fuzz_codec = {
	.ops = &named, .alphabet = alphabet, .alphabet_size = sizeof(alphabet) - 1
};

/* What the peer has said, as somebody reads it who gets whole records. */
static struct expected {
	unsigned char data[WIRE_MAX], message[WIRE_MAX];
	size_t size, message_size;
	unsigned silent;
	bool server, ended, refused, told; /* by an alert of ours, by one of its */
	bool wild;                         /* it is no TLS from here on */
} expected;
static unsigned char wire[WIRE_MAX], got[WIRE_MAX];
static size_t wire_size, got_size;
static struct driver driver;

unsigned fuzz_take(struct fuzz_source *source)
{
	if (source->size == 0)
		return 0;
	source->size--;
	return *source->data++;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "records: %s, of the wire ", what);
	for (size_t i = 0; i < wire_size; i++)
		fprintf(stderr, "%02x", wire[i]);
	fputc('\n', stderr);
	abort();
}

/* Without the harness. */
__attribute__((weak)) void test_fail(const char *file, int line, const char *format, ...)
{
	(void)file, (void)line;
	fail(format);
}

static bool over(void)
{
	return expected.ended || expected.refused || expected.told || expected.wild;
}

/* Messages are bytes; `left` of this record come behind them. */
static void expect_messages(size_t left)
{
	const unsigned char *m = expected.message;
	const size_t size = expected.message_size < 4 ? 0 : (size_t)m[1] << 16 | (size_t)m[2] << 8 | m[3];

	if (expected.message_size < 4)
		return;
	if (m[0] != 24) {
		expected.refused = expected.refused || m[0] != 4 || expected.server || size > 131338;
	} else if (size != 1 || (expected.message_size == 5 && (m[4] > 1 || left > 0))) {
		expected.refused = true;
	} else if (expected.message_size == 5) {
		driver_update(&driver.to);
	}
	if (expected.message_size == 4 + size)
		expected.message_size = 0;
}

static void expect(unsigned type, const unsigned char *data, size_t size)
{
	if (over())
		return;
	if (type == 23 && size > 0)
		expected.silent = 0;
	else if (++expected.silent > GB__TLS_SILENT_MAX)
		expected.refused = true;
	if (type < 21 || type > 23 || (type != 22 && expected.message_size > 0) || (type != 23 && size == 0))
		expected.refused = true;
	if (expected.refused)
		return;
	if (type == 23) {
		memcpy(expected.data + expected.size, data, size);
		expected.size += size;
	} else if (type == 21) {
		expected.refused = size != 2;
		expected.ended = size == 2 && data[1] == 0;
		expected.told = size == 2 && data[1] != 0 && data[1] != 90;
	}
	for (size_t i = 0; type == 22 && i < size && !expected.refused; i++) {
		expected.message[expected.message_size++] = data[i];
		expect_messages(size - i - 1);
	}
}

static void send_record(struct fuzz_source *source, unsigned type, size_t size, size_t padding)
{
	unsigned char inner[700] = { 0 };

	for (size_t i = 0; i < size; i++)
		inner[i] = (unsigned char)fuzz_take(source);
	inner[size] = (unsigned char)type;
	wire_size += driver_seal(&driver.to, inner, size + 1 + padding, wire + wire_size);
	while (size > 0 && inner[size] == 0)
		size--; /* a type 0 is padding */
	expect(inner[size], inner, size);
}

/* One thing that the peer does. */
static void act(struct fuzz_source *source)
{
	const unsigned what = fuzz_take(source), many = fuzz_take(source);
	const size_t before = wire_size;

	switch (what % 8) {
	case 0:
		send_record(source, 23, many, 0);
		break;
	case 1:
		send_record(source, 23, many % 16, fuzz_take(source));
		break;
	case 2:
		send_record(source, 22, many % 9, many / 64);
		break;
	case 3:
		send_record(&(struct fuzz_source){ (const uint8_t[]){ 24, 0, 0, 1, many % 2 }, 5 }, 22, 5,
			many / 16);
		break;
	case 4:
		send_record(source, 21, many % 4, 0);
		break;
	case 5:
		send_record(source, many, 3, 0);
		break;
	case 6: /* changed on its way */
		expected.wild = true;
		send_record(source, 23, 1, 0);
		wire[before + 5 + many % 18] ^= (unsigned char)(1u << many % 8);
		break;
	default:
		for (unsigned i = 0; i < many % 8 + 1; i++)
			wire[wire_size++] = (unsigned char)fuzz_take(source);
		expected.wild = true;
	}
}

/* All that was emitted can be opened, in order. Returns whether an alert was last. */
static bool open_emitted(void)
{
	bool alert = false;

	for (size_t at = 0; at < driver.out_size;) {
		const size_t size = 5 + ((size_t)driver.out[at + 3] << 8 | driver.out[at + 4]);
		unsigned char inner[64];
		const size_t held = size > 64 ? 0 : driver_open(&driver.from, driver.out + at, size, inner);

		if (alert || held == 0 || at + size > driver.out_size)
			fail("what is emitted is no record");
		if (inner[held - 1] == 22 && (held != 6 || memcmp(inner, "\x18\0\0\1\0", 5) != 0))
			fail("another message than KeyUpdate is emitted");
		if (inner[held - 1] == 22)
			driver_update(&driver.from);
		alert = inner[held - 1] == 21;
		if (alert && (held != 3 || inner[0] != 2 || !driver.session->failed))
			fail("an alert that is none");
		at += size;
	}
	return alert;
}

static void judge(int result)
{
	const bool alert = open_emitted();

	if (got_size < expected.size || (got_size > expected.size && !expected.wild) ||
		memcmp(got, expected.data, expected.size) != 0)
		fail("other bytes are read than were sent");
	if ((result < 0) != driver.session->failed || (driver.session->failed && !driver.session->problem))
		fail("it fails without a reason");
	if (expected.refused != alert && !expected.wild)
		fail("an alert is sent without need, or is not");
	if (driver.session->failed != (expected.refused || expected.told) && !expected.wild)
		fail("it fails where it must not, or does not");
	if (driver.session->ended != expected.ended && !expected.wild)
		fail("an end is seen that is none, or is not");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_source source = { data, size };
	const unsigned kind = fuzz_take(&source);
	size_t piece = fuzz_take(&source) + 256u * (fuzz_take(&source) % 4);
	int result;

	driver_begin(&driver, kind & 1, (uint16_t)(0x1301 + kind / 2 % 3));
	wire_size = got_size = 0;
	expected.size = expected.message_size = expected.silent = 0;
	expected.server = kind & 1;
	expected.ended = expected.refused = expected.told = expected.wild = false;
	while (source.size > 0 && wire_size < WIRE_MAX - 2000 && !expected.wild)
		act(&source);
	piece = piece < 1 + wire_size / PIECES_MAX ? 1 + wire_size / PIECES_MAX : piece;
	result = driver_feed(&driver, wire, wire_size, piece, got, &got_size);
	judge(result);
	driver_end(&driver);
	return 0;
}
