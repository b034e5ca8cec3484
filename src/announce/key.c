#include "announce/key.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX 16384u

struct reader {
	const char *at;
	char word[512]; /* the last one: a word, a quoted text, or one of "{};" */
	bool cut;       /* one did not fit */
};

static void skip(struct reader *reader)
{
	for (;;) {
		reader->at += strspn(reader->at, " \t\r\n");
		if (*reader->at == '#' || strncmp(reader->at, "//", 2) == 0) {
			reader->at += strcspn(reader->at, "\n");
		} else if (strncmp(reader->at, "/*", 2) == 0) {
			const char *close = strstr(reader->at + 2, "*/");

			reader->at = close ? close + 2 : reader->at + strlen(reader->at);
		} else {
			return;
		}
	}
}

static bool next(struct reader *reader)
{
	const char *begin;
	size_t size;

	skip(reader);
	begin = reader->at;
	if (!*begin)
		return false;
	if (*begin == '"') {
		begin++;
		size = strcspn(begin, "\"\n");
		reader->at = begin + size + (begin[size] == '"');
	} else {
		size = strchr("{};", *begin) ? 1 : strcspn(begin, " \t\r\n{};\"");
		reader->at = begin + size;
	}
	reader->cut |= size >= sizeof(reader->word);
	snprintf(reader->word, sizeof(reader->word), "%.*s", (int)size, begin);
	return true;
}

static bool next_is(struct reader *reader, const char *word)
{
	return next(reader) && strcmp(reader->word, word) == 0;
}

static int copy(char *to, size_t size, const char *from, bool closed)
{
	int length = snprintf(to, size, "%s%s", from, closed ? "." : "");

	return length > 0 && (size_t)length < size ? 0 : -GB_EUSAGE;
}

static int refuse(const char *what, const char *why, struct gb_error *error)
{
	return gb_error_set(error, -GB_EUSAGE,
		"%s: %s; a key looks like: key \"name\" { algorithm hmac-sha256; secret \"…\"; };", what,
		why);
}

/* Of RFC 8945, 6, what may be used; whether ldns knows it is asked later. */
static bool is_signed_with(const char *algorithm)
{
	static const char *const all[] = { "hmac-sha256.", "hmac-sha384.", "hmac-sha512.", "hmac-sha1." };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strcmp(algorithm, all[i]) == 0)
			return true;
	return false;
}

/* What is whole is looked at. */
static int check(struct gb__dns_key *key, const char *what, struct gb_error *error)
{
	size_t size = strlen(key->name);

	while (size > 0 && key->name[size - 1] == '.')
		key->name[--size] = '\0';
	if (!*key->name ||
		strspn(key->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
			size)
		return refuse(what, "the name of the key is no domain name", error);
	for (char *letter = key->algorithm; *letter; letter++)
		*letter = (char)tolower((unsigned char)*letter);
	if (!*key->algorithm)
		snprintf(key->algorithm, sizeof(key->algorithm), "hmac-sha256.");
	if (!is_signed_with(key->algorithm))
		return gb_error_set(error, -GB_EUSAGE,
			"%s: key \"%s\" is for %.*s, and hmac-sha256, hmac-sha384, hmac-sha512 and hmac-sha1 are signed with: make one by `tsig-keygen -a hmac-sha256 %s`",
			what, key->name, (int)strlen(key->algorithm) - 1, key->algorithm, key->name);
	size = strlen(key->secret);
	if (size == 0)
		return refuse(what, "the key has no secret", error);
	if (size % 4 ||
		strspn(key->secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") !=
			size ||
		strcspn(key->secret, "=") < size - 2)
		return refuse(what, "the secret is no base64", error);
	return 0;
}

static int parse_block(
	struct reader *reader, const char *what, struct gb__dns_key *key, struct gb_error *error)
{
	if (!next(reader) || copy(key->name, sizeof(key->name), reader->word, false) < 0)
		return refuse(what, "the key has no name, or too long a one", error);
	if (!next_is(reader, "{"))
		return refuse(what, "no \"{\" behind the name of the key", error);
	while (next(reader) && strcmp(reader->word, "}") != 0) {
		const bool algorithm = strcasecmp(reader->word, "algorithm") == 0;
		int result;

		if (!algorithm && strcasecmp(reader->word, "secret") != 0)
			return refuse(what, "something in it is neither algorithm nor secret", error);
		if (!next(reader) || strchr("{};", *reader->word))
			return refuse(what, "algorithm or secret without a value", error);
		result = algorithm ? copy(key->algorithm, sizeof(key->algorithm), reader->word, true)
				   : copy(key->secret, sizeof(key->secret), reader->word, false);
		if (result < 0 || reader->cut)
			return refuse(what, "a value in it is empty or too long", error);
		if (!next_is(reader, ";"))
			return refuse(what, "a \";\" is missing", error);
	}
	if (strcmp(reader->word, "}") != 0)
		return refuse(what, "a \"}\" is missing", error);
	return 0;
}

/* hmac-sha256:name:secret, or without the first. */
static int parse_line(const char *line, const char *what, struct gb__dns_key *key, struct gb_error *error)
{
	const char *rest = line, *last = strrchr(line, ':');
	const char *first = strchr(line, ':');
	char word[GB__DNS_NAME];

	if (!last)
		return refuse(what, "it holds no key", error);
	if (first != last) {
		snprintf(word, sizeof(word), "%.*s", (int)(first - line), line);
		if (copy(key->algorithm, sizeof(key->algorithm), word, true) < 0)
			return refuse(what, "the algorithm is none", error);
		rest = first + 1;
	}
	snprintf(word, sizeof(word), "%.*s", (int)(last - rest), rest);
	if (copy(key->name, sizeof(key->name), word, false) < 0 ||
		copy(key->secret, sizeof(key->secret), last + 1, false) < 0)
		return refuse(what, "name or secret are empty or too long", error);
	return 0;
}

int gb__dns_key_parse(const char *text, const char *what, struct gb__dns_key *ret, struct gb_error *error)
{
	struct reader reader = { .at = text };
	struct gb__dns_key key = { 0 };
	int result;

	if (!next(&reader))
		result = refuse(what, "it holds no key", error);
	else if (strcasecmp(reader.word, "key") == 0)
		result = parse_block(&reader, what, &key, error);
	else
		result = parse_line(reader.word, what, &key, error);
	if (result == 0)
		result = check(&key, what, error);
	if (result == 0)
		*ret = key;
	gb__dns_key_finish(&key);
	explicit_bzero(reader.word, sizeof(reader.word));
	return result;
}

int gb__dns_key_load(const char *path, struct gb__dns_key *ret, struct gb_error *error)
{
	char text[FILE_MAX];
	FILE *file = fopen(path, "re");
	size_t size;
	int result;

	if (!file) {
		result = -errno;
		return gb_error_set(error, result, "cannot read the key %s: %s", path, gb_strerror(result));
	}
	size = fread(text, 1, sizeof(text) - 1, file);
	text[size] = '\0';
	if (ferror(file))
		result = gb_error_set(error, -EIO, "cannot read the key %s", path);
	else if (strlen(text) != size || size == sizeof(text) - 1)
		result = refuse(path, "it is no text, or a long one", error);
	else
		result = gb__dns_key_parse(text, path, ret, error);
	fclose(file);
	explicit_bzero(text, sizeof(text));
	return result;
}

void gb__dns_key_finish(struct gb__dns_key *key)
{
	explicit_bzero(key, sizeof(*key));
}
