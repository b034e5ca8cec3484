/*
 * What a session of TLS 1.3 does after its handshake (RFC 8446, 4.6, 5 and 6), once it was handed over.
 *
 * Whole records are decrypted where they have arrived; short ones that came together are put together. Only of one that is
 * incomplete a copy is kept. What is wrong is said to the peer by the alert that the RFC has for it, and to people by OpenSSL's
 * words.
 */
#include "tls/session.h"

#include "base/macros.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define TOGETHER_BELOW (4u << 10) /* records that are moved behind the one before */
#define TICKET_MAX 131338u        /* a message NewSessionTicket: OpenSSL's limit */
#define KEY_UPDATE_SIZE 5u        /* with its header (RFC 8446, 4.6.3) */
#define MESSAGE_HEADER 4u

/* It ends here, and nobody is told. Returns what callers return. */
static int give_up(struct gb__tls_session *session, int error)
{
	session->error = error;
	return gb__tls_session_fail(session, gb_strerror(error));
}

/* Returns 0 or a negative code; the session has failed then. */
static int emit(struct gb__tls_session *session, enum gb__tls_record_type type, const void *data, size_t size)
{
	const size_t whole = size + GB__RECORD_OVERHEAD;
	unsigned char *buffer = NULL,
		      *to = session->sink->room ? session->sink->room(session->arg, whole) : NULL;
	int result = -ENOMEM;

	if (!to)
		to = buffer = gb__tls_buffer_take(session->pool);
	if (to)
		result = gb__tls_record_seal(session->pool, &session->out, type, data, size, to);
	if (result > 0)
		result = session->sink->emit(session->arg, to, (size_t)result);
	gb__tls_buffer_give(session->pool, buffer);
	if (gb__likely(result == 0))
		return 0;
	return give_up(session, result);
}

/* It ends here, and the peer is told by this alert. Returns what callers return. */
static int refuse_saying(struct gb__tls_session *session, unsigned char alert, const char *reason)
{
	const unsigned char bytes[] = { SSL3_AL_FATAL, alert };

	if (!session->closed && emit(session, GB__RECORD_ALERT, bytes, sizeof(bytes)) < 0)
		return -GB_EBADFRAME;
	return gb__tls_session_fail(session, reason);
}

/* For one of OpenSSL's reasons. */
static int refuse(struct gb__tls_session *session, unsigned char alert, int reason)
{
	return refuse_saying(session, alert, ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason)));
}

/* Our direction has another key from here on. */
static int update(struct gb__tls_session *session)
{
	static const unsigned char message[] = { SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_NOT_REQUESTED };
	int result = emit(session, GB__RECORD_HANDSHAKE, message, sizeof(message));

	if (result < 0)
		return result;
	session->update_due = false;
	return gb__tls_way_update(session->pool, &session->out) < 0 ? give_up(session, -ENOMEM) : 0;
}

/* A whole KeyUpdate has come, as the last of its record. */
static int on_key_update(struct gb__tls_session *session)
{
	const unsigned char asked = session->message[MESSAGE_HEADER];

	session->message_size = 0;
	if (asked != SSL_KEY_UPDATE_NOT_REQUESTED && asked != SSL_KEY_UPDATE_REQUESTED)
		return refuse(session, SSL_AD_ILLEGAL_PARAMETER, SSL_R_BAD_KEY_UPDATE);
	if (gb__tls_way_update(session->pool, &session->in) < 0)
		return give_up(session, -ENOMEM);
	if (asked == SSL_KEY_UPDATE_REQUESTED)
		session->update_due = true; /* one answer is enough for several (RFC 8446, 4.6.3) */
	return 0;
}

/* The header of a message is there. */
static int on_message_header(struct gb__tls_session *session)
{
	const unsigned char *header = session->message;
	const uint32_t size = (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];

	if (header[0] == SSL3_MT_KEY_UPDATE && size <= 1)
		return size == 1 ? 0 : refuse(session, SSL_AD_DECODE_ERROR, SSL_R_BAD_KEY_UPDATE);
	if (header[0] != SSL3_MT_KEY_UPDATE && (header[0] != SSL3_MT_NEWSESSION_TICKET || session->server))
		return refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_MESSAGE);
	if (header[0] == SSL3_MT_KEY_UPDATE || size > TICKET_MAX)
		return refuse(session, SSL_AD_ILLEGAL_PARAMETER, SSL_R_EXCESSIVE_MESSAGE_SIZE);
	session->skip = size; /* OpenSSL has taken those that came in time */
	session->message_size = 0;
	return 0;
}

