/* HTTP/1.0 (RFC 1945): GET and HEAD say hello to the path, POST gives its body back. */
#include <gearbox/gearbox.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 8192u
#define BODY_MAX (1u << 20)

static const struct gb_setting settings[] = {
	{ "request-timeout", GB_SETTING_DURATION, 0, .fallback = "10s", .min = 1, .max = 3600000,
		.argument = "TIME", .summary = "how long a request may take, its body included" },
	{ NULL },
};

static int answer(struct gb_stream *stream, const char *status, size_t size)
{
	return gb_write_format(stream,
		"HTTP/1.0 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", status, size);
}

/* The body's size by Content-Length. Returns 0; -EINVAL (no number, or two of them), -GB_ETOOLARGE. */
static int body_size(const char *head, size_t *ret)
{
	static const char name[] = "\r\nContent-Length:";
	const char *field = strcasestr(head, name), *digits = field ? field + strlen(name) : "0\r";
	char *end;

	digits += strspn(digits, " \t");
	*ret = strtoul(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || end[strspn(end, " \t")] != '\r' || strcasestr(end, name))
		return -EINVAL;
	return *ret > BODY_MAX ? -GB_ETOOLARGE : 0;
}

/* Returns what came of it; what failed before anything was answered is answered by the caller. */
static int request(struct gb_stream *stream)
{
	char text[HEAD_MAX + 1], method[8], path[1024], minor[2], part[4096];
	struct gb_bytes head;
	size_t left;
	ssize_t got = gb_read_until(stream, "\r\n\r\n", 4, &head);
	int result = got > 0 && head.size > HEAD_MAX ? -GB_ETOOLARGE : (int)got;

	if (result <= 0)
		return result;
	memcpy(text, head.data, head.size); /* the next read takes it away */
	text[head.size] = '\0';
	if (sscanf(text, "%7[A-Z] %1023[^ \r\n] HTTP/1.%1[0-9]", method, path, minor) != 3)
		return -EINVAL;
	if ((result = body_size(text, &left)) < 0)
		return result;
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
		answer(stream, "200 OK", strlen("hello, \n") + strlen(path));
		return *method == 'G' ? gb_write_format(stream, "hello, %s\n", path) : 0;
	}
	if (strcmp(method, "POST") != 0)
		return answer(stream, "501 Not Implemented", 0);
	answer(stream, "200 OK", left);
	while (left > 0 && (got = gb_read(stream, part, left < sizeof(part) ? left : sizeof(part))) > 0) {
		gb_write(stream, part, (size_t)got);
		left -= (size_t)got;
	}
	if (left > 0)
		gb_stream_abort(stream); /* or half a body would look whole */
	return 0;
}

static void serve(struct gb_stream *stream)
{
	int result = 0;

	GB_WITH_DEADLINE(gb_stream_coro(stream), *(const uint64_t *)gb_stream_user(stream))
	result = request(stream);
	if (result == -EINVAL || result == -GB_ETRUNCATED)
		answer(stream, "400 Bad Request", 0);
	else if (result == -GB_ETOOLARGE)
		answer(stream, "413 Request Entity Too Large", 0);
	else if (result == -ETIMEDOUT)
		answer(stream, "408 Request Timeout", 0);
}

static const struct gb_service http10 = { GB_SERVICE_INIT, .name = "http10",
	.summary = "says hello by HTTP/1.0", .state = GB_STATE_NONE, .settings = settings,
	.settings_size = sizeof(uint64_t), .serve = serve };

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &http10);
}
