/*
 * The hand-over. After a handshake of TLS 1.3 all that is needed to go on are two secrets and two numbers of records: the
 * secrets log tells the former, the latter are counted. The SSL object, most of what a connection would hold, goes.
 *
 * Who has one message only does not pay for that: a session is handed over when a second one comes, or after a while. And as OpenSSL
 * writes its log by sprintf, which costs a fortieth of a handshake, a server on which many in a row have not stayed does without
 * until one does. OpenSSL keeps that one, and those that came meanwhile, which therefore are only so many.
 */
#include "tls/session.h"

#include "base/macros.h"

#include <openssl/err.h>
#include <string.h>

#define SSL_BYTES 8192u /* about what is freed */
#define BRIEF_MAX 32u
#define KEYLESS_MAX 256u /* some 3 MB of a worker */
#define HANDED_MAX 32u   /* with one call: some ten microseconds each */

/* Its Finished is the last record with the keys of the handshake; so OpenSSL's tickets are counted. */
static void on_message(int sent, int version, int type, const void *data, size_t size, SSL *ssl, void *arg)
{
	struct gb__tls_session *session = arg;
	const unsigned char *bytes = data;

	(void)version;
	if (type == SSL3_RT_HEADER && sent && bytes[0] == SSL3_RT_APPLICATION_DATA)
		session->out_records++;
	if (type == SSL3_RT_INNER_CONTENT_TYPE && !sent)
		session->within = bytes[0] == SSL3_RT_HANDSHAKE;
	if (type != SSL3_RT_HANDSHAKE || size == 0)
		return;
	if (!sent)
		session->within = SSL_has_pending(ssl); /* what is left of the record begins another one */
	if (sent && bytes[0] == SSL3_MT_FINISHED)
		session->out_records = 0;
	if (bytes[0] == SSL3_MT_KEY_UPDATE)
		session->updated = true;
}

void gb__tls_handover_prepare(struct gb__tls_session *session)
{
	SSL_set_app_data(session->ssl, session);
	SSL_set_msg_callback(session->ssl, on_message);
	SSL_set_msg_callback_arg(session->ssl, session);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns how many bytes, 0: it is none. */
static size_t read_hex(const char *text, unsigned char *ret, size_t max)
{
	size_t size = 0;

	for (; text[0] && text[1]; text += 2) {
		const int high = digit(text[0]), low = digit(text[1]);

		if (high < 0 || low < 0 || size == max)
			return 0;
		ret[size++] = (unsigned char)(high << 4 | low);
	}
	return size;
}

void gb__tls_handover_secret(SSL *ssl, const char *line)
{
	static const char names[2][24] = { "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0" };
	struct gb__tls_session *session = SSL_get_app_data(ssl);
	const char *secret = strrchr(line, ' ');

	for (int i = 0; session && secret && i < 2; i++) {
		const bool in = SSL_is_server(ssl) == (i == 0);
		struct gb__tls_way *way = in ? &session->in : &session->out;

		if (strncmp(line, names[i], 23) != 0 || line[23] != ' ')
			continue;
		session->secret_size = (uint8_t)read_hex(secret + 1, way->secret, sizeof(way->secret));
		session->secrets |= (uint8_t)(in ? 1 : 2);
	}
}

/* It reads a header or what is behind it, and never beyond. */
void gb__tls_handover_reads(struct gb__tls_session *session, const unsigned char *data, size_t size)
{
	if (session->body > 0) {
		session->body -= (uint16_t)gb__min(size, session->body);
		return;
	}
	size = gb__min(size, GB__RECORD_HEADER - session->header_size);
	memcpy(session->header + session->header_size, data, size);
	session->header_size += (uint8_t)size;
	if (session->header_size < GB__RECORD_HEADER)
		return;
	session->header_size = 0;
	session->body = (uint16_t)(session->header[3] << 8 | session->header[4]);
	if (session->header[0] == GB__RECORD_DATA)
		session->in_records++;
}

static void young_add(struct gb__tls_session *session)
{
	struct gb__tls_pool *pool = session->pool;

	session->young = true;
	session->looks = pool->looks;
	session->older = pool->newest;
	session->younger = NULL;
	*(pool->newest ? &pool->newest->younger : &pool->oldest) = session;
	pool->newest = session;
}

static void young_remove(struct gb__tls_session *session)
{
	struct gb__tls_pool *pool = session->pool;

	if (!session->young)
		return;
	session->young = false;
	*(session->older ? &session->older->younger : &pool->oldest) = session->younger;
	*(session->younger ? &session->younger->older : &pool->newest) = session->older;
}

void gb__tls_handover_watch(struct gb__tls_session *session)
{
	session->set_aside = false;
	if (SSL_version(session->ssl) == TLS1_3_VERSION)
		young_add(session);
}

void gb__tls_handover_unwatch(struct gb__tls_session *session)
{
	if (session->young && session->server)
		session->pool->brief++;
	if (session->keyless)
		session->pool->keyless--;
	young_remove(session);
}

bool gb__tls_session_rests(const struct gb__tls_session *session)
{
	return session->young;
}

bool gb__tls_handover_wanted(const SSL *ssl)
{
	struct gb__tls_session *session = SSL_get_app_data(ssl);

	if (!session || session->keyless || SSL_version(ssl) != TLS1_3_VERSION)
		return false;
	if (session->pool->brief < BRIEF_MAX || session->pool->keyless >= KEYLESS_MAX)
		return true;
	session->keyless = true;
	session->pool->keyless++;
	return false;
}

static const struct gb__tls_suite *suite_of(const struct gb__tls_session *session)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);

	return cipher ? gb__tls_suite_find(SSL_CIPHER_get_protocol_id(cipher)) : NULL;
}