/* Messages, which may begin in one record and end in another. */
static int on_handshake(struct gb__tls_session *session, const unsigned char *data, size_t size)
{
	if (size == 0)
		return refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_BAD_LENGTH);
	while (size > 0) {
		size_t taken = gb__min(size, session->skip);
		int result = 0;

		if (taken > 0) {
			session->skip -= (uint32_t)taken;
		} else {
			taken = 1;
			session->message[session->message_size++] = *data;
			if (session->message_size == MESSAGE_HEADER)
				result = on_message_header(session);
			else if (session->message_size == KEY_UPDATE_SIZE && size > 1)
				return refuse(
					session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_NOT_ON_RECORD_BOUNDARY);
			else if (session->message_size == KEY_UPDATE_SIZE)
				result = on_key_update(session);
		}
		if (result < 0)
			return result;
		data += taken;
		size -= taken;
	}
	return 0;
}

static int on_alert(struct gb__tls_session *session, const unsigned char *data, size_t size)
{
	char text[128];

	if (size == 0)
		return refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_BAD_LENGTH);
	if (size != 2)
		return refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_INVALID_ALERT);
	if (data[1] == SSL_AD_CLOSE_NOTIFY)
		session->ended = true;
	else if (data[1] != SSL_AD_USER_CANCELLED) /* the level says nothing any more (RFC 8446, 6) */
		return gb__tls_session_fail(session, gb__tls_alert_text(data[1], text, sizeof(text)));
	return 0;
}

/* Returns 0 or what callers return: what is there of a record that begins so is none. */
static int check_header(struct gb__tls_session *session, const unsigned char *header)
{
	if (header[0] != GB__RECORD_DATA)
		return refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_BAD_RECORD_TYPE);
	if (header[1] != 3 || header[2] != 3)
		return refuse(session, SSL_AD_DECODE_ERROR, SSL_R_WRONG_VERSION_NUMBER);
	if ((header[3] << 8 | header[4]) > (int)GB__RECORD_CIPHER_MAX)
		return refuse(session, SSL_AD_RECORD_OVERFLOW, SSL_R_ENCRYPTED_LENGTH_TOO_LONG);
	return 0;
}

static size_t size_of(const unsigned char *header)
{
	return GB__RECORD_HEADER + ((size_t)header[3] << 8 | header[4]);
}

/* Move up to so many bytes of the input. */
static size_t take(struct gb__tls_session *session, unsigned char *to, size_t size)
{
	size = gb__min(size, session->input_size);
	if (size > 0)
		memcpy(to, session->input, size);
	session->input += size;
	session->input_size -= size;
	return size;
}

/* The record that is incomplete goes on. Returns 1: it is whole, in `room`; 0; or a negative code. */
static int complete(struct gb__tls_session *session)
{
	if (session->header_size < GB__RECORD_HEADER) {
		session->header_size += (uint8_t)take(session, session->header + session->header_size,
			GB__RECORD_HEADER - session->header_size);
		if (session->header_size < GB__RECORD_HEADER)
			return 0;
		if (check_header(session, session->header) < 0)
			return -GB_EBADFRAME;
	}
	if (!session->room)
		session->room = gb__tls_buffer_take(session->pool);
	if (!session->room)
		return give_up(session, -ENOMEM);
	if (session->partial_size == 0) {
		memcpy(session->room, session->header, GB__RECORD_HEADER);
		session->partial_size = GB__RECORD_HEADER;
	}
	session->partial_size += (uint16_t)take(session, session->room + session->partial_size,
		size_of(session->header) - session->partial_size);
	return session->partial_size == size_of(session->header);
}

/* The next record that is whole. Returns its size; 0: there is none, and what there is of it was kept; or a negative code. */
static ssize_t next(struct gb__tls_session *session, unsigned char **ret)
{
	if (!session->partial && session->input_size >= GB__RECORD_HEADER) {
		const size_t size = size_of(session->input);

		if (check_header(session, session->input) < 0)
			return -GB_EBADFRAME;
		if (session->input_size >= size) {
			*ret = session->input;
			session->input += size;
			session->input_size -= size;
			return (ssize_t)size;
		}
	}
	if (!session->partial && session->input_size == 0)
		return 0;
	if (!session->partial)
		session->header_size = session->partial_size = 0;
	session->partial = true;
	switch (complete(session)) {
	case 0:
		return 0;
	case 1:
		session->partial = false;
		*ret = session->room;
		return session->partial_size;
	default:
		return -GB_EBADFRAME;
	}
}

/* What a record holds, without type and padding (RFC 8446, 5.4). Returns bytes for the application at `record` behind the header,
 * or a negative code. */
