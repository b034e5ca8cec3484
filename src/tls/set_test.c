/* Which of several certificates a client gets. */
#include "tls/context.h"
#include "tls/files_test.h"
#include "tls/meet_test.h"

#include "harness.h"

#include <string.h>

#define HOUR_MS 3600000u

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

TEST(certificate_is_chosen_by_the_name_that_is_asked_for)
{
	static const struct {
		const char *asked, *given;
	} cases[] = { { "first.example", "one" }, { "second.example", "two" }, { "SECOND.example.", "two" },
		{ "a.wild.example", "three" }, { "exact.wild.example", "two" }, { "a.b.wild.example", "one" },
		{ "unknown.example", "one" }, { NULL, "one" } };
	struct gb__tls_options options = { .server = true };
	struct gb__tls *server, *client;
	char certificates[256], keys[256];

	folder_make();
	issue_as((struct gb__tls_issue){ .certificate = in_folder("1"),
		.key = in_folder("1k"),
		.common_name = "one",
		.names = "DNS:first.example" });
	issue_as((struct gb__tls_issue){ .certificate = in_folder("2"),
		.key = in_folder("2k"),
		.common_name = "two",
		.names = "DNS:second.example,DNS:exact.wild.example" });
	issue_as((struct gb__tls_issue){ .certificate = in_folder("3"),
		.key = in_folder("3k"),
		.common_name = "three",
		.names = "DNS:*.wild.example" });
	snprintf(certificates, sizeof(certificates), "%s,%s,%s", in_folder("1"), in_folder("2"),
		in_folder("3"));
	snprintf(keys, sizeof(keys), "%s,%s,%s", in_folder("1k"), in_folder("2k"), in_folder("3k"));
	options.certificates = certificates;
	options.keys = keys;
	server = create(options);
	client = create((struct gb__tls_options){ 0 });
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct both both = meet(server, client, cases[i].asked);
		char name[64] = "";

		CHECK_STR(both.problem, "");
		X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(both.client)),
			NID_commonName, name, sizeof(name));
		CHECK_STR(name, cases[i].given);
		part(&both);
	}
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

/* A CN for each certificate; all of one CA's issuing, so that clients can be given any. */
static void issue_kind(const char *name, const char *names, bool rsa)
{
	char key[32];

	snprintf(key, sizeof(key), "%s-key", name);
	issue_as((struct gb__tls_issue){ .certificate = in_folder(name),
		.key = in_folder(key),
		.common_name = name,
		.names = names,
		.rsa = rsa });
}

/* A client that can check keys of this kind alone. */
static void know(SSL *client, int version, bool rsa)
{
	SSL_set_max_proto_version(client, version);
	CHECK(SSL_set1_sigalgs_list(client, rsa ? "rsa_pss_rsae_sha256:RSA+SHA256" : "ECDSA+SHA256"));
	CHECK(SSL_set_cipher_list(
		client, rsa ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256"));
}

/* The CN of what it gets, "" if nothing. */
static const char *given_to(
	struct gb__tls *server, struct gb__tls *client, const char *asked, int version, bool rsa)
{
	static char name[64];
	struct both both = { .server = session_of(server), .client = session_of(client) };

	CHECK_INT(gb__tls_client_prepare(client, both.client, asked), 0);
	know(both.client, version, rsa);
	shake(&both);
	*name = '\0';
	if (both.client_done == 1)
		X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(both.client)),
			NID_commonName, name, sizeof(name));
	part(&both);
	return name;
}

TEST(certificate_of_a_name_is_the_one_that_the_client_can_check)
{
	static const struct {
		const char *asked, *ecdsa, *rsa;
	} cases[] = { { "pair.example", "e1", "r1" }, { NULL, "e1", "r1" }, { "unknown.example", "e1", "r1" },
		{ "more.example", "e2", "r1" }, { "single.example", "", "r2" },
		{ "a.wild.example", "e3", "r3" } };
	struct gb__tls_options options = { .server = true };
	struct gb__tls *server, *client;
	char certificates[512] = "", keys[512] = "";
	static const char *const all[] = { "e1", "r1", "e2", "r2", "e3", "r3", "again" };

	folder_make();
	issue_kind("e1", "DNS:pair.example", false);
	issue_kind("r1", "DNS:pair.example,DNS:more.example", true);
	issue_kind("e2", "DNS:more.example", false);
	issue_kind("r2", "DNS:single.example", true);
	issue_kind("e3", "DNS:*.wild.example", false);
	issue_kind("r3", "DNS:*.wild.example", true);
	issue_kind("again", "DNS:pair.example,DNS:more.example,DNS:*.wild.example", false);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		snprintf(certificates + strlen(certificates), 64, "%s%s", i ? "," : "", in_folder(all[i]));
		snprintf(keys + strlen(keys), 64, "%s%s-key", i ? "," : "", in_folder(all[i]));
	}
	options.certificates = certificates;
	options.keys = keys;
	server = create(options);
	client = create((struct gb__tls_options){ 0 });
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (size_t j = 0; j < 2; j++) {
			CHECK_STR(
				given_to(server, client, cases[i].asked, versions[j], false), cases[i].ecdsa);
			CHECK_STR(given_to(server, client, cases[i].asked, versions[j], true), cases[i].rsa);
		}
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

