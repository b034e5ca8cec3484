/* TLS of a server's addresses, as options say, and of outgoing connections, under every preset. */
#include "base/macros.h"
#include "model/server_test_driver.h"
#include "tls/issue.h"

#include "harness.h"

#include <gearbox/stream.h>
#include <gearbox/tls.h>
#include <gearbox/upstream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char folder[64];
static char paths[4][96]; /* a certificate that signs itself, its key, and the same of another */

static void begin(void)
{
	static const char *const names[] = { "cert", "key", "other", "other-key" };
	struct gb_error error = { 0 };

	snprintf(folder, sizeof(folder), "/tmp/gearbox-secure-XXXXXX");
	CHECK(mkdtemp(folder));
	for (unsigned i = 0; i < 4; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
	for (unsigned i = 0; i < 4; i += 2) {
		const struct gb__tls_issue what = { .certificate = paths[i],
			.key = paths[i + 1],
			.common_name = names[i],
			.names = "DNS:localhost,IP:127.0.0.1",
			.from_s = -60,
			.until_s = 3600 };

		if (gb__tls_issue(&what, &error) < 0)
			test_fail(__FILE__, __LINE__, "%s", error.text);
	}
}

static void end(void)
{
	for (unsigned i = 0; i < 4; i++)
		unlink(paths[i]);
	CHECK_INT(rmdir(folder), 0);
}

static struct gb_tls_client *client_of(struct gb_tls_client_options options)
{
	struct gb_tls_client *client = NULL;
	struct gb_error error = { 0 };

	if (gb_tls_client_create(&options, &client, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return client;
}

/* Whom the hop connects to, and how. */
static char target[128];
static struct gb_service trusting = { GB_SERVICE_INIT, .name = "trusting" };
static struct gb_service mistaken = { GB_SERVICE_INIT, .name = "mistaken" };
static struct gb_service misled = { GB_SERVICE_INIT, .name = "misled" };
static struct gb_service careless = { GB_SERVICE_INIT, .name = "careless" };

static int ask(struct gb_stream *other, bool close)
{
	char answer[5];
	int result;

	gb_write(other, "hello", 5);
	result = (int)gb_read_exact(other, answer, 5);
	if (result == 5 && memcmp(answer, "hello", 5) != 0)
		result = -EBADMSG;
	if (close)
		gb_stream_close(other);
	return result;
}

static int reach(struct gb_coro *coro, const struct gb_service *protocol)
{
	struct gb_error error = { 0 };
	struct gb_stream *other;
	int result = gb_stream_connect(coro, target, protocol, &other, &error);

	return result < 0 ? result : ask(other, true);
}

/* Whether it fails with this in its text. */
static int fails(struct gb_coro *coro, const struct gb_service *protocol, const char *text, bool any)
{
	const char *addresses[] = { target };
	struct gb_error error = { 0 };
	struct gb_stream *other;
	int result = any ? gb_stream_connect_any(coro, addresses, 1, protocol, &other, &error)
			 : gb_stream_connect(coro, target, protocol, &other, &error);

	if (result == 0) {
		gb_stream_close(other);
		return -EBADMSG;
	}
	return result == -EPROTO && strstr(error.text, text) ? 0 : -ENOMSG;
}

/* By its name, which is what is asked for and looked for in the certificate. */
static int reach_by_name(struct gb_coro *coro, bool any)
{
	struct gb_tls_info info = { 0 };
	struct gb_stream *other;
	char name[64];
	const char *names[] = { name };
	int result;

	snprintf(name, sizeof(name), "localhost%s", strrchr(target, ':'));
	result = any ? gb_stream_connect_any(coro, names, 1, &trusting, &other, NULL)
		     : gb_stream_connect(coro, name, &trusting, &other, NULL);
	if (result < 0)
		return result;
	result = gb_conn_tls(gb_stream_conn(other), &info);
	if (result == 0 && strcmp(info.server_name, "localhost") != 0)
		result = -ENOMSG;
	gb_stream_close(other);
	return result;
}

/* Of two connections the second goes on with what the first agreed on: its ticket came before its answer. */
static int resumes(struct gb_coro *coro)
{
	struct gb_tls_info info = { 0 };
	struct gb_stream *other;
	int result = reach(coro, &trusting);

	if (result < 0)
		return result;
	result = gb_stream_connect(coro, target, &trusting, &other, NULL);
	if (result < 0)
		return result;
	result = gb_conn_tls(gb_stream_conn(other), &info);
	if (result == 0 && !info.resumed)
		result = -ENOMSG;
	gb_stream_close(other);
	return result;
}

static int pooled(struct gb_coro *coro)
{
	const struct gb_upstream_options options = { .service = &trusting, .streams = true };
	const char *addresses[] = { target };
	struct gb_upstream *upstream;
	struct gb_stream *other;
	int result = gb_upstream_create(gb_coro_worker(coro), addresses, 1, &options, &upstream, NULL);

	if (result < 0)
		return result;
	for (unsigned i = 0; i < 2 && result >= 0; i++) {
		result = gb_upstream_take(coro, upstream, &other, NULL);
		if (result < 0)
			break;
		result = ask(other, false);
		gb_upstream_give_stream(other, result == 5);
	}
	gb_upstream_destroy(upstream);
	return result;
}

/* A pool says, too. */
static int pooled_in_vain(struct gb_coro *coro)
{
	const struct gb_upstream_options options = {
		.service = &mistaken, .streams = true, .fails_fast = true
	};
	const char *addresses[] = { target };
	struct gb_upstream *upstream;
	struct gb_error error = { 0 };
	struct gb_stream *other;
	char expected[256];
	int result = gb_upstream_create(gb_coro_worker(coro), addresses, 1, &options, &upstream, NULL);

	if (result < 0)
		return result;
	snprintf(expected, sizeof(expected), "cannot connect to %s: ", target);
	result = gb_upstream_take(coro, upstream, &other, &error);
	if (result == -EPROTO && error.code == -EPROTO &&
		strncmp(error.text, expected, strlen(expected)) == 0 &&
		strstr(error.text, "self-signed certificate") &&
		strcmp(gb_upstream_problem(upstream), error.text) == 0)
		result = 0;
	gb_upstream_destroy(upstream);
	return result;
}

/* One who wants a certificate, which we do not have: by TLS 1.3 that comes behind the handshake, as the first thing read. */
static char strict[128];

static int is_told(struct gb_stream *other)
{
	char byte;
	int result = (int)gb_read(other, &byte, 1);
	const char *problem = gb_conn_tls_problem(gb_stream_conn(other));

	return result == -EPROTO && problem && strstr(problem, "the peer says: certificate required")
		? 0
		: -ENOMSG;
}

static int is_unwanted(struct gb_coro *coro)
{
	const struct gb_upstream_options options = { .service = &trusting, .streams = true };
	const char *addresses[] = { strict };
	struct gb_upstream *upstream;
	struct gb_stream *other;
	int result = gb_stream_connect(coro, strict, &trusting, &other, NULL);

	if (result < 0)
		return result;
	result = is_told(other);
	gb_stream_close(other);
	if (result < 0)
		return result;
	result = gb_upstream_create(gb_coro_worker(coro), addresses, 1, &options, &upstream, NULL);
	if (result < 0)
		return result;
	result = gb_upstream_take(coro, upstream, &other, NULL);
	if (result == 0) {
		result = is_told(other);
		gb_upstream_give_stream(other, false);
	}
	gb_upstream_destroy(upstream);
	return result;
}

static int obey(struct gb_coro *coro, struct gb_bytes line)
{
	if (gb_bytes_is(line, "trusting"))
		return reach(coro, &trusting);
	if (gb_bytes_is(line, "careless"))
		return reach(coro, &careless);
	if (gb_bytes_is(line, "mistaken"))
		return fails(coro, &mistaken, "self-signed certificate", false);
	if (gb_bytes_is(line, "misled"))
		return fails(coro, &misled, "hostname mismatch", true);
	if (gb_bytes_is(line, "by name"))
		return reach_by_name(coro, false);
	if (gb_bytes_is(line, "by a name"))
		return reach_by_name(coro, true);
	if (gb_bytes_is(line, "resumes"))
		return resumes(coro);
	if (gb_bytes_is(line, "pooled"))
		return pooled(coro);
	if (gb_bytes_is(line, "pooled in vain"))
		return pooled_in_vain(coro);
	if (gb_bytes_is(line, "unwanted"))
		return is_unwanted(coro);
	return -ENOSYS;
}

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		char text[32];
		int size = snprintf(text, sizeof(text), "%d\n", obey(gb_stream_coro(stream), line));

		if (gb_write(stream, text, (size_t)size) < 0)
			return;
	}
}

static const struct gb_service hop = { GB_SERVICE_INIT, .name = "hop", .codec = &gb_codec_line,
	.serve = serve };

static void reaches_by_tls(const char *model)
{
	struct gb_server *server = driver_server_with(model, "log-level", "error", &hop, NULL);
	struct gb_stats stats;
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "trusting\n", "5\n");
	driver_ask(client, "careless\n", "5\n");
	driver_ask(client, "mistaken\n", "0\n");
	driver_ask(client, "misled\n", "0\n");
	driver_ask(client, "by name\n", "0\n");
	driver_ask(client, "by a name\n", "0\n");
	driver_ask(client, "resumes\n", "0\n");
	driver_ask(client, "pooled\n", "5\n");
	driver_ask(client, "pooled in vain\n", "0\n");
	driver_ask(client, "unwanted\n", "0\n");
	close(client);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_TLS_ERROR], 5); /* mistaken, misled, pooled in vain, unwanted twice */
}

