#include "tls/issue.h"

#include "tls/context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

static FILE *create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static X509 *fill(const struct gb__tls_issue *what, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *certificate = X509_new();
	uint64_t serial;
	bool filled;

	if (!certificate)
		return NULL;
	filled = RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
		X509_set_version(certificate, 2) &&
		ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), (long)what->from_s) &&
		X509_gmtime_adj(X509_getm_notAfter(certificate), (long)what->until_s) &&
		X509_set_pubkey(certificate, key) &&
		X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
			(const unsigned char *)what->common_name, -1, -1, 0) &&
		X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate)) &&
		extend(certificate, issuer ? issuer : certificate, NID_basic_constraints,
			what->authority ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
		(!what->names || extend(certificate, certificate, NID_subject_alt_name, what->names)) &&
		X509_sign(certificate, issuer ? issuer_key : key, EVP_sha256());
	if (filled)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static int write_both(
	const struct gb__tls_issue *what, X509 *certificate, EVP_PKEY *key, struct gb_error *error)
{
	FILE *certificate_file = create(what->certificate);
	FILE *key_file = certificate_file ? create(what->key) : NULL;
	int result = key_file ? 0 : -errno;

	if (result == 0 &&
		(PEM_write_X509(certificate_file, certificate) != 1 ||
			PEM_write_PrivateKey(key_file, key, what->password ? EVP_aes_256_cbc() : NULL, NULL,
				0, NULL, (void *)what->password) != 1))
		result = -EIO;
	if (certificate_file && fclose(certificate_file) != 0 && result == 0)
		result = -errno;
	if (key_file && fclose(key_file) != 0 && result == 0)
		result = -errno;
	return result < 0
		? gb_error_set(error, result, "%s, %s: %s", what->certificate, what->key, gb_strerror(result))
		: 0;
}

static X509 *read_certificate(const char *path)
{
	FILE *file = fopen(path, "re");
	X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

	if (file)
		fclose(file);
	return certificate;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;

	if (file)
		fclose(file);
	return key;
}

int gb__tls_issue(const struct gb__tls_issue *what, struct gb_error *error)
{
	EVP_PKEY *key = what->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *issuer = what->issuer_certificate ? read_certificate(what->issuer_certificate) : NULL;
	EVP_PKEY *issuer_key = issuer ? read_key(what->issuer_key) : NULL;
	X509 *certificate = NULL;
	int result;

	if (key && (!what->issuer_certificate || issuer_key))
		certificate = fill(what, key, issuer, issuer_key);
	if (certificate)
		result = write_both(what, certificate, key, error);
	else
		result = gb_error_set(error, -EIO, "no certificate could be made for %s: %s",
			what->common_name, gb__tls_reason("no reason is known"));
	X509_free(certificate);
	X509_free(issuer);
	EVP_PKEY_free(issuer_key);
	EVP_PKEY_free(key);
	return result;
}
