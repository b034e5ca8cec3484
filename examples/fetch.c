/* A fetcher: `fetch ADDRESS AT_ONCE MILLISECONDS PATH…` asks by HTTP/1.0, so many paths at once, and ends in that time. */
#include <gearbox/gearbox.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fetch {
	const char *address; /* or a name */
	size_t at_once;
	uint64_t ms;
	struct page {
		const struct fetch *fetch;
		const char *path;
		char status[64];
		size_t size; /* of head and body */
		int result;
	} * pages;
	size_t count, failed;
};

/* One page. That it fails is its own matter: the others go on, so it is noted and not returned. */
static int fetch_page(struct gb_coro *coro, void *arg)
{
	struct page *page = arg;
	struct gb_stream *stream;
	struct gb_bytes bytes;

	page->result = gb_stream_connect(coro, page->fetch->address, NULL, &stream, NULL);
	if (page->result < 0)
		return 0;
	gb_write_format(stream, "GET %s HTTP/1.0\r\n\r\n", page->path);
	page->result = gb_read_until(stream, "\r\n", 2, &bytes);
	if (page->result > 0)
		snprintf(page->status, sizeof(page->status), "%.*s", (int)bytes.size - 2,
			(const char *)bytes.data);
	else if (page->result == 0)
		page->result = -GB_ETRUNCATED; /* the server ended before it answered */
	while (page->result > 0) {
		page->size += bytes.size;
		page->result = gb_read_message(stream, &bytes);
	}
	gb_stream_close(stream);
	return 0;
}

static int fetch_all(struct gb_coro *coro, void *arg)
{
	struct fetch *fetch = arg;
	struct gb_scope scope;
	size_t begun = 0;

	gb_scope_begin(coro, &scope);
	gb_scope_limit(&scope, fetch->at_once);
	GB_WITH_DEADLINE(coro, fetch->ms)
	{
		while (begun < fetch->count && gb_scope_start(&scope, fetch_page, &fetch->pages[begun]) == 0)
			begun++;
		gb_scope_end(&scope); /* whoever is not done in time is cancelled */
	}
	for (size_t i = 0; i < fetch->count; i++) {
		const struct page *page = &fetch->pages[i];
		int result = i < begun ? page->result : -ECANCELED;

		fetch->failed += result < 0;
		printf("%s: %s, %zu bytes\n", page->path, result < 0 ? gb_strerror(result) : page->status,
			page->size);
	}
	gb_server_stop(gb_worker_server(gb_coro_worker(coro)));
	return 0;
}

static int on_start(struct gb_worker *worker, void *fetch)
{
	return gb_coro_start(worker, "fetch", fetch_all, fetch);
}

static void serve(struct gb_stream *stream)
{
	/* nobody connects to a program that does not listen */
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "fetch", .state = GB_STATE_NONE,
	.on_start = on_start, .serve = serve };

int main(int argc, char **argv)
{
	struct gb_error error = { .text = "usage: fetch ADDRESS AT_ONCE MILLISECONDS PATH..." };
	struct fetch fetch = { .address = argv[1], .count = argc > 4 ? (size_t)argc - 4 : 0 };
	struct gb_server *server = NULL;
	int fine = argc > 4 && (fetch.pages = calloc(fetch.count, sizeof(*fetch.pages))) &&
		gb_name_check(fetch.address, &error) >= 0 && gb_server_create(NULL, &server, &error) == 0 &&
		gb_server_attach(server, &service, &fetch, &error) == 0;

	for (size_t i = 0; fine && i < fetch.count; i++)
		fetch.pages[i] = (struct page){ .fetch = &fetch, .path = argv[4 + i] };
	if (fine) {
		fetch.at_once = strtoul(argv[2], NULL, 10);
		fetch.ms = strtoull(argv[3], NULL, 10);
		fine = gb_server_run(server, &error) == 0;
	}
	gb_server_destroy(server);
	free(fetch.pages);
	return fine ? fetch.failed > 0 : (fprintf(stderr, "fetch: %s\n", error.text), 1);
}
