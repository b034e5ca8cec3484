/** For tests: a folder with certificates, and contexts of them. */
#ifndef TLS_FILES_TEST_H
#define TLS_FILES_TEST_H

#include "tls/issue.h"
#include "tls/tls.h"

#include "harness.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

#define DAY_S (24 * 3600)

/* A folder of its own for each test, and the files in it. */
static char folder[64];

static inline const char *in_folder(const char *name)
{
	static char paths[16][160];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static inline void folder_make(void)
{
	snprintf(folder, sizeof(folder), "/tmp/gearbox-tls-XXXXXX");
	CHECK(mkdtemp(folder));
}

static inline void folder_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	CHECK(system(command) == 0);
}

static inline void issue_as(struct gb__tls_issue what)
{
	struct gb_error error = { 0 };

	if (!what.until_s)
		what.until_s = DAY_S;
	if (gb__tls_issue(&what, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
}

/* NAME.pem and NAME.key, by ca.pem. */
static inline void issue(const char *name, const char *names)
{
	issue_as((struct gb__tls_issue){ .certificate = in_folder(name),
		.key = in_folder("key"),
		.common_name = name,
		.names = names,
		.from_s = -60,
		.issuer_certificate = in_folder("ca"),
		.issuer_key = in_folder("ca-key") });
}

static inline void issue_ca(void)
{
	issue_as((struct gb__tls_issue){ .certificate = in_folder("ca"),
		.key = in_folder("ca-key"),
		.common_name = "the CA",
		.from_s = -60,
		.authority = true });
}

static inline void begin(void)
{
	folder_make();
	issue_ca();
	issue("cert", "DNS:localhost,IP:127.0.0.1");
}

static inline struct gb__tls *create(struct gb__tls_options options)
{
	struct gb__tls *tls = NULL;
	struct gb_error error = { 0 };

	if (gb__tls_create(&options, &tls, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return tls;
}

static inline struct gb__tls_options server_options(void)
{
	return (struct gb__tls_options){ .server = true,
		.certificates = in_folder("cert"),
		.keys = in_folder("key"),
		.ticket_ms = 3600000 };
}

static inline struct gb__tls_options client_options(void)
{
	return (struct gb__tls_options){
		.ca = in_folder("ca"), .verify = GB__TLS_VERIFY_REQUIRED, .ticket_ms = 3600000
	};
}

/* A response of the CA about a certificate. */
static inline void respond(int status)
{
	FILE *files[4] = { fopen(in_folder("cert"), "r"), fopen(in_folder("ca"), "r"),
		fopen(in_folder("ca-key"), "r"), fopen(in_folder("ocsp"), "w") };
	X509 *leaf = PEM_read_X509(files[0], NULL, NULL, NULL),
	     *ca = PEM_read_X509(files[1], NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_PrivateKey(files[2], NULL, NULL, NULL);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf, ca);
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *later = X509_gmtime_adj(NULL, DAY_S);
	unsigned char *bytes = NULL;
	OCSP_RESPONSE *response;
	int size;

	CHECK(OCSP_basic_add1_status(basic, id, status, 0, now, now, later));
	CHECK(OCSP_basic_sign(basic, ca, key, EVP_sha256(), NULL, 0));
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	size = i2d_OCSP_RESPONSE(response, &bytes);
	CHECK(size > 0 && fwrite(bytes, 1, (size_t)size, files[3]) == (size_t)size);
	OPENSSL_free(bytes);
	for (unsigned i = 0; i < 4; i++)
		fclose(files[i]);
	OCSP_RESPONSE_free(response);
	OCSP_CERTID_free(id);
	OCSP_BASICRESP_free(basic);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
}

#endif
