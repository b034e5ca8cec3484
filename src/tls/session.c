/*
 * A session between two queues of bytes: what has arrived is read by OpenSSL from where it lies, what it writes goes to
 * `emit`. Its BIO is both. One of TLS 1.3 is handed over to records of ours after a while: then OpenSSL has none of it.
 *
 * Nothing is kept while nothing is under way but OpenSSL's own state: its buffers go back with each whole record.
 */
#include "tls/session.h"
#include "tls/context.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define HEADER SSL3_RT_HEADER_LENGTH
#define PROBLEM_MAX 160u
#define CLOSE_NOTIFY_SIZE (GB__RECORD_OVERHEAD + 2u)

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *data, int size)
{
	struct gb__tls_session *session = BIO_get_data(bio);
	const size_t taken = gb__min(session->input_size, (size_t)size);

	BIO_clear_retry_flags(bio);
	if (session->established && size == HEADER && taken > 0 && ++session->silent > GB__TLS_SILENT_MAX)
		return -1;
	if (taken == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(data, session->input, taken);
	gb__tls_handover_reads(session, session->input, taken);
	session->input += taken;
	session->input_size -= taken;
	return (int)taken;
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct gb__tls_session *session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (session->error == 0)
		session->error = session->sink->emit(session->arg, data, (size_t)size);
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

size_t gb__tls_session_size(void)
{
	return sizeof(struct gb__tls_session);
}

int gb__tls_session_init(struct gb__tls_session *session, struct gb__tls *tls, struct gb__tls_pool *pool,
	const char *name, const struct gb__tls_sink *sink, void *arg)
{
	SSL_CTX *ctx = gb__tls_current(tls);
	BIO *bio;

	*session = (struct gb__tls_session){ .ssl = SSL_new(ctx), .pool = pool, .sink = sink, .arg = arg };
	SSL_CTX_free(ctx);
	bio = session->ssl ? bio_create(session) : NULL;
	if (!bio)
		goto fail;
	SSL_set_bio(session->ssl, bio, bio);
	gb__tls_handover_prepare(session);
	session->server = SSL_is_server(session->ssl);
	if (session->server)
		SSL_set_accept_state(session->ssl);
	else
		SSL_set_connect_state(session->ssl);
	if (!session->server && gb__tls_client_prepare(tls, session->ssl, name) < 0)
		goto fail;
	return 0;
fail:
	ERR_clear_error();
	gb__tls_session_finish(session);
	return -ENOMEM;
}

void gb__tls_session_finish(struct gb__tls_session *session)
{
	gb__tls_handover_unwatch(session);
	SSL_free(session->ssl);
	gb__tls_traffic_finish(session);
	gb__tls_buffer_give(session->pool, session->room);
	gb__tls_problem_free(session);
	gb__free(session->texts);
	*session = (struct gb__tls_session){ 0 };
}

int gb__tls_session_create(struct gb__tls *tls, struct gb__tls_pool *pool, const char *name,
	const struct gb__tls_sink *sink, void *arg, struct gb__tls_session **ret)
{
	struct gb__tls_session *session = gb__alloc(sizeof(*session));
	int result = session ? gb__tls_session_init(session, tls, pool, name, sink, arg) : -ENOMEM;

	if (result < 0)
		gb__free(session);
	else
		*ret = session;
	return result;
}

void gb__tls_session_destroy(struct gb__tls_session *session)
{
	if (session)
		gb__tls_session_finish(session);
	gb__free(session);
}

static void room_give(struct gb__tls_session *session)
{
	gb__tls_buffer_give(session->pool, session->room);
	session->room = NULL;
}

void gb__tls_session_input(struct gb__tls_session *session, unsigned char *data, size_t size)
{
	session->input = data;
	session->input_size = size;
	if (!session->partial && session->room)
		room_give(session);
}

bool gb__tls_session_unread(const struct gb__tls_session *session)
{
	return session->input_size > 0;
}

/* What OpenSSL says, as somebody would who looks from this side. */
static const char *reason_of(struct gb__tls_session *session, char *text, size_t size)
{
	const unsigned long code = ERR_peek_error();
	const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
	const long verified = SSL_get_verify_result(session->ssl);

	if (session->silent > GB__TLS_SILENT_MAX)
		return GB__TLS_SILENT;
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
	if (reason > SSL_AD_REASON_OFFSET)
		return gb__tls_alert_text(reason - SSL_AD_REASON_OFFSET, text, size);
	return ERR_reason_error_string(code);
}

static int fail(struct gb__tls_session *session)
{
	char text[PROBLEM_MAX];

	return gb__tls_session_fail(session,
		session->error < 0 ? gb_strerror(session->error) : reason_of(session, text, sizeof(text)));
}

static void established(struct gb__tls_session *session)
{
	session->established = true;
	session->resumed = SSL_session_reused(session->ssl);
	session->in_records = 0; /* the peer's Finished was the last one with other keys */
	session->body = session->header_size = 0;
	if (session->server)
		gb__tls_handover_watch(session);
}

/* Bytes of the application have come. A client's tickets were before them: from here on nothing is lost with OpenSSL. */
static void has_read(struct gb__tls_session *session)
{
	if (session->set_aside || (!session->has_read && !session->server))
		gb__tls_handover_watch(session);
	session->has_read = true;
	session->silent = 0;
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
		established(session);
		return 1;
	}
	return SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_READ ? 0 : fail(session);
}

/* A second message is there: this is a connection that stays. Who only says that it ends does not. */
static bool stays(const struct gb__tls_session *session)
{
	return session->has_read && session->young &&
		(session->input_size < HEADER || session->input[3] ||
			session->input[4] + HEADER != CLOSE_NOTIFY_SIZE);
}

ssize_t gb__tls_session_read(struct gb__tls_session *session, unsigned char **ret)
{
	size_t used = 0;
	int result = 1;

	if (session->ssl && session->input_size > 0 && stays(session))
		gb__tls_handover(session);
	if (!session->ssl)
		return gb__tls_traffic_read(session, ret);
	if (session->failed)
		return -GB_EBADFRAME;
	if (!session->room)
		session->room = gb__tls_buffer_take(session->pool);
	if (!session->room) {
		session->error = -ENOMEM;
		return fail(session);
	}
	*ret = session->room;
	ERR_clear_error();
	while (used < GB__RECORD_PLAIN_MAX && !session->ended &&
		(session->input_size > 0 || SSL_has_pending(session->ssl))) {
		size_t got;

		result = SSL_read_ex(session->ssl, session->room + used, GB__RECORD_PLAIN_MAX - used, &got);
		if (result <= 0)
			break;
		has_read(session);
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
	session->silent = 0; /* who only listens may update keys now and then */
	if (!session->ssl)
		return gb__tls_traffic_write(session, data, size);
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
	if (!session->ssl) {
		gb__tls_traffic_close(session);
		return;
	}
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

bool gb__tls_session_ends_last(const struct gb__tls_session *session)
{
	return session->ssl && SSL_version(session->ssl) < TLS1_3_VERSION;
}

bool gb__tls_session_resumed(const struct gb__tls_session *session)
{
	return session->resumed;
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

int gb__tls_texts_take(struct gb__tls_session *session)
{
	const char *name = SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);
	const size_t name_size = name ? strlen(name) : 0;
	char *subject = session->texts ? NULL : subject_of(session->ssl);
	struct gb__tls_texts *texts;
	const unsigned char *alpn;
	unsigned alpn_size;
	size_t subject_size;

	if (!subject) {
		ERR_clear_error();
		return session->texts ? 0 : -ENOMEM;
	}
	SSL_get0_alpn_selected(session->ssl, &alpn, &alpn_size);
	subject_size = strlen(subject);
	if (alpn_size + name_size + subject_size == 0) {
		OPENSSL_free(subject);
		return 0;
	}
	texts = gb__alloc(sizeof(*texts) + alpn_size + 1 + name_size + 1 + subject_size + 1);
	if (texts) {
		texts->server_name = alpn_size + 1;
		texts->subject = texts->server_name + name_size + 1;
		memset(texts->text, 0, texts->subject);
		if (alpn_size > 0)
			memcpy(texts->text, alpn, alpn_size);
		if (name_size > 0)
			memcpy(texts->text + texts->server_name, name, name_size);
		memcpy(texts->text + texts->subject, subject, subject_size + 1);
	}
	session->texts = texts;
	OPENSSL_free(subject);
	return texts ? 0 : -ENOMEM;
}

int gb__tls_session_info(struct gb__tls_session *session, struct gb_tls_info *ret)
{
	const struct gb__tls_texts *texts;

	if (session->ssl && gb__tls_texts_take(session) < 0)
		return -ENOMEM;
	texts = session->texts;
	*ret = (struct gb_tls_info){
		.version = session->ssl ? SSL_get_version(session->ssl) : "TLSv1.3",
		.cipher = session->ssl ? SSL_get_cipher_name(session->ssl) : session->suite->name,
		.alpn = texts ? texts->text : "",
		.server_name = texts ? texts->text + texts->server_name : "",
		.subject = texts ? texts->text + texts->subject : "",
		.resumed = session->resumed,
	};
	return 0;
}
