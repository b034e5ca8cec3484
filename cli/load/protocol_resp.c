/*
 * Redis's serialization protocol, version 2: PING, and SET and GET on keys drawn from a range. The value of a key follows
 * from its number, so a GET has two right replies: that value, or nil as long as nobody has set it.
 */
#include "load/protocol_script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINES_MAX 4096u
#define LINES_MIN 64u
#define BYTES_MAX (16u << 20) /* of all values, as far as LINES_MIN allows */
#define NIL "$-1\r\n"

/* The commands, in the order of `weights`. */
enum { PING, SET, GET, COMMANDS };
static const char *const words[COMMANDS] = { "ping", "set", "get" };

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
	return *state >> 33;
}

/* "get", or "set:1,get:9". Returns 0 or -GB_EUSAGE. */
static int read_mix(const char *text, double weights[COMMANDS])
{
	for (unsigned i = 0; i < COMMANDS; i++)
		weights[i] = 0;
	while (*text) {
		size_t length = strcspn(text, ":,");
		unsigned i = 0;
		char *end = (char *)text + length;

		while (i < COMMANDS &&
			(strlen(words[i]) != length || strncasecmp(words[i], text, length) != 0))
			i++;
		if (i == COMMANDS)
			return -GB_EUSAGE;
		weights[i] = 1;
		if (*end == ':')
			weights[i] = strtod(end + 1, &end);
		if (!(weights[i] > 0) || (*end && *end != ',') || (*end == ',' && !end[1]))
			return -GB_EUSAGE;
		text = *end ? end + 1 : end;
	}
	return weights[PING] + weights[SET] + weights[GET] > 0 ? 0 : -GB_EUSAGE;
}

int gb__resp_check_mix(const char *mix, struct gb_error *error)
{
	double weights[COMMANDS];

	if (read_mix(mix, weights) == 0)
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"--command %s: write ping, set or get, or a mixture with weights, as set:1,get:9", mix);
}

static unsigned choose(const double weights[COMMANDS], uint64_t *random)
{
	double sum = weights[PING] + weights[SET] + weights[GET];
	double at = (double)draw(random) / (double)(UINT64_C(1) << 31) * sum;

	for (unsigned i = 0; i < COMMANDS; i++) {
		if (at < weights[i])
			return i;
		at -= weights[i];
	}
	return weights[GET] > 0 ? GET : weights[SET] > 0 ? SET : PING;
}

static int append_bulk(struct script_bytes *bytes, const void *data, size_t size)
{
	char head[32];
	int length = snprintf(head, sizeof(head), "$%zu\r\n", size), rc;

	rc = gb__script_append(bytes, head, (size_t)length);
	if (rc == 0)
		rc = gb__script_append(bytes, data, size);
	return rc < 0 ? rc : gb__script_append(bytes, "\r\n", 2);
}

static void fill_value(unsigned char *value, size_t size, uint64_t key)
{
	uint64_t state = key + 1;

	for (size_t i = 0; i < size; i++)
		value[i] = (unsigned char)('a' + draw(&state) % 26);
}

struct texts {
	struct script_bytes requests, replies;
};

static int append_text(struct script_bytes *bytes, const char *text)
{
	return gb__script_append(bytes, text, strlen(text));
}

/* One command with its replies. */
static int append_command(struct texts *texts, unsigned command, uint64_t key, const unsigned char *value,
	size_t size, struct script_line *ret)
{
	size_t request = texts->requests.size, reply = texts->replies.size;
	char name[32];
	int rc, length = snprintf(name, sizeof(name), "key:%012llu", (unsigned long long)key);

	if (command == PING) {
		rc = append_text(&texts->requests, "*1\r\n$4\r\nPING\r\n");
		rc = rc < 0 ? rc : append_text(&texts->replies, "+PONG\r\n");
	} else {
		rc = append_text(
			&texts->requests, command == SET ? "*3\r\n$3\r\nSET\r\n" : "*2\r\n$3\r\nGET\r\n");
		rc = rc < 0 ? rc : append_bulk(&texts->requests, name, (size_t)length);
		if (rc == 0 && command == SET)
			rc = append_bulk(&texts->requests, value, size);
		if (rc == 0)
			rc = command == SET ? append_text(&texts->replies, "+OK\r\n")
					    : append_bulk(&texts->replies, value, size);
	}
	*ret = (struct script_line){ texts->requests.size - request, texts->replies.size - reply, 0 };
	if (rc == 0 && command == GET) {
		ret->other = sizeof(NIL) - 1;
		rc = append_text(&texts->replies, NIL);
	}
	return rc;
}

static int resp_prepare(const struct load_request *request, struct traffic *ret)
{
	uint64_t random = request->seed, keys = request->keys ? request->keys : 1;
	size_t count = BYTES_MAX / request->size;
	struct script_line *lines;
	struct texts texts = { 0 };
	unsigned char *value;
	double weights[COMMANDS];
	int rc;

	if (read_mix(request->command ? request->command : "ping", weights) < 0)
		return -EINVAL;
	count = count > LINES_MAX ? LINES_MAX : count < LINES_MIN ? LINES_MIN : count;
	lines = calloc(count, sizeof(*lines));
	value = malloc(request->size);
	rc = lines && value ? 0 : -ENOMEM;
	for (size_t i = 0; i < count && rc == 0; i++) {
		unsigned command = choose(weights, &random);
		uint64_t key = draw(&random) % keys;

		fill_value(value, request->size, key);
		rc = append_command(&texts, command, key, value, request->size, &lines[i]);
	}
	if (rc == 0)
		rc = gb__script_traffic(&texts.requests, &texts.replies, lines, count, ret);
	if (rc == 0)
		ret->anywhere = true;
	free(texts.requests.data);
	free(texts.replies.data);
	free(lines);
	free(value);
	return rc;
}

const struct protocol gb__protocol_resp = {
	.name = "resp",
	.state_size = sizeof(struct script_state),
	.prepare = resp_prepare,
	.begin = gb__script_begin,
	.check = gb__script_check,
};
