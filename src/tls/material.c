#include "tls/material.h"

#include "base/alloc.h"
#include "base/log.h"
#include "tls/context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (4u << 20) /* the bundle of a system's roots has about 0.25 MiB */
#define PASSWORD_MAX 1024

const char *gb__tls_reason(const char *text)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return reason ? reason : text;
}

static int refuse(struct gb__tls_file file, const char *what, struct gb_error *error)
{
	ERR_clear_error();
	return gb_error_set(error, -GB_EUSAGE, "%s: %s: %s", file.option, file.path, what);
}

/* All of a file, or why not. */
static int slurp(struct gb__tls_file file, char **ret, size_t *ret_size, struct gb_error *error)
{
	int fd = open(file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result = 0;
	struct stat stat;
	size_t size = 0;
	char *bytes = NULL;

	if (fd < 0 || fstat(fd, &stat) < 0) {
		result = -errno;
		if (fd >= 0)
			close(fd);
		return gb_error_set(error, result, "%s: %s: %s", file.option, file.path, gb_strerror(result));
	}
	if (!S_ISREG(stat.st_mode) || stat.st_size > FILE_BYTES_MAX) {
		close(fd);
		return refuse(file, S_ISREG(stat.st_mode) ? "is too large to be one" : "is no file", error);
	}
	bytes = gb__alloc((size_t)stat.st_size + 1);
	if (!bytes)
		result = -ENOMEM;
	while (result == 0 && size < (size_t)stat.st_size) {
		ssize_t count = read(fd, bytes + size, (size_t)stat.st_size - size);

		if (count < 0 && errno != EINTR)
			result = -errno;
		else if (count == 0)
			break;
		else if (count > 0)
			size += (size_t)count;
	}
	close(fd);
	if (result < 0) {
		gb__free(bytes);
		return gb_error_set(error, result, "%s: %s: %s", file.option, file.path, gb_strerror(result));
	}
	bytes[size] = '\0';
	*ret = bytes;
	*ret_size = size;
	return 0;
}

/* The same for OpenSSL; secrets do not stay behind. */
static int open_pem(
	struct gb__tls_file file, BIO **ret, char **ret_bytes, size_t *ret_size, struct gb_error *error)
{
	int result = slurp(file, ret_bytes, ret_size, error);

	if (result < 0)
		return result;
	*ret = BIO_new_mem_buf(*ret_bytes, (int)*ret_size);
	if (*ret)
		return 0;
	OPENSSL_cleanse(*ret_bytes, *ret_size);
	gb__free(*ret_bytes);
	return gb_error_set(error, -ENOMEM, "%s: no memory for %s", file.option, file.path);
}

static void close_pem(BIO *bio, char *bytes, size_t size)
{
	BIO_free(bio);
	OPENSSL_cleanse(bytes, size);
	gb__free(bytes);
}

/* The end of a file of PEM is an error of its reader; others are damage. */
static bool only_ended(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static const char *none_of(const char *bytes, size_t size)
{
	if (size == 0)
		return "is empty";
	if ((unsigned char)bytes[0] == 0x30)
		return "is DER; PEM is what is read (openssl x509 -inform DER -in FILE)";
	if (strstr(bytes, "PRIVATE KEY-----"))
		return "holds a key, and no certificate";
	return "holds no certificate in PEM";
}

/* When a time of a certificate lies: before now, or after. */
static bool past(const ASN1_TIME *time)
{
	return X509_cmp_current_time(time) < 0;
}

static void tell_dates(struct gb__tls_file file, const X509 *leaf)
{
	const ASN1_TIME *time = past(X509_get0_notAfter(leaf)) ? X509_get0_notAfter(leaf)
		: !past(X509_get0_notBefore(leaf))             ? X509_get0_notBefore(leaf)
							       : NULL;
	char text[64];
	BIO *bio = time ? BIO_new(BIO_s_mem()) : NULL;
	int size;

	if (!bio)
		return;
	ASN1_TIME_print(bio, time);
	size = BIO_read(bio, text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	BIO_free(bio);
	gb__log(GB__LOG_WARNING, "%s: %s: the certificate %s: %s", file.option, file.path,
		time == X509_get0_notAfter(leaf) ? "has expired" : "is not valid yet", text);
}

static int check_order(struct gb__tls_file file, const struct gb__tls_chain *chain, struct gb_error *error)
{
	const X509 *subject = chain->leaf;

	for (int i = 0; i < sk_X509_num(chain->others); i++) {
		X509 *issuer = sk_X509_value(chain->others, i);

		if (X509_check_issued(issuer, (X509 *)subject) != X509_V_OK) {
			ERR_clear_error();
			return gb_error_set(error, -GB_EUSAGE,
				"%s: %s: the chain is out of order: certificate %d is not by certificate %d; write the server's "
				"own first, then each one's issuer",
				file.option, file.path, i + 1, i + 2);
		}
		subject = issuer;
	}
	return 0;
}

int gb__tls_chain_read(struct gb__tls_file file, struct gb__tls_chain *ret_chain, struct gb_error *error)
{
	struct gb__tls_chain chain = { .others = sk_X509_new_null() };
	char *bytes = NULL;
	size_t size = 0;
	BIO *bio;
	int result = open_pem(file, &bio, &bytes, &size, error);

	if (result < 0) {
		gb__tls_chain_free(&chain);
		return result;
	}
	ERR_clear_error();
	chain.leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	if (!chain.leaf)
		result = refuse(
			file, only_ended() ? none_of(bytes, size) : "its certificate is damaged", error);
	while (result == 0) {
		X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		if (!next) {
			if (!only_ended())
				result = refuse(file, "a certificate of its chain is damaged", error);
			break;
		}
		if (!chain.others || !sk_X509_push(chain.others, next)) {
			X509_free(next);
			result = gb_error_set(error, -ENOMEM, "%s: no memory for %s", file.option, file.path);
		}
	}
	ERR_clear_error();
	close_pem(bio, bytes, size);
	if (result == 0)
		result = check_order(file, &chain, error);
	if (result < 0) {
		gb__tls_chain_free(&chain);
		return result;
	}
	tell_dates(file, chain.leaf);
	*ret_chain = chain;
	return 0;
}

struct password {
	const char *text; /* a line, or NULL */
	size_t size;
	bool asked;
};

static int give_password(char *room, int size, int writing, void *arg)
{
	struct password *password = arg;

	password->asked = true;
	if (!password->text || password->size > (size_t)size)
		return -1;
	memcpy(room, password->text, password->size);
	return (int)password->size;
}

static EVP_PKEY *try_key(const char *bytes, size_t size, struct password *password)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)size);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, password) : NULL;

	BIO_free(bio);
	return key;
}

