/* Files with keys: what tools write is read, and what is wrong is said without the secret. */
#include "announce/key.h"

#include "harness.h"

#include <strings.h>
#include <unistd.h>

#define SECRET "Wg2SpCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM="

static void check_read(const char *text)
{
	struct gb__dns_key key;
	struct gb_error error = { 0 };

	if (gb__dns_key_parse(text, "file", &key, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
	CHECK_STR(key.name, "host.example");
	CHECK_STR(key.algorithm, "hmac-sha256.");
	CHECK_STR(key.secret, SECRET);
	gb__dns_key_finish(&key);
	CHECK_INT(key.secret[0], 0);
}

TEST(keys_are_read_as_tools_write_them)
{
	check_read("key \"host.example\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET "\";\n};\n");
	check_read("key host.example. { secret " SECRET "; algorithm HMAC-SHA256; };");
	check_read("# of BIND\n/* by\nhand */ key \"host.example\" { secret \"" SECRET "\"; } // the end");
	check_read("hmac-sha256:host.example:" SECRET "\n");
	check_read("host.example:" SECRET);
}

TEST(algorithms_are_those_of_the_key)
{
	static const char *const all[] = { "hmac-sha1", "hmac-sha256", "HMAC-SHA384", "hmac-sha512" };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		char text[128];
		struct gb__dns_key key;

		snprintf(text, sizeof(text), "%s:host.example:" SECRET, all[i]);
		CHECK_INT(gb__dns_key_parse(text, "file", &key, NULL), 0);
		CHECK(strncasecmp(key.algorithm, all[i], strlen(all[i])) == 0);
		gb__dns_key_finish(&key);
	}
}

static void check_refused(const char *text, const char *said)
{
	struct gb__dns_key key = { .name = "as before" };
	struct gb_error error = { 0 };

	CHECK_INT(gb__dns_key_parse(text, "file", &key, &error), -GB_EUSAGE);
	CHECK_STR(key.name, "as before");
	if (!strstr(error.text, said) || strstr(error.text, "Wg2S"))
		test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
}

TEST(what_is_no_key_is_told)
{
	char text[2048] = "key a { secret \"";

	check_refused("", "no key");
	check_refused("options { };", "no key");
	check_refused("key", "no name");
	check_refused("key { };", "\"{\"");
	check_refused("key a b", "\"{\"");
	check_refused("key a { secret", "without a value");
	check_refused("key a { secret; };", "without a value");
	check_refused("key a { secret \"" SECRET "\"", "\";\"");
	check_refused("key a { secret \"" SECRET "\";", "\"}\"");
	check_refused("key a { port 1; };", "neither");
	check_refused("key a { };", "no secret");
	check_refused("key a { secret \"Wg2S!\"; };", "base64");
	check_refused("key a { secret \"Wg2Sx\"; };", "base64");
	check_refused("key \"a b\" { secret \"" SECRET "\"; };", "domain name");
	check_refused("key a { algorithm hmac-md5; secret \"" SECRET "\"; };", "hmac-sha512");
	check_refused("hmac-sha3:a:" SECRET, "hmac-sha512");
	memset(text + strlen(text), 'A', 1024);
	strcat(text, "\"; };");
	check_refused(text, "too long");
}

TEST(files_are_read_or_their_error_is_told)
{
	struct gb__dns_key key;
	struct gb_error error = { 0 };
	char path[] = "/tmp/key-test-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, "host.example:" SECRET "\n", 14 + strlen(SECRET)), 14 + strlen(SECRET));
	CHECK_INT(gb__dns_key_load(path, &key, &error), 0);
	CHECK_STR(key.name, "host.example");
	CHECK_INT(write(fd, "\0", 1), 1);
	CHECK_INT(gb__dns_key_load(path, &key, &error), -GB_EUSAGE);
	close(fd);
	unlink(path);
	CHECK(gb__dns_key_load(path, &key, &error) < 0);
	CHECK(strstr(error.text, path));
}
