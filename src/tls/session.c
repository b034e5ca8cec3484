/*
 * A session between two queues of bytes: what has arrived is read by OpenSSL from where it lies, what it writes goes to
 * `emit`. Its BIO is both.
 *
 * Nothing is kept while nothing is under way but OpenSSL's own state: its buffers go back with each whole record.
 */
#include "tls/context.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* So many records in a row without a byte for us, as of KeyUpdate, are a flood. */
#define SILENT_MAX 64u
#define HEADER SSL3_RT_HEADER_LENGTH
#define PROBLEM_MAX 160u

struct texts {
	char *subject;
	char alpn[256];
};

struct gb__tls_session {
	SSL *ssl;
	gb__tls_emit *emit;
	void *arg;
	const unsigned char *input; /* what has arrived and was not read */
	size_t input_size;
	char *problem; /* or NULL; without memory for it: static */
	struct texts *texts;
	int error; /* what emit has failed with */
	uint16_t silent;
	bool established, failed, ended, closed, met_http;
};

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static char no_memory[] = "no memory";

static int bio_read(BIO *bio, char *data, int size)
{
	struct gb__tls_session *session = BIO_get_data(bio);
	const size_t taken = gb__min(session->input_size, (size_t)size);

	BIO_clear_retry_flags(bio);
	if (session->established && size == HEADER && taken > 0 && ++session->silent > SILENT_MAX)
		return -1;
	if (taken == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(data, session->input, taken);
	session->input += taken;
	session->input_size -= taken;
	return (int)taken;
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct gb__tls_session *session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (session->error == 0)
		session->error = session->emit(session->arg, data, (size_t)size);
	return session->error < 0 ? -1 : size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static void method_make(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gearbox");
	if (!method)
		return;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

static BIO *bio_create(struct gb__tls_session *session)
{
	BIO *bio;

	pthread_once(&method_once, method_make);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, session);
	BIO_set_init(bio, 1);
	return bio;
}

int gb__tls_session_create(
	struct gb__tls *tls, const char *name, gb__tls_emit *emit, void *arg, struct gb__tls_session **ret)
{
	struct gb__tls_session *session = gb__alloc_zero(sizeof(*session));
	SSL_CTX *ctx = gb__tls_current(tls);
	BIO *bio;

	if (session)
		*session = (struct gb__tls_session){ .ssl = SSL_new(ctx), .emit = emit, .arg = arg };
	SSL_CTX_free(ctx);
	bio = session && session->ssl ? bio_create(session) : NULL;
	if (!bio)
		goto fail;
	SSL_set_bio(session->ssl, bio, bio);
	if (SSL_is_server(session->ssl))
		SSL_set_accept_state(session->ssl);
	else
		SSL_set_connect_state(session->ssl);
	if (!SSL_is_server(session->ssl) && gb__tls_client_prepare(tls, session->ssl, name) < 0)
		goto fail;
	*ret = session;
	return 0;
fail:
	ERR_clear_error();
	gb__tls_session_destroy(session);
	return -ENOMEM;
}

void gb__tls_session_destroy(struct gb__tls_session *session)
{
	if (!session)
		return;
	SSL_free(session->ssl);
	if (session->problem != no_memory)
		gb__free(session->problem);
	if (session->texts)
		OPENSSL_free(session->texts->subject);
	gb__free(session->texts);
	gb__free(session);
}

void gb__tls_session_input(struct gb__tls_session *session, const unsigned char *data, size_t size)
{
	session->input = data;
	session->input_size = size;
}

bool gb__tls_session_unread(const struct gb__tls_session *session)
{
	return session->input_size > 0;
}

/* What the peer says by an alert; OpenSSL 3.0 has no words for some. */
static const char *alert_of(int alert)
{
	switch (alert) {
	case SSL_AD_MISSING_EXTENSION:
		return "missing extension";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	case SSL_AD_INAPPROPRIATE_FALLBACK:
		return "inappropriate fallback";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

/* What OpenSSL says, as somebody would who looks from this side. */
static const char *reason_of(struct gb__tls_session *session, char *text, size_t size)
{
	const unsigned long code = ERR_peek_error();
	const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
	const long verified = SSL_get_verify_result(session->ssl);

	if (session->silent > SILENT_MAX)
		return "the peer sends records without data and no end";
	if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST) {
		session->met_http = true;
		return "the peer speaks HTTP, no TLS";
	}
	if (!session->established && reason == SSL_R_WRONG_VERSION_NUMBER)
		return "the peer speaks no TLS";
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
		snprintf(text, size, "the peer's certificate: %s", X509_verify_cert_error_string(verified));
		return text;
	}
	if (reason > SSL_AD_REASON_OFFSET) {
		snprintf(text, size, "the peer says: %s", alert_of(reason - SSL_AD_REASON_OFFSET));
		return text;
	}
	return ERR_reason_error_string(code);
}

/* It is over. Returns what callers return. */
static int fail(struct gb__tls_session *session)
{
	char text[PROBLEM_MAX];
	const char *reason;

	if (session->failed)
		return -GB_EBADFRAME;
	session->failed = true;
	reason = session->error < 0 ? gb_strerror(session->error) : reason_of(session, text, sizeof(text));
	session->problem = gb__strdup(reason ? reason : "the peer does not keep to TLS");
	if (!session->problem)
		session->problem = no_memory;
	ERR_clear_error();
	return session->error < 0 ? session->error : -GB_EBADFRAME;
}

int gb__tls_session_handshake(struct gb__tls_session *session)
{
	int result;

	if (session->failed)
		return -GB_EBADFRAME;
	ERR_clear_error();
	result = SSL_do_handshake(session->ssl);
	if (session->error < 0)
		return fail(session);
	if (result > 0) {
		session->established = true;
		return 1;
	}
	return SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_READ ? 0 : fail(session);
}

ssize_t gb__tls_session_read(struct gb__tls_session *session, unsigned char *data, size_t size)
{
	size_t used = 0;
	int result = 1;

	if (session->failed)
		return -GB_EBADFRAME;
	ERR_clear_error();
	while (used < size && !session->ended && (session->input_size > 0 || SSL_has_pending(session->ssl))) {
		size_t got;

		result = SSL_read_ex(session->ssl, data + used, size - used, &got);
		if (result <= 0)
			break;
		session->silent = 0;
		used += got;
	}
	if (result > 0)
		return (ssize_t)used;
	switch (session->error < 0 ? SSL_ERROR_SSL : SSL_get_error(session->ssl, result)) {
	case SSL_ERROR_ZERO_RETURN:
		session->ended = true;
		break;
	case SSL_ERROR_WANT_READ:
		break;
	default:
		(void)fail(session); /* which the next call says */
		if (used == 0)
			return -GB_EBADFRAME;
	}
	return (ssize_t)used;
}

ssize_t gb__tls_session_write(struct gb__tls_session *session, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	size_t used = 0;

	if (session->failed)
		return -GB_EBADFRAME;
	ERR_clear_error();
	while (used < size) {
		/* One record at a time: between two a write can stop. */
		size_t piece = gb__min(size - used, (size_t)SSL3_RT_MAX_PLAIN_LENGTH), written;
		int result = SSL_write_ex(session->ssl, bytes + used, piece, &written);

		if (session->error < 0)
			return fail(session);
		if (result <= 0)
			return SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_READ ? (ssize_t)used
											  : fail(session);
		used += piece;
	}
	return (ssize_t)used;
}

void gb__tls_session_close(struct gb__tls_session *session)
{
	if (session->closed || session->failed || !session->established)
		return;
	session->closed = true;
	ERR_clear_error();
	SSL_shutdown(session->ssl);
	ERR_clear_error();
}

bool gb__tls_session_ended(const struct gb__tls_session *session)
{
	return session->ended;
}

const char *gb__tls_session_problem(const struct gb__tls_session *session)
{
	return session->problem;
}

bool gb__tls_session_resumed(const struct gb__tls_session *session)
{
	return SSL_session_reused(session->ssl);
}

bool gb__tls_session_met_http(const struct gb__tls_session *session)
{
	return session->met_http;
}

/* As RFC 4514 writes it. */
static char *subject_of(SSL *ssl)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	BIO *memory;
	char *text = NULL, *bytes;
	long size;

	if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK ||
		!(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
		return OPENSSL_strdup("");
	memory = BIO_new(BIO_s_mem());
	if (!memory)
		return NULL;
	if (X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0,
		    XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		size = BIO_get_mem_data(memory, &bytes);
		text = OPENSSL_strndup(bytes, (size_t)size);
	}
	BIO_free(memory);
	return text;
}

static struct texts *texts_create(SSL *ssl)
{
	struct texts *texts = gb__alloc_zero(sizeof(*texts));
	const unsigned char *alpn;
	unsigned size;

	if (!texts)
		return NULL;
	texts->subject = subject_of(ssl);
	if (!texts->subject) {
		ERR_clear_error();
		gb__free(texts);
		return NULL;
	}
	SSL_get0_alpn_selected(ssl, &alpn, &size);
	if (size > 0)
		memcpy(texts->alpn, alpn, size); /* at most 255 bytes (RFC 7301) */
	return texts;
}

int gb__tls_session_info(struct gb__tls_session *session, struct gb_tls_info *ret)
{
	const char *name = SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);

	if (!session->texts)
		session->texts = texts_create(session->ssl);
	if (!session->texts)
		return -ENOMEM;
	*ret = (struct gb_tls_info){
		.version = SSL_get_version(session->ssl),
		.cipher = SSL_get_cipher_name(session->ssl),
		.alpn = session->texts->alpn,
		.server_name = name ? name : "",
		.subject = session->texts->subject,
		.resumed = SSL_session_reused(session->ssl),
	};
	return 0;
}