/* With each line of the file in turn. */
static EVP_PKEY *try_passwords(const char *bytes, size_t size, const char *lines, struct password *password)
{
	EVP_PKEY *key = NULL;

	while (!key && lines && *lines) {
		size_t length = strcspn(lines, "\r\n");

		password->text = lines;
		password->size = length;
		if (length > 0 && length <= PASSWORD_MAX)
			key = try_key(bytes, size, password);
		lines += length;
		lines += strspn(lines, "\r\n");
	}
	return key;
}

int gb__tls_key_read(struct gb__tls_file file, const char *certificates, const char *password_file,
	struct gb__tls_chain *chain, struct gb_error *error)
{
	struct password password = { 0 };
	char *bytes = NULL, *lines = NULL;
	size_t size = 0, lines_size = 0;
	int result = slurp(file, &bytes, &size, error);

	if (result < 0)
		return result;
	if (password_file)
		result = slurp((struct gb__tls_file){ "tls-password-file", password_file }, &lines,
			&lines_size, error);
	if (result == 0) {
		ERR_clear_error();
		chain->key = try_key(bytes, size, &password);
		if (!chain->key && password.asked)
			chain->key = try_passwords(bytes, size, lines, &password);
		if (!chain->key && password.asked && !password_file)
			result = refuse(file,
				"the key is encrypted, and tls-password-file names no file with its password",
				error);
		else if (!chain->key && password.asked)
			result = refuse(file, "no password of tls-password-file opens the key", error);
		else if (!chain->key)
			result = refuse(file,
				strstr(bytes, "PRIVATE KEY-----") ? "the key is damaged"
					: size && (unsigned char)bytes[0] == 0x30
					? "is DER; PEM is what is read"
					: "holds no private key in PEM",
				error);
		else if (X509_check_private_key(chain->leaf, chain->key) != 1)
			result = gb_error_set(error, -GB_EUSAGE,
				"%s: %s: the key is not that of the certificate in %s", file.option,
				file.path, certificates);
	}
	ERR_clear_error();
	OPENSSL_cleanse(bytes, size);
	gb__free(bytes);
	if (lines)
		OPENSSL_cleanse(lines, lines_size);
	gb__free(lines);
	return result;
}