static bool fits(const struct gb__tls_session *session)
{
	const struct gb__tls_suite *suite = suite_of(session);

	return SSL_version(session->ssl) == TLS1_3_VERSION && suite && session->secrets == 3 &&
		session->secret_size == suite->hash_size && !session->updated && !session->failed &&
		!session->closed && !session->ended;
}

/* As a client may have asked for (RFC 6066, 4). */
static uint16_t plain_max(const SSL *ssl)
{
	const uint8_t asked = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));

	return asked >= TLSEXT_max_fragment_length_512 && asked <= TLSEXT_max_fragment_length_4096
		? (uint16_t)(256u << asked)
		: GB__RECORD_PLAIN_MAX;
}

/* No record is half read, or known in part, nor a message of several. */
static bool is_between_records(const struct gb__tls_session *session)
{
	return session->body == 0 && session->header_size == 0 && !session->within &&
		!SSL_has_pending(session->ssl);
}

bool gb__tls_handover(struct gb__tls_session *session)
{
	const struct gb__tls_suite *suite;

	if (session->server)
		session->pool->brief = 0;
	if (!fits(session)) {
		young_remove(session); /* nor later */
		return false;
	}
	if (!is_between_records(session) || gb__tls_texts_take(session) < 0)
		return false;
	suite = suite_of(session);
	if (gb__tls_way_begin(
		    session->pool, &session->in, suite, false, session->in.secret, session->in_records) < 0 ||
		gb__tls_way_begin(session->pool, &session->out, suite, true, session->out.secret,
			session->out_records) < 0) {
		session->updated = true;
		return false;
	}
	session->suite = suite;
	session->plain_max = plain_max(session->ssl);
	young_remove(session);
	gb__tls_buffer_give(session->pool, session->room);
	session->room = NULL;
	SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* it may be resumed */
	SSL_free(session->ssl);
	session->ssl = NULL;
	session->pool->freed += SSL_BYTES;
	ERR_clear_error();
	return true;
}

int gb__tls_pool_rest(struct gb__tls_pool *pool)
{
	struct gb__tls_session *session = pool->oldest, *next;
	unsigned handed = 0;

	for (; session && pool->looks - session->looks >= 2 && handed < HANDED_MAX;
		session = next, handed++) {
		next = session->younger;
		if (gb__tls_handover(session) || !session->young)
			continue;
		young_remove(
			session); /* a record is half read, which may stay so: nobody looks until it was */
		session->set_aside = true;
	}
	if (handed == HANDED_MAX)
		return GB__TLS_REST_MORE;
	pool->looks++;
	return pool->oldest ? GB__TLS_REST_LATER : GB__TLS_REST_NONE;
}