static bool resumes_as(struct gb__tls *server, struct gb__tls *client, int version, bool rsa)
{
	struct both both = { .server = session_of(server), .client = session_of(client) };
	bool reused;

	CHECK_INT(gb__tls_client_prepare(client, both.client, "localhost"), 0);
	know(both.client, version, rsa);
	shake(&both);
	CHECK_STR(both.problem, "");
	reused = SSL_session_reused(both.server);
	part(&both);
	return reused;
}

/* After begin: by ECDSA, and by RSA. `ocsp`: what the former has, or NULL. */
static struct gb__tls *create_of_both(const char *ocsp)
{
	struct gb__tls_options options = server_options();
	char certificates[256], keys[256];

	issue_kind("rsa", "DNS:localhost", true);
	snprintf(certificates, sizeof(certificates), "%s,%s", in_folder("cert"), in_folder("rsa"));
	snprintf(keys, sizeof(keys), "%s,%s", in_folder("key"), in_folder("rsa-key"));
	options.certificates = certificates;
	options.keys = keys;
	options.ocsp = ocsp;
	return create(options);
}

TEST(sessions_by_either_certificate_of_a_name_are_resumed)
{
	struct gb__tls *server, *client;

	begin();
	server = create_of_both(NULL);
	for (size_t i = 0; i < 4; i++) {
		client = create((struct gb__tls_options){ .ticket_ms = HOUR_MS });
		CHECK(!resumes_as(server, client, versions[i / 2], i & 1));
		CHECK(resumes_as(server, client, versions[i / 2], i & 1));
		gb__tls_destroy(client);
	}
	gb__tls_destroy(server);
	folder_remove();
}

/* The length of the response that a client gets who can check keys of this kind. */
static long stapled_to(struct gb__tls *server, struct gb__tls *client, int version, bool rsa)
{
	struct both both = { .server = session_of(server), .client = session_of(client) };
	const unsigned char *bytes;
	long size;

	know(both.client, version, rsa);
	SSL_set_tlsext_status_type(both.client, TLSEXT_STATUSTYPE_ocsp);
	shake(&both);
	CHECK_STR(both.problem, "");
	size = SSL_get_tlsext_status_ocsp_resp(both.client, &bytes);
	part(&both);
	return size;
}

TEST(response_of_ocsp_is_about_the_certificate_that_the_client_gets)
{
	struct gb__tls *server, *client;

	begin();
	respond(V_OCSP_CERTSTATUS_GOOD);
	server = create_of_both(in_folder("ocsp"));
	client = create((struct gb__tls_options){ 0 });
	for (size_t i = 0; i < 2; i++) {
		CHECK(stapled_to(server, client, versions[i], false) > 100);
		CHECK(stapled_to(server, client, versions[i], true) <= 0);
	}
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}

TEST(response_of_ocsp_is_stapled)
{
	struct gb__tls_options options;
	struct gb__tls *server, *client;
	const unsigned char *bytes;
	struct both both;

	begin();
	respond(V_OCSP_CERTSTATUS_GOOD);
	options = server_options();
	options.ocsp = in_folder("ocsp");
	server = create(options);
	client = create(client_options());
	both = (struct both){ .server = session_of(server), .client = session_of(client) };
	SSL_set_tlsext_status_type(both.client, TLSEXT_STATUSTYPE_ocsp);
	shake(&both);
	CHECK_STR(both.problem, "");
	CHECK(SSL_get_tlsext_status_ocsp_resp(both.client, &bytes) > 100);
	part(&both);
	expect(server, client, "localhost", ""); /* who does not ask gets none */
	gb__tls_destroy(client);
	gb__tls_destroy(server);
	folder_remove();
}
