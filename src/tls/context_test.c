#include "base/capture_test.h"
#include "base/log.h"
#include "os/os.h"
#include "tls/context.h"
#include "tls/files_test.h"
#include "tls/meet_test.h"
#include "tls/tickets.h"

#include "harness.h"

#include <openssl/err.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR_MS 3600000u

TEST(client_checks_the_name_or_address_of_the_server)
{
	struct gb__tls *server, *client;

	begin();
	server = create(server_options());
	client = create(client_options());
	expect(server, client, "localhost", "");
	expect(server, client, "127.0.0.1", "");
	expect(server, client, "127.0.0.2", "certificate verify failed");
	expect(server, client, "other.example", "certificate verify failed");
	expect(server, client, "localhost.", ""); /* the dot of the root */
	expect(server, client, "other.example.", "certificate verify failed");
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

TEST(client_certificates_are_asked_for_as_the_option_says)
{
	struct gb__tls_options with, wrong, asking;
	struct gb__tls *clients[3], *server;

	begin();
	issue_as((struct gb__tls_issue){
		.certificate = in_folder("self"), .key = in_folder("self-key"), .common_name = "nobody" });
	with = client_options();
	with.certificates = in_folder("cert");
	with.keys = in_folder("key");
	wrong = client_options();
	wrong.certificates = in_folder("self");
	wrong.keys = in_folder("self-key");
	clients[0] = create(client_options());
	clients[1] = create(with);
	clients[2] = create(wrong);
	asking = server_options();
	asking.ca = in_folder("ca");
	asking.verify = GB__TLS_VERIFY_OPTIONAL;
	server = create(asking);
	expect(server, clients[0], "localhost", "");
	expect(server, clients[1], "localhost", "");
	expect(server, clients[2], "localhost", "certificate verify failed");
	gb__tls_destroy(server);
	asking.verify = GB__TLS_VERIFY_REQUIRED;
	server = create(asking);
	expect(server, clients[0], "localhost", "peer did not return a certificate");
	expect(server, clients[1], "localhost", "");
	gb__tls_destroy(server);
	for (unsigned i = 0; i < 3; i++)
		gb__tls_destroy(clients[i]);
	folder_remove();
}

TEST(protocol_is_the_first_of_the_server_that_the_client_has)
{
	struct gb__tls_options offering, choosing;
	struct gb__tls *server, *client;
	const unsigned char *chosen;
	struct both both;
	unsigned size;

	begin();
	choosing = server_options();
	choosing.alpn = "h2,http/1.1,echo";
	server = create(choosing);
	offering = client_options();
	offering.alpn = "echo,http/1.1";
	client = create(offering);
	both = meet(server, client, "localhost");
	CHECK_STR(both.problem, "");
	SSL_get0_alpn_selected(both.client, &chosen, &size);
	CHECK(size == 8 && memcmp(chosen, "http/1.1", 8) == 0);
	part(&both);
	gb__tls_destroy(client);
	offering.alpn = "other";
	client = create(offering);
	both = meet(server, client, "localhost");
	CHECK_STR(both.problem, "tlsv1 alert no application protocol");
	CHECK(both.client_done != 1);
	part(&both);
	gb__tls_destroy(client);
	client = create(client_options());
	expect(server, client, "localhost", ""); /* who offers none has none */
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

TEST(versions_below_the_lowest_are_refused)
{
	struct gb__tls_options options;
	struct gb__tls *server, *client;
	struct both both;

	begin();
	client = create(client_options());
	server = create(server_options());
	both = (struct both){ .server = session_of(server), .client = session_of(client) };
	SSL_set_security_level(both.client, 0);
	SSL_set_min_proto_version(both.client, TLS1_1_VERSION);
	SSL_set_max_proto_version(both.client, TLS1_1_VERSION);
	shake(&both);
	CHECK(both.client_done != 1);
	part(&both);
	gb__tls_destroy(server);
	options = server_options();
	options.versions = "1.3";
	server = create(options);
	both = (struct both){ .server = session_of(server), .client = session_of(client) };
	SSL_set_max_proto_version(both.client, TLS1_2_VERSION);
	shake(&both);
	CHECK(both.client_done != 1);
	part(&both);
	gb__tls_destroy(server);
	gb__tls_destroy(client);
	folder_remove();
}

/* Whether a session that this client has is resumed. */
static bool resumes(struct gb__tls *server, struct gb__tls *client, int version)
{
	struct both both = { .server = session_of(server), .client = session_of(client) };
	bool reused;

	SSL_set_max_proto_version(both.client, version);
	CHECK_INT(gb__tls_client_prepare(client, both.client, "localhost"), 0);
	shake(&both);
	CHECK_STR(both.problem, "");
	reused = SSL_session_reused(both.server);
	CHECK_INT(SSL_session_reused(both.client), reused);
	part(&both);
	return reused;
}

TEST(session_is_resumed_by_any_process_of_the_server)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct gb__tls *server, *client;

	begin();
	for (size_t i = 0; i < 2; i++) {
		int status;
		pid_t pid;

		server = create(server_options());
		client = create(client_options());
		CHECK(!resumes(server, client, versions[i]));
		pid = fork();
		if (pid == 0)
			_exit(resumes(server, client, versions[i]) && resumes(server, client, versions[i])
					? 0
					: 1);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK_INT(status, 0);
		CHECK(resumes(server, client, versions[i]));
		gb__tls_destroy(server);
		server = create(server_options()); /* another one has other keys */
		CHECK(!resumes(server, client, versions[i]));
		gb__tls_destroy(client);
		gb__tls_destroy(server);
	}
	folder_remove();
}

/* An empty name is no name to OpenSSL, which then takes any certificate. */
TEST(server_without_a_name_to_check_is_not_connected_to)
{
	static const char *const names[] = { "", "." };
	struct gb__tls *client;

	begin();
	client = create(client_options());
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		SSL *ssl = session_of(client);

		CHECK(gb__tls_client_prepare(client, ssl, names[i]) < 0);
		SSL_free(ssl);
	}
	gb__tls_destroy(client);
	folder_remove();
}

