/** A session from within: by OpenSSL (session.c) until it is handed over (handover.c), then by records of ours (traffic.c). */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include "tls/pool.h"
#include "tls/tls.h"

#include <openssl/ssl.h>

/** So many records in a row without a byte for us, as of KeyUpdate, and without one from us, are a flood. */
#define GB__TLS_SILENT_MAX 64u
#define GB__TLS_SILENT "the peer sends records without data and no end"

/** What gb__tls_session_info tells; the texts follow one another. */
struct gb__tls_texts {
	size_t server_name, subject; /* where they begin; the protocol of ALPN is first */
	char text[];
};

struct gb__tls_session {
	SSL *ssl; /* NULL: it was handed over */
	struct gb__tls_pool *pool;
	const struct gb__tls_sink *sink;
	void *arg;
	unsigned char *input; /* what has arrived and was not read */
	size_t input_size;
	unsigned char *room;                     /* of the pool, for what is read; or NULL */
	char *problem;                           /* or NULL; without memory for it: static */
	struct gb__tls_texts *texts;             /* NULL: nobody has asked, or all are empty */
	const struct gb__tls_suite *suite;       /* once it was handed over */
	struct gb__tls_session *older, *younger; /* in the pool's list */
	uint64_t looks;                          /* of the pool, when it was established */
	int error;                               /* what emit has failed with */
	uint16_t silent;                         /* records since the last byte for us, or from us */
	bool server, established, failed, ended, closed, met_http, resumed;
	bool young;     /* in the pool's list */
	bool set_aside; /* from it, until more was read */

	/* For the hand-over, while OpenSSL has it. */
	uint16_t body;   /* bytes of the record that is being read which are still to come */
	uint8_t secrets; /* that are known, of `in` and `out`: 1, 2; their size is secret_size */
	uint8_t secret_size;
	bool has_read; /* bytes of the application */
	bool keyless;  /* its secrets were not kept, though they could have been */
	bool within;   /* a message of the handshake: a part of it was read */
	bool updated;  /* one side has other keys than the handshake gave: it stays with OpenSSL */
	uint32_t in_records, out_records; /* with the application's keys */

	struct gb__tls_way in, out;
	uint16_t plain_max;                      /* bytes that a record may hold */
	unsigned char header[GB__RECORD_HEADER]; /* of a record that is incomplete */
	uint8_t header_size;
	uint16_t partial_size; /* bytes of it in `room`, the header included */
	bool partial;          /* `room` has one, or will; else it has what was read last */
	unsigned char
		message[5]; /* a handshake message that is incomplete: its header, and what KeyUpdate says */
	uint8_t message_size;
	uint32_t skip;   /* bytes of a ticket that are still to come */
	bool update_due; /* the peer has asked for it */
};

/** It is over, for this reason, which is copied. Returns what callers return. */
int gb__tls_session_fail(struct gb__tls_session *session, const char *reason);
void gb__tls_problem_free(struct gb__tls_session *session);
/** What the peer says by an alert: "the peer says: …", written to `text`. */
const char *gb__tls_alert_text(int alert, char *text, size_t size);
/** Have `texts` what OpenSSL knows. Returns 0 or -ENOMEM. */
int gb__tls_texts_take(struct gb__tls_session *session);

/** Before the handshake: note what the hand-over needs. */
void gb__tls_handover_prepare(struct gb__tls_session *session);
/** Whether a session that begins is to keep its secrets: it seems that it will stay, or too many do without. */
bool gb__tls_handover_wanted(const SSL *ssl);
/** The line of the secrets log is one of this session's. */
void gb__tls_handover_secret(SSL *ssl, const char *line);
/** OpenSSL reads so many bytes of what has arrived. */
void gb__tls_handover_reads(struct gb__tls_session *session, const unsigned char *data, size_t size);
/** It is established, or more was read of one that was set aside; whether it stays will show. */
void gb__tls_handover_watch(struct gb__tls_session *session);
/** It ends. */
void gb__tls_handover_unwatch(struct gb__tls_session *session);
/** It stays: hand it over, if that is possible where it is. Returns whether it was. */
bool gb__tls_handover(struct gb__tls_session *session);

/** As the functions of tls.h, for sessions that were handed over. */
ssize_t gb__tls_traffic_read(struct gb__tls_session *session, unsigned char **ret);
ssize_t gb__tls_traffic_write(struct gb__tls_session *session, const void *data, size_t size);
void gb__tls_traffic_close(struct gb__tls_session *session);
void gb__tls_traffic_finish(struct gb__tls_session *session);

#endif
