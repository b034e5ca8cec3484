/*
 * HTTP/1.1 (RFC 9112): GET or POST on connections that are kept, pipelined where the depth is above 1. Each response must
 * be well-formed, have a status of 2xx, and a body that ends by its Content-Length or chunks; which bytes it must have, the
 * user may say. A response that only the end of the connection would end is refused: so much could be missing.
 */
#include "load/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPEATED_WANTED 16384u /* bytes of requests that lie side by side, so that many leave in few pieces */
#define LINE_KEPT 96u          /* bytes of a line that are kept: more than those that matter have */
#define HEAD_MAX (64u << 10)   /* bytes of a response before its body */

enum phase { STATUS, HEADERS, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILERS };

struct http_state {
	uint64_t offset;    /* bytes checked */
	uint64_t left;      /* bytes of the body or chunk that are still to come */
	uint64_t of_body;   /* bytes of the body that have arrived */
	uint32_t of_head;   /* bytes of this response that were none */
	uint16_t line_size; /* of the line so far; LINE_KEPT of it are kept */
	uint8_t phase;
	bool has_length, chunked, no_body, interim;
	char line[LINE_KEPT + 1];
};

static int append_request(char **ret_text, size_t *ret_size, const struct load_request *request)
{
	const char *host = request->address && strncmp(request->address, "unix:", 5) != 0 ? request->address
											  : "localhost";
	size_t body = request->post ? request->size : 0;
	char length[64] = "";
	char *head;
	int size;

	if (request->post)
		snprintf(length, sizeof(length), "Content-Type: text/plain\r\nContent-Length: %zu\r\n", body);
	size = asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", request->post ? "POST" : "GET",
		request->path ? request->path : "/", host, length);
	if (size < 0)
		return -ENOMEM;
	*ret_text = realloc(head, (size_t)size + body + 1);
	if (!*ret_text) {
		free(head);
		return -ENOMEM;
	}
	for (size_t i = 0; i < body; i++)
		(*ret_text)[(size_t)size + i] = (char)('a' + i % 26);
	*ret_size = (size_t)size + body;
	return 0;
}

static int http_prepare(const struct load_request *request, struct traffic *ret)
{
	unsigned char *data;
	size_t size = 0, count;
	char *text = NULL;
	int rc = append_request(&text, &size, request);

	if (rc < 0)
		return rc;
	count = size < REPEATED_WANTED ? REPEATED_WANTED / size : 1;
	data = malloc(count * size);
	for (size_t i = 0; data && i < count; i++)
		memcpy(data + i * size, text, size);
	free(text);
	if (!data)
		return -ENOMEM;
	*ret = (struct traffic){ .data = data,
		.size = count * size,
		.period = count * size,
		.request_size = size,
		.expect = request->expect };
	return 0;
}

static size_t http_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	(void)traffic;
	(void)number;
	*(struct http_state *)state = (struct http_state){ 0 };
	return 0;
}

static int64_t wrong(const struct http_state *http, const char *what, struct gb_error *error)
{
	return gb_error_set(error, -GB_EBADFRAME, "byte %llu of the replies ends \"%s\", expected %s",
		(unsigned long long)(http->offset - 1), http->line, what);
}

/* Where a response begins. */
static int64_t take_status(struct http_state *http, struct gb_error *error)
{
	const char *line = http->line;
	int status = 0;

	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
		strspn(line + 9, "0123456789") != 3 || (line[12] != ' ' && line[12] != '\0'))
		return wrong(http, "HTTP/1.1 and a status", error);
	status = atoi(line + 9);
	if (status < 200 ? status != 100 && status != 103 : status > 299)
		return wrong(http, "a status of 2xx", error);
	http->interim = status < 200;
	http->no_body = status < 200 || status == 204;
	http->has_length = http->chunked = false;
	http->left = http->of_body = 0;
	http->phase = HEADERS;
	return 0;
}

/* The value of a header line if it has that name, else NULL. */
static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	if (strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	line += length + 1;
	return line + strspn(line, " \t");
}

static int64_t take_header(struct http_state *http, struct gb_error *error)
{
	const char *colon = strchr(http->line, ':'), *value;
	char *end;

	if (!colon || colon == http->line || strcspn(http->line, " \t") < (size_t)(colon - http->line))
		return wrong(http, "a header, NAME: VALUE", error);
	value = value_of(http->line, "content-length");
	if (value) {
		uint64_t length = strtoull(value, &end, 10);

		if (end == value || end[strspn(end, " \t")] || value[0] == '-' ||
			(http->has_length && length != http->left))
			return wrong(http, "one Content-Length", error);
		http->has_length = true;
		http->left = length;
	}
	value = value_of(http->line, "transfer-encoding");
	if (value && strncasecmp(value, "chunked", 7) != 0)
		return wrong(http, "Transfer-Encoding: chunked", error);
	if (value)
		http->chunked = true;
	return 0;
}

/* A response is complete. Returns 1 unless it was an interim one, or lacks what was expected. */
static int64_t complete(const struct traffic *traffic, struct http_state *http, struct gb_error *error)
{
	if (!http->interim && traffic->expect.data && http->of_body < traffic->expect.size)
		return gb_error_set(error, -GB_EBADFRAME,
			"byte %llu of the replies ends a body of %llu bytes, expected %zu",
			(unsigned long long)(http->offset - 1), (unsigned long long)http->of_body,
			traffic->expect.size);
	http->phase = STATUS;
	http->of_head = 0;
	return http->interim ? 0 : 1;
}