/* Who was trusted when it was agreed on is not any more: nothing is left of that, not even of one that is under way. */
TEST(client_forgets_sessions_when_its_files_change)
{
	const uint64_t later_ms = gb__os_now_ms(&gb__os_linux) + 2 * HOUR_MS;
	struct gb__tls_options options;
	struct gb__tls *server, *client;
	struct both both;

	begin();
	gb__log_set_level(GB__LOG_ERROR);
	server = create(server_options());
	options = client_options();
	options.reload_ms = HOUR_MS;
	client = create(options);
	CHECK(!resumes(server, client, TLS1_3_VERSION));
	CHECK(resumes(server, client, TLS1_3_VERSION));
	both = (struct both){ .server = session_of(server), .client = session_of(client) };
	CHECK_INT(gb__tls_client_prepare(client, both.client, "localhost"), 0);
	issue_as((struct gb__tls_issue){ .certificate = in_folder("ca"),
		.key = in_folder("ca-key"),
		.common_name = "another authority",
		.authority = true });
	gb__tls_refresh(client, later_ms);
	shake(&both);
	CHECK_INT(both.client_done, 1);
	part(&both);
	expect(server, client, "localhost", "certificate verify failed");
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

TEST(without_tickets_nothing_is_resumed)
{
	struct gb__tls_options options;
	struct gb__tls *server, *client;

	begin();
	options = server_options();
	options.ticket_ms = 0;
	server = create(options);
	client = create(client_options());
	for (unsigned i = 0; i < 2; i++) {
		CHECK(!resumes(server, client, TLS1_3_VERSION));
		CHECK(!resumes(server, client, TLS1_2_VERSION));
	}
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

TEST(ticket_keys_rotate_alike_in_all_processes_and_the_last_two_are_known)
{
	struct gb__tls_tickets one, other;
	struct gb__tls_ticket_key first, second, found;
	bool old;

	CHECK_INT(gb__tls_tickets_init(&one, 1000, 5500), 0);
	other = one; /* as fork has it */
	gb__tls_tickets_current(&one, 5600, &first);
	gb__tls_tickets_current(&one, 6600, &second);
	CHECK(memcmp(&first, &second, sizeof(first)) != 0);
	CHECK(gb__tls_tickets_find(&other, 6700, second.name, &found, &old) && !old);
	CHECK(memcmp(&found, &second, sizeof(found)) == 0);
	CHECK(gb__tls_tickets_find(&other, 6700, first.name, &found, &old) && old);
	CHECK(memcmp(&found, &first, sizeof(found)) == 0);
	CHECK(!gb__tls_tickets_find(&other, 7000, first.name, &found, &old));
	CHECK(!gb__tls_tickets_find(&one, 60000, second.name, &found, &old));
	gb__tls_tickets_current(&one, 60001, &first);
	gb__tls_tickets_current(&other, 60999, &second);
	CHECK(memcmp(&first, &second, sizeof(first)) == 0);
	gb__tls_tickets_finish(&one);
}

/* In a process that begins no session, and looks at no files. */
TEST(keys_of_tickets_are_forgotten_when_their_time_is_over)
{
	const uint64_t now_ms = gb__os_now_ms(&gb__os_linux);
	struct gb__tls_options options;
	struct gb__tls *server, *client;
	uint64_t due_ms;

	begin();
	options = server_options();
	options.reload_ms = 0;
	server = create(options);
	client = create(client_options());
	CHECK(!resumes(server, client, TLS1_3_VERSION));
	due_ms = gb__tls_refresh(server, now_ms);
	CHECK(due_ms > now_ms && due_ms <= now_ms + 2 * HOUR_MS);
	CHECK_INT(gb__tls_refresh(server, due_ms - 1), due_ms);
	CHECK(resumes(server, client, TLS1_3_VERSION));
	CHECK_INT(gb__tls_refresh(server, due_ms), due_ms + HOUR_MS);
	CHECK(resumes(server, client, TLS1_3_VERSION)); /* the last ones are known still */
	CHECK_INT(gb__tls_refresh(server, due_ms + 2 * HOUR_MS), due_ms + 3 * HOUR_MS);
	CHECK(!resumes(server, client, TLS1_3_VERSION));
	gb__tls_destroy(client);
	options.ticket_ms = 0;
	gb__tls_destroy(server);
	server = create(options);
	CHECK(gb__tls_refresh(server, now_ms) == UINT64_MAX);
	gb__tls_destroy(server);
	folder_remove();
}

static void name_of(struct gb__tls *server, struct gb__tls *client, char *ret_name)
{
	struct both both = meet(server, client, NULL);

	CHECK_STR(both.problem, "");
	X509_NAME_get_text_by_NID(
		X509_get_subject_name(SSL_get0_peer_certificate(both.client)), NID_commonName, ret_name, 64);
	part(&both);
}

static void replace_broken(void)
{
	FILE *file = fopen(in_folder("cert"), "w");

	fputs("no certificate\n", file);
	fclose(file);
}

/* As long as another minute of the file system's clock would take: contents differ in size, and so do the stamps. */
static void read_again_and_complain(void)
{
	struct gb__tls_options options;
	uint64_t later_ms = gb__os_now_ms(&gb__os_linux) + 2 * HOUR_MS;
	struct gb__tls *server, *client;
	char name[64] = "";

	begin();
	options = server_options();
	options.reload_ms = HOUR_MS;
	options.shared = calloc(1, gb__tls_shared_size());
	server = create(options);
	client = create((struct gb__tls_options){ .ticket_ms = 0 });
	issue("cert", "DNS:localhost,DNS:another-name.example");
	issue_as((struct gb__tls_issue){ .certificate = in_folder("cert"),
		.key = in_folder("key"),
		.common_name = "renewed",
		.names = "DNS:localhost" });
	gb__tls_refresh(server, 1); /* too early */
	name_of(server, client, name);
	CHECK_STR(name, "cert");
	gb__tls_refresh(server, later_ms);
	name_of(server, client, name);
	CHECK_STR(name, "renewed");
	replace_broken();
	gb__tls_refresh(server, later_ms + HOUR_MS);
	gb__tls_refresh(server, later_ms + 2 * HOUR_MS);
	name_of(server, client, name);
	CHECK_STR(name, "renewed");
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	free(options.shared);
	folder_remove();
}

TEST(changed_files_are_read_again_and_broken_ones_told_once)
{
	char text[1024], expected[1024];
	const char *path;

	if (capture(read_again_and_complain, text, sizeof(text)) != 0)
		test_fail(__FILE__, __LINE__, "%s", text);
	path = strstr(text, "/tmp/gearbox-tls-");
	CHECK(path);
	snprintf(expected, sizeof(expected),
		"gearbox: notice: tls: changed files have been read: %.23s/cert\n"
		"gearbox: error: tls-cert: %.23s/cert: holds no certificate in PEM (what was read before stays)\n",
		path, path);
	CHECK_STR(text, expected);
}

/* Two that share memory are two processes of a server. */
static void read_again_when_told(void)
{
	struct gb__tls_options options;
	struct gb__tls *servers[2], *client;
	char name[64] = "";

	begin();
	options = server_options();
	options.shared = calloc(1, gb__tls_shared_size());
	servers[0] = create(options);
	servers[1] = create(options);
	client = create((struct gb__tls_options){ .ticket_ms = 0 });
	issue_as((struct gb__tls_issue){ .certificate = in_folder("cert"),
		.key = in_folder("key"),
		.common_name = "renewed",
		.names = "DNS:localhost" });
	name_of(servers[1], client, name);
	CHECK_STR(name, "cert");
	for (unsigned i = 0; i < 2; i++) {
		gb__tls_reload(servers[0], 1);
		for (unsigned j = 0; j < 2; j++) {
			name_of(servers[j], client, name);
			CHECK_STR(name, "renewed");
		}
	}
	replace_broken();
	gb__tls_reload(servers[0], 1);
	gb__tls_reload(servers[0], 1);
	name_of(servers[1], client, name);
	CHECK_STR(name, "renewed");
	gb__tls_destroy(client);
	gb__tls_destroy(servers[0]);
	gb__tls_destroy(servers[1]);
	free(options.shared);
	folder_remove();
}

TEST(files_are_read_again_at_once_when_told_and_that_is_said_each_time)
{
	static const char *const lines[] = { "notice: tls: files have been read again: %.23s/cert\n",
		"error: tls-cert: %.23s/cert: holds no certificate in PEM (what was read before stays)\n" };
	char text[1024], expected[1024] = "";
	const char *path;

	if (capture(read_again_when_told, text, sizeof(text)) != 0)
		test_fail(__FILE__, __LINE__, "%s", text);
	path = strstr(text, "/tmp/gearbox-tls-");
	CHECK(path);
	for (unsigned i = 0; i < 4; i++) {
		size_t used = strlen(expected);

		used += (size_t)snprintf(expected + used, sizeof(expected) - used, "gearbox: ");
		snprintf(expected + used, sizeof(expected) - used, i < 2 ? lines[0] : lines[1], path);
	}
	CHECK_STR(text, expected);
}

TEST(secrets_are_logged_where_the_environment_says)
{
	struct gb__tls *server, *client;
	char line[512];
	FILE *file;

	begin();
	CHECK(setenv("SSLKEYLOGFILE", in_folder("secrets"), 1) == 0);
	gb__log_set_level(GB__LOG_ERROR);
	server = create(server_options());
	CHECK(unsetenv("SSLKEYLOGFILE") == 0);
	client = create(client_options());
	expect(server, client, "localhost", "");
	file = fopen(in_folder("secrets"), "r");
	CHECK(file && fgets(line, sizeof(line), file));
	CHECK(strstr(line, "_SECRET ") || strstr(line, "CLIENT_RANDOM "));
	fclose(file);
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

TEST(only_modern_ciphers_are_offered_and_renegotiation_is_off)
{
	struct gb__tls *server, *client;
	struct both both;

	begin();
	server = create(server_options());
	client = create(client_options());
	both = (struct both){ .server = session_of(server), .client = session_of(client) };
	SSL_set_max_proto_version(both.client, TLS1_2_VERSION);
	CHECK(SSL_set_cipher_list(both.client, "AES128-SHA:ECDHE-ECDSA-AES128-SHA"));
	shake(&both);
	CHECK_STR(both.problem, "sslv3 alert handshake failure");
	part(&both);
	both = (struct both){ .server = session_of(server), .client = session_of(client) };
	SSL_set_max_proto_version(both.client, TLS1_2_VERSION);
	shake(&both);
	CHECK_STR(both.problem, "");
	CHECK(SSL_get_options(both.server) & SSL_OP_NO_RENEGOTIATION);
	SSL_free(both.client);
	SSL_free(both.server);
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}