TEST(outgoing_connections_speak_tls_and_say_why_not)
{
	struct driver_option options[] = { { "tls-cert", NULL }, { "tls-key", NULL },
		{ "log-level", "error" }, { NULL, NULL }, { NULL, NULL } };
	struct gb_tls_client *clients[4];
	struct gb_server *other, *wanting;
	pid_t pid, wanting_pid;

	begin();
	options[0].value = paths[0];
	options[1].value = paths[1];
	other = driver_server_set("reactor", options, &driver_echo, NULL);
	CHECK(other);
	snprintf(target, sizeof(target), "%s", gb_server_address(other, 0));
	pid = driver_host(other);
	options[3] = (struct driver_option){ "tls-client-ca", paths[2] };
	wanting = driver_server_set("reactor", options, &driver_echo, NULL);
	CHECK(wanting);
	snprintf(strict, sizeof(strict), "%s", gb_server_address(wanting, 0));
	wanting_pid = driver_host(wanting);
	trusting.tls = clients[0] = client_of((struct gb_tls_client_options){ .ca = paths[0] });
	mistaken.tls = clients[1] = client_of((struct gb_tls_client_options){ .ca = paths[2] });
	misled.tls = clients[2] =
		client_of((struct gb_tls_client_options){ .ca = paths[0], .name = "other.example" });
	careless.tls = clients[3] = client_of((struct gb_tls_client_options){
		.name = "other.example", .insecure_accept_any_server = true });
	driver_each_preset(reaches_by_tls);
	for (unsigned i = 0; i < 4; i++)
		gb_tls_client_destroy(clients[i]);
	gb_tls_client_destroy(NULL);
	driver_finish(other, pid);
	driver_finish(wanting, wanting_pid);
	end();
}

