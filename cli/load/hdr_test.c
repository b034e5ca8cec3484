#include "load/base64.h"
#include "load/hdr.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

static struct histogram a, b;

/* Of HdrHistogram_c's own tests: 1000 ten thousand times and 100000000 once, with three digits. */
#define OF_THREE_DIGITS "HISTFAAAACl4nJNpmSzMwMBgyAABzFCaEURcm7yEwf4DROA8/4I5jNM7mJgAlWkH9g=="

static uint64_t quantile(const char *text, unsigned ten_thousandths)
{
	struct gb_error error;

	gb__histogram_init(&a);
	CHECK_INT(gb__hdr_decode(text, &a, &error), 0);
	return gb__histogram_quantile(&a, ten_thousandths);
}

static void check_near(uint64_t got, uint64_t expected)
{
	CHECK(got >= expected && got - expected <= expected / 64);
}

TEST(what_other_implementations_wrote_is_read)
{
	check_near(quantile(OF_THREE_DIGITS, 5000), 1000);
	check_near(quantile(OF_THREE_DIGITS, 9999), 1000);
	check_near(quantile(OF_THREE_DIGITS, 10000), 100000000);
	CHECK_INT(a.count, 10001);
	/* Three values of the Java library's (1, 1024, 3), with exact buckets. */
	CHECK_INT(quantile("HISTFAAAACV4nJNpmSzMwMDAwQABzFCaEUrp2H+AsI4zMh1lZEpkAgBdIQSk", 1), 100);
	CHECK_INT(gb__histogram_quantile(&a, 5000), 200);
	CHECK_INT(gb__histogram_quantile(&a, 10000), 250);
	/* Of jHiccup's log, with two digits and a unit of 20 microseconds: its Interval_Max is 2.769 ms. */
	check_near(
		quantile(
			"HISTFAAAAEV42pNpmSzMwMCgyAABTBDKT4GBgdnNYMcCBvsPEBEJISEuATEZMQ4uASkhIR4nrxg9v2lMaxhvMek"
			"ILGZkKmcCAEf2CsI=",
			10000),
		2760000);
}

TEST(what_is_written_is_read_back_bucket_by_bucket)
{
	uint64_t state = test_seed();
	struct gb_error error;
	char *text;

	gb__histogram_init(&a);
	gb__histogram_init(&b);
	for (unsigned i = 0; i < 20000; i++)
		gb__histogram_add(&a, test_random(&state) >> (2 + test_random(&state) % 61));
	gb__histogram_add_many(&a, 77, UINT64_C(1) << 40);
	text = gb__hdr_encode(&a);
	CHECK(text != NULL);
	CHECK_INT(gb__hdr_decode(text, &b, &error), 0);
	CHECK(memcmp(a.buckets, b.buckets, sizeof(a.buckets)) == 0);
	CHECK(a.count == b.count);
	/* Reading adds. */
	CHECK_INT(gb__hdr_decode(text, &b, &error), 0);
	CHECK(b.count == 2 * a.count);
	free(text);
}

TEST(an_empty_histogram_is_one)
{
	struct gb_error error;
	char *text;

	gb__histogram_init(&a);
	text = gb__hdr_encode(&a);
	CHECK_INT(gb__hdr_decode(text, &a, &error), 0);
	CHECK_INT(a.count, 0);
	free(text);
}

TEST(anything_else_is_refused_and_adds_nothing)
{
	static const char *const wrong[] = { "", "HIST", "no base64", "HISTFAAAACl4nJNpmSzMwMBgyAABzFCaEURc=",
		"HISTFAAAACh4nJNpmSzMwMBgyAABzFCaEURcm7yEwf4DROA8/4I5jNM7mJgAlWkH9g==",
		"AISTFAAAACl4nJNpmSzMwMBgyAABzFCaEURcm7yEwf4DROA8/4I5jNM7mJgAlWkH9g==" };
	struct gb_error error;
	unsigned char *data;
	size_t size;

	gb__histogram_init(&a);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_INT(gb__hdr_decode(wrong[i], &a, &error), -GB_EUSAGE);
	/* Any byte of a right one changed: refused, or read as something; nothing worse. */
	CHECK_INT(gb__base64_decode(OF_THREE_DIGITS, strlen(OF_THREE_DIGITS), &data, &size), 0);
	for (size_t i = 0; i < size; i++) {
		char *text;

		data[i] ^= 0x55;
		text = gb__base64_encode(data, size);
		data[i] ^= 0x55;
		gb__hdr_decode(text, &b, &error);
		free(text);
	}
	free(data);
	CHECK_INT(a.count, 0);
}

TEST(base64_of_every_length)
{
	static const char *const texts[] = { "", "Zg==", "Zm8=", "Zm9v",
		"Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }; /* RFC 4648, 10 */

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char *text = gb__base64_encode((const unsigned char *)"foobar", i);
		unsigned char *data;
		size_t size;

		CHECK_STR(text, texts[i]);
		CHECK_INT(gb__base64_decode(text, strlen(text), &data, &size), 0);
		CHECK_INT(size, i);
		CHECK(memcmp(data, "foobar", i) == 0);
		free(data);
		free(text);
	}
}