/* The empty line behind the headers. */
static int64_t end_head(const struct traffic *traffic, struct http_state *http, struct gb_error *error)
{
	if (http->chunked && http->has_length)
		return wrong(http, "Content-Length or chunks, not both", error);
	if (http->no_body)
		return complete(traffic, http, error);
	if (!http->chunked && !http->has_length)
		return gb_error_set(error, -GB_EBADFRAME,
			"byte %llu of the replies ends a head without Content-Length or chunks: the end of its body cannot be told",
			(unsigned long long)(http->offset - 1));
	if (http->has_length && http->left == 0)
		return complete(traffic, http, error);
	http->phase = http->chunked ? CHUNK_SIZE : BODY;
	return 0;
}

static int64_t take_chunk_size(struct http_state *http, struct gb_error *error)
{
	char *end;

	if (strspn(http->line, "0123456789abcdefABCDEF") == 0 ||
		strspn(http->line, "0123456789abcdefABCDEF") > 15)
		return wrong(http, "the size of a chunk", error);
	http->left = strtoull(http->line, &end, 16);
	if (*end && *end != ';' && *end != ' ')
		return wrong(http, "the size of a chunk", error);
	http->phase = http->left > 0 ? CHUNK : TRAILERS;
	return 0;
}

/* A line is there, without its end. Returns 1 if it ends a response, 0, or -GB_EBADFRAME. */
static int64_t take_line(const struct traffic *traffic, struct http_state *http, struct gb_error *error)
{
	bool empty = http->line_size == 0;

	switch (http->phase) {
	case STATUS:
		return take_status(http, error);
	case HEADERS:
		return empty ? end_head(traffic, http, error) : take_header(http, error);
	case CHUNK_SIZE:
		return take_chunk_size(http, error);
	case CHUNK_END:
		http->phase = CHUNK_SIZE;
		return empty ? 0 : wrong(http, "the end of a chunk", error);
	default: /* TRAILERS */
		return empty ? complete(traffic, http, error) : 0;
	}
}

/* Bytes of a line, up to its end or all. Returns how many, `*ret_rc` what the line came to. */
static size_t read_line(const struct traffic *traffic, struct http_state *http, struct gb_bytes bytes,
	int64_t *ret_rc, struct gb_error *error)
{
	const unsigned char *end = memchr(bytes.data, '\n', bytes.size);
	size_t size = end ? (size_t)(end - bytes.data) + 1 : bytes.size;

	for (size_t i = 0; i < size && http->line_size < LINE_KEPT; i++)
		http->line[http->line_size++] = (char)bytes.data[i];
	http->offset += size;
	http->of_head += (uint32_t)size;
	*ret_rc = 0;
	if (http->of_head > HEAD_MAX)
		*ret_rc = gb_error_set(error, -GB_EBADFRAME,
			"byte %llu of the replies is beyond 64 KiB of a response's head",
			(unsigned long long)(http->offset - 1));
	if (*ret_rc < 0 || !end)
		return size;
	while (http->line_size > 0 &&
		(http->line[http->line_size - 1] == '\n' || http->line[http->line_size - 1] == '\r'))
		http->line_size--;
	http->line[http->line_size] = '\0';
	*ret_rc = take_line(traffic, http, error);
	http->line_size = 0;
	return size;
}

/* Bytes of the body. Returns how many, `*ret_rc` as above. */
static size_t read_body(const struct traffic *traffic, struct http_state *http, struct gb_bytes bytes,
	int64_t *ret_rc, struct gb_error *error)
{
	const struct gb_bytes *expect = &traffic->expect;
	size_t size = bytes.size < http->left ? bytes.size : (size_t)http->left;

	*ret_rc = 0;
	if (expect->data && expect->size - http->of_body < size)
		*ret_rc = gb_error_set(error, -GB_EBADFRAME,
			"byte %llu of the replies is beyond the %zu of a body that were expected",
			(unsigned long long)(http->offset + expect->size - http->of_body), expect->size);
	else if (expect->data)
		*ret_rc = gb__protocol_compare(
			expect->data + http->of_body, bytes.data, size, http->offset, error);
	if (*ret_rc < 0)
		return size;
	http->offset += size;
	http->of_body += size;
	http->left -= size;
	if (http->left == 0 && http->phase == CHUNK)
		http->phase = CHUNK_END;
	else if (http->left == 0)
		*ret_rc = complete(traffic, http, error);
	return size;
}

static int64_t http_check(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
	struct gb_error *error)
{
	struct http_state *http = state;
	uint64_t replies = 0;

	while (bytes.size > 0) {
		int64_t rc = 0;
		size_t taken;

		if (replies == awaited)
			return gb__protocol_surplus(http->offset, error);
		taken = http->phase == BODY || http->phase == CHUNK
			? read_body(traffic, http, bytes, &rc, error)
			: read_line(traffic, http, bytes, &rc, error);
		if (rc < 0)
			return rc;
		bytes.data += taken;
		bytes.size -= taken;
		replies += (uint64_t)rc;
	}
	return (int64_t)replies;
}

const struct protocol gb__protocol_http = {
	.name = "http",
	.state_size = sizeof(struct http_state),
	.prepare = http_prepare,
	.begin = http_begin,
	.check = http_check,
};