TEST(client_is_refused_with_a_text_when_its_files_or_options_are_wrong)
{
	struct gb_tls_client_options options = { .ca = "/nobody/there" };
	struct gb_error error = { 0 };
	struct gb_tls_client *client;

	CHECK_INT(gb_tls_client_create(&options, &client, &error), -ENOENT);
	CHECK_STR(error.text, "tls-ca: /nobody/there: No such file or directory");
	options.insecure_accept_any_server = true;
	CHECK_INT(gb_tls_client_create(&options, &client, &error), -GB_EUSAGE);
	options = (struct gb_tls_client_options){ .certificate = "/nobody/there" };
	CHECK(gb_tls_client_create(&options, &client, &error) < 0);
	CHECK_STR(error.text, "tls-cert: /nobody/there: No such file or directory");
}

/* What is said of listening with these options, "" if nothing. */
static const char *said(const char *const *options, const char *address)
{
	static struct gb_error error;
	struct gb_options *set;
	struct gb_server *server;

	error = (struct gb_error){ 0 };
	CHECK_INT(gb_options_create(&set), 0);
	CHECK_INT(gb_options_set(set, "model", "reactor", NULL), 0);
	for (; options[0]; options += 2)
		CHECK_INT(gb_options_set(set, options[0], options[1], &error), 0);
	CHECK_INT(gb_server_create(set, &server, &error), 0);
	gb_options_destroy(set);
	(void)gb_server_listen(server, address, &driver_echo, NULL, &error);
	gb_server_destroy(server);
	return error.text;
}

#define OPTIONS(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

TEST(address_has_tls_as_its_options_say)
{
	char address[256];

	begin();
	CHECK_STR(said(OPTIONS("tls", "yes"), "127.0.0.1:0"),
		"tls=yes, and no certificate: tls-cert names its file, tls-key that of its key");
	CHECK_STR(said(OPTIONS("tls-key", "x"), "127.0.0.1:0"),
		"tls-key is given without tls-cert, which names the certificate's file");
	CHECK_STR(said(OPTIONS("tls-cert", "/nobody/there"), "127.0.0.1:0,tls=no"), "");
	CHECK_STR(said(OPTIONS("tls-cert", "/nobody/there"), "127.0.0.1:0"),
		"tls-cert: /nobody/there: No such file or directory");
	CHECK_STR(said(OPTIONS("tls-cert", paths[0], "tls-key", paths[1]), "127.0.0.1:0"), "");
	snprintf(address, sizeof(address), "127.0.0.1:0,tls-cert=%s,tls-key=%s,tls-alpn=h2,echo", paths[2],
		paths[3]);
	CHECK_STR(said(OPTIONS("backlog", "7"), address), "");
	CHECK_STR(said(OPTIONS("tls-cert", paths[0], "tls-key", paths[1]),
			  "unix-seqpacket:@gearbox-secure-test"),
		"unix-seqpacket:@gearbox-secure-test: TLS needs a stream, and this is a socket of packets: add ,tls=no");
	snprintf(address, sizeof(address), "127.0.0.1:0,tls-key=%s", paths[3]);
	CHECK(strstr(said(OPTIONS("tls-cert", paths[0], "tls-key", paths[1]), address),
		"the key is not that of the certificate"));
	end();
}
