/**
 * TLS by OpenSSL, without descriptors: records in and out through memory, so that every engine can carry it.
 *
 * A context is what many sessions share (certificates, keys, what is trusted); a session is one connection's. A session
 * belongs to one thread; contexts are made before workers begin, and any thread and forked process may use them.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <gearbox/error.h>
#include <gearbox/tls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gb__tls;         /* a context */
struct gb__tls_session; /* of one connection */

/** Memory that all workers, in all processes, share: who has said what is wrong with files. Zeroed before the first context. */
struct gb__tls_shared;
size_t gb__tls_shared_size(void);

enum gb__tls_verify {
	GB__TLS_VERIFY_NONE,
	GB__TLS_VERIFY_OPTIONAL, /* a certificate is asked for; one that is shown must be good */
	GB__TLS_VERIFY_REQUIRED,
};

/** What a context is made of; texts are copied, files are read at once. NULL: not set. */
struct gb__tls_options {
	bool server;
	/* Files of chains in PEM, separated by commas: chosen by SNI and by what the client can check, the first for the rest. */
	const char *certificates;
	const char *keys; /* of each, in the same order */
	const char *password_file;
	const char *ocsp; /* responses in DER, in the same order; an empty name: none */
	const char *
		ca; /* a file of those that are trusted for the peer's certificate; client: NULL: the system's */
	enum gb__tls_verify verify;
	const char *alpn;     /* names separated by commas, the preferred one first */
	const char *versions; /* the lowest: "1.2" or "1.3" */
	const char *ciphers;  /* of TLS 1.2; NULL: modern ones */
	uint64_t ticket_ms;   /* how long a session may be resumed; 0: never */
	uint64_t reload_ms;   /* how often changed files are looked for; 0: never */
	struct gb__tls_shared *shared;
};

/** Who does it, "OpenSSL 3.0.17 …": figures depend on the version. NULL: built without TLS. */
const char *gb__tls_library(void);

/** Returns 0, or a negative code with a text that names the file and what is wrong with it; -ENOTSUP: built without TLS. */
int gb__tls_create(const struct gb__tls_options *options, struct gb__tls **ret, struct gb_error *error);
void gb__tls_destroy(struct gb__tls *tls);
/**
 * Look whether files have changed, at most once in reload_ms: then later sessions have what they say. What is wrong with
 * them is logged, once for each change, and the old stays. Keys of tickets that are over are forgotten.
 *
 * Each session that begins does so; it is for processes that begin none. Returns when it has something to do next. Thread: any.
 */
uint64_t gb__tls_refresh(struct gb__tls *tls, uint64_t now_ms);
/** Read the files at once, changed or not, and say what came of it; so do the other processes of `shared`, without a word,
 *  before their next session. Thread: any. */
void gb__tls_reload(struct gb__tls *tls, uint64_t now_ms);

/**
 * What the sessions of one thread share, which therefore take little each while they are idle: contexts of ciphers, buffers.
 * It outlives them.
 */
struct gb__tls_pool;
/** Returns 0 or -ENOMEM. */
int gb__tls_pool_create(struct gb__tls_pool **ret);
void gb__tls_pool_destroy(struct gb__tls_pool *pool);
/** Give back what nobody uses right now. */
void gb__tls_pool_trim(struct gb__tls_pool *pool);
/** About how many bytes hand-overs have given back to the allocator so far. */
uint64_t gb__tls_pool_freed(const struct gb__tls_pool *pool);
/** From time to time, while there are any, look at sessions that OpenSSL has: those that were there at both of the last looks are
 *  handed over to our records, a few with each call. Returns GB__TLS_REST_… */
int gb__tls_pool_rest(struct gb__tls_pool *pool);
enum {
	GB__TLS_REST_NONE,  /* none is left */
	GB__TLS_REST_LATER, /* some are */
	GB__TLS_REST_MORE,  /* more could be handed over at once */
};

/** Whether this one is among them. */
bool gb__tls_session_rests(const struct gb__tls_session *session);

/** Where records to be sent go; `arg` as given to gb__tls_session_init. */
struct gb__tls_sink {
	/** It takes all, or the session fails. Returns 0 or a negative errno. */
	int (*emit)(void *arg, const void *data, size_t size);
	/** Where a record of so many bytes can be written, which is emitted next if nothing fails; NULL: somewhere. */
	unsigned char *(*room)(void *arg, size_t size);
};

/** Memory for a session, the caller's. */
size_t gb__tls_session_size(void);
/** `name`: of the server that a client wants, for SNI and to check its certificate; NULL for a server. Returns 0, -ENOMEM. */
int gb__tls_session_init(struct gb__tls_session *session, struct gb__tls *tls, struct gb__tls_pool *pool,
	const char *name, const struct gb__tls_sink *sink, void *arg);
void gb__tls_session_finish(struct gb__tls_session *session);
/** The same in memory of its own. */
int gb__tls_session_create(struct gb__tls *tls, struct gb__tls_pool *pool, const char *name,
	const struct gb__tls_sink *sink, void *arg, struct gb__tls_session **ret);
void gb__tls_session_destroy(struct gb__tls_session *session);

/** Bytes have arrived: borrowed until the last of the calls below that are made for them, and decrypted where they lie; those
 *  take all, or fail. */
void gb__tls_session_input(struct gb__tls_session *session, unsigned char *data, size_t size);
/** Whether some of it was not taken yet. */
bool gb__tls_session_unread(const struct gb__tls_session *session);
/** Go on with the handshake, with what has arrived. Returns 1 (done), 0 (more must arrive), or a negative code. */
int gb__tls_session_handshake(struct gb__tls_session *session);
/** Plaintext of what has arrived, at `*ret` until the next call for this session; it may be changed, as may GB__TLS_HEADROOM
 *  bytes before it. Returns bytes; 0: there is none now, or the peer has said all (gb__tls_session_ended); or a negative code:
 *  what came before it was returned. */
ssize_t gb__tls_session_read(struct gb__tls_session *session, unsigned char **ret);
#define GB__TLS_HEADROOM 512u
/** Emit it as records. Returns the bytes taken: fewer, where the peer must say something first, or a negative code. */
ssize_t gb__tls_session_write(struct gb__tls_session *session, const void *data, size_t size);
/** Emit close_notify, once, if the session has not failed. Reading goes on. */
void gb__tls_session_close(struct gb__tls_session *session);
/** The peer's close_notify has come: an end of input before it is a truncation (RFC 8446, 6.1). */
bool gb__tls_session_ended(const struct gb__tls_session *session);
/** Why a call has failed, or NULL: one line, as "no shared cipher" or "the peer speaks no TLS". */
const char *gb__tls_session_problem(const struct gb__tls_session *session);
/** After the handshake: what was emitted of it last is its end, which the peer waits for, and not tickets alone (TLS 1.2). */
bool gb__tls_session_ends_last(const struct gb__tls_session *session);
/** After the handshake: an earlier one was resumed. */
bool gb__tls_session_resumed(const struct gb__tls_session *session);
/** What it spoke instead of TLS was a request of HTTP, which can be told so. */
bool gb__tls_session_met_http(const struct gb__tls_session *session);

/** What was agreed on; texts last as long as the session. Returns 0 or -ENOMEM. After the handshake. */
int gb__tls_session_info(struct gb__tls_session *session, struct gb_tls_info *ret);

#endif