static ssize_t open_record(struct gb__tls_session *session, unsigned char *record, size_t size)
{
	unsigned char *data = record + GB__RECORD_HEADER;
	int inner = gb__tls_record_open(session->pool, &session->in, record, size), result = 0;
	unsigned char type;

	if (gb__unlikely(inner < 0))
		return inner == -ENOMEM
			? give_up(session, -ENOMEM)
			: refuse(session, SSL_AD_BAD_RECORD_MAC, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
	if (inner > (int)GB__RECORD_PLAIN_MAX + 1) /* of padding, too */
		return refuse(session, SSL_AD_RECORD_OVERFLOW, SSL_R_DATA_LENGTH_TOO_LONG);
	while (inner > 1 && data[inner - 1] == 0)
		inner--;
	type = data[--inner];
	if (gb__unlikely(inner > session->plain_max))
		return refuse(session, SSL_AD_RECORD_OVERFLOW, SSL_R_DATA_LENGTH_TOO_LONG);
	if (gb__likely(inner > 0 && type == GB__RECORD_DATA))
		session->silent = 0;
	else if (++session->silent > GB__TLS_SILENT_MAX)
		return refuse_saying(session, SSL_AD_UNEXPECTED_MESSAGE, GB__TLS_SILENT);
	if ((session->message_size > 0 || session->skip > 0) && type != GB__RECORD_HANDSHAKE)
		return refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_RECORD);
	switch (type) {
	case GB__RECORD_DATA:
		return inner;
	case GB__RECORD_HANDSHAKE:
		result = on_handshake(session, data, (size_t)inner);
		break;
	case GB__RECORD_ALERT:
		result = on_alert(session, data, (size_t)inner);
		break;
	default:
		result = refuse(session, SSL_AD_UNEXPECTED_MESSAGE, SSL_R_BAD_RECORD_TYPE);
	}
	return result;
}

/* Whether the next record, if it is whole, goes behind bytes that are there already. */
static bool goes_behind(const struct gb__tls_session *session, size_t size)
{
	return session->input_size >= GB__RECORD_HEADER && size_of(session->input) < TOGETHER_BELOW &&
		size + size_of(session->input) < GB__RECORD_PLAIN_MAX;
}

/* Bytes for the application that lie together. Returns how many, or a negative code. */
static ssize_t gather(struct gb__tls_session *session, unsigned char **ret)
{
	size_t used = 0;

	while (!session->ended && (used == 0 || goes_behind(session, used))) {
		unsigned char *record;
		ssize_t size = next(session, &record);

		if (size > 0)
			size = open_record(session, record, (size_t)size);
		else if (size == 0)
			break;
		if (size < 0)
			return used > 0 ? (ssize_t)used : size; /* which the next call says */
		if (used == 0)
			*ret = record + GB__RECORD_HEADER;
		else
			memmove(*ret + used, record + GB__RECORD_HEADER, (size_t)size);
		used += (size_t)size;
		if (record == session->room && used > 0)
			break; /* what follows it lies elsewhere */
	}
	return (ssize_t)used;
}

ssize_t gb__tls_traffic_read(struct gb__tls_session *session, unsigned char **ret)
{
	ssize_t size;

	if (session->room && !session->partial) {
		gb__tls_buffer_give(session->pool, session->room);
		session->room = NULL;
	}
	size = session->failed ? -GB_EBADFRAME : gather(session, ret);
	if (session->update_due && !session->failed && !session->closed && update(session) < 0 && size <= 0)
		return -GB_EBADFRAME;
	return size;
}

ssize_t gb__tls_traffic_write(struct gb__tls_session *session, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	size_t used = 0;

	if (session->closed)
		return gb__tls_session_fail(session,
			ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_PROTOCOL_IS_SHUTDOWN)));
	while (used < size) {
		const size_t piece = gb__min(size - used, (size_t)session->plain_max);
		int result = 0;

		if (gb__unlikely(session->update_due || session->out.sequence >= session->pool->update_after))
			result = update(session);
		if (result == 0)
			result = emit(session, GB__RECORD_DATA, bytes + used, piece);
		if (result < 0)
			return result;
		used += piece;
	}
	return (ssize_t)used;
}

void gb__tls_traffic_close(struct gb__tls_session *session)
{
	static const unsigned char notify[] = { SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY };

	(void)emit(session, GB__RECORD_ALERT, notify, sizeof(notify));
}

void gb__tls_traffic_finish(struct gb__tls_session *session)
{
	gb__tls_way_finish(session->pool, &session->in);
	gb__tls_way_finish(session->pool, &session->out);
}
