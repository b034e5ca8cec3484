#include "tls/certificate_test_driver.h"

#include "harness.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <unistd.h>

static FILE *file_create(char *path)
{
	int fd;

	strcpy(path, "/tmp/gearbox-test-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	return fdopen(fd, "w");
}

static X509 *certificate_create(EVP_PKEY *key, const char *name)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);

	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	CHECK(X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0));
	CHECK(X509_set_issuer_name(certificate, subject));
	CHECK(X509_set_pubkey(certificate, key));
	CHECK(X509_sign(certificate, key, EVP_sha256()));
	return certificate;
}

void certificate_files(const char *name, char *ret_certificate, char *ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate;
	FILE *file;

	CHECK(key);
	certificate = certificate_create(key, name);
	file = file_create(ret_certificate);
	CHECK(PEM_write_X509(file, certificate));
	fclose(file);
	file = file_create(ret_key);
	CHECK(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static struct gb__tls *create(const struct gb__tls_options *options)
{
	struct gb_error error;
	struct gb__tls *tls;

	if (gb__tls_create(options, &tls, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return tls;
}

struct gb__tls *tls_server(void)
{
	char certificate[64], key[64];
	struct gb__tls *tls;

	certificate_files("localhost", certificate, key);
	tls = create(&(struct gb__tls_options){
		.server = true, .certificates = certificate, .keys = key, .versions = "1.2" });
	unlink(certificate);
	unlink(key);
	return tls;
}

struct gb__tls *tls_client(void)
{
	return create(&(struct gb__tls_options){ .versions = "1.2" });
}
