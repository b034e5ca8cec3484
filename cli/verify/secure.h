/** A player's bytes on their way: as they are, or by TLS. */
#ifndef CLI_VERIFY_SECURE_H
#define CLI_VERIFY_SECURE_H

#include "verify/bytes.h"

#include <stdbool.h>
#include <sys/types.h>

struct gb__tls;
struct gb__tls_pool;
struct gb__tls_session;

struct verify_way {
	int fd;                          /* -1: closed */
	struct gb__tls_pool *pool;       /* its own */
	struct gb__tls_session *session; /* NULL: without TLS */
	bool shaken;                     /* the handshake is done, or there is none */
	bool cut;                        /* the FIN has come without close_notify */
	struct verify_bytes records;     /* to be sent, from `sent` on */
	size_t sent;
};

/** The connection is established: speak TLS on it, unless that is NULL. Returns 0 or a negative errno. */
int gb__verify_way_begin(struct verify_way *way, struct gb__tls *tls);
/** As send(2): how many bytes were taken, or a negative errno; -EAGAIN: no more for now. */
ssize_t gb__verify_way_send(struct verify_way *way, const void *data, size_t size);
/** Send what is left of records. Returns 0, -EAGAIN, or another negative errno. */
int gb__verify_way_flush(struct verify_way *way);
/** Append what has come. Returns bytes that came from the kernel, 0: the FIN, or a negative errno; -EPROTO: no TLS. */
ssize_t gb__verify_way_receive(struct verify_way *way, struct verify_bytes *got);
/** Half-close. Returns 0, -EAGAIN (again, once there is room), or a negative errno. */
int gb__verify_way_shut(struct verify_way *way);
/** Close. `quietly`: nothing is said before, as when a process dies. */
void gb__verify_way_close(struct verify_way *way, bool quietly);
/** Why it was -EPROTO, or NULL. */
const char *gb__verify_way_problem(const struct verify_way *way);

#endif