void gb__tls_chain_free(struct gb__tls_chain *chain)
{
	X509_free(chain->leaf);
	sk_X509_pop_free(chain->others, X509_free);
	EVP_PKEY_free(chain->key);
	*chain = (struct gb__tls_chain){ 0 };
}

static time_t seconds_of(const ASN1_GENERALIZEDTIME *time)
{
	struct tm tm;

	return time && ASN1_TIME_to_tm(time, &tm) ? timegm(&tm) : 0;
}

/* The certificate that a response is about is known by its serial number here: whoever made the response knows the issuer. */
static const char *judge_response(OCSP_RESPONSE *response, X509 *leaf, time_t *ret_until)
{
	OCSP_BASICRESP *basic = OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL
		? OCSP_response_get1_basic(response)
		: NULL;
	const char *problem = basic ? "is about another certificate" : "is no successful response";

	for (int i = 0; basic && i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		ASN1_GENERALIZEDTIME *next = NULL;
		ASN1_INTEGER *serial;
		int status;

		OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single));
		if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0)
			continue;
		status = OCSP_single_get0_status(single, NULL, NULL, NULL, &next);
		problem = status == V_OCSP_CERTSTATUS_GOOD ? NULL : "says that the certificate is not good";
		*ret_until = seconds_of(next);
		break;
	}
	OCSP_BASICRESP_free(basic);
	return problem;
}

int gb__tls_staple_read(
	struct gb__tls_file file, X509 *leaf, struct gb__tls_staple *ret, struct gb_error *error)
{
	char *bytes = NULL;
	const unsigned char *cursor;
	struct gb__tls_staple staple = { 0 };
	OCSP_RESPONSE *response;
	const char *problem = "is no response of OCSP in DER";
	int result = slurp(file, &bytes, &staple.size, error);

	if (result < 0)
		return result;
	cursor = (const unsigned char *)bytes;
	response = d2i_OCSP_RESPONSE(NULL, &cursor, (long)staple.size);
	if (response)
		problem = judge_response(response, leaf, &staple.until);
	OCSP_RESPONSE_free(response);
	if (problem) {
		gb__free(bytes);
		return refuse(file, problem, error);
	}
	ERR_clear_error();
	if (staple.until && staple.until < time(NULL))
		gb__log(GB__LOG_WARNING, "%s: %s: the response is over: clients get none", file.option,
			file.path);
	staple.bytes = (unsigned char *)bytes;
	*ret = staple;
	return 0;
}

int gb__tls_trust_read(
	struct gb__tls_file file, X509_STORE *store, STACK_OF(X509_NAME) * names, struct gb_error *error)
{
	char *bytes = NULL;
	size_t size = 0, count = 0;
	BIO *bio;
	X509 *certificate;
	int result = open_pem(file, &bio, &bytes, &size, error);

	if (result < 0)
		return result;
	ERR_clear_error();
	while (result == 0 && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
		X509_NAME *name = names ? X509_NAME_dup(X509_get_subject_name(certificate)) : NULL;

		if (!X509_STORE_add_cert(store, certificate))
			result = refuse(file, gb__tls_reason("a certificate cannot be taken"), error);
		if (name && !sk_X509_NAME_push(names, name))
			X509_NAME_free(name);
		X509_free(certificate);
		count++;
	}
	if (result == 0 && (count == 0 || !only_ended()))
		result =
			refuse(file, only_ended() ? none_of(bytes, size) : "a certificate is damaged", error);
	ERR_clear_error();
	close_pem(bio, bytes, size);
	return result;
}
