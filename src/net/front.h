/**
 * What comes before a service's own bytes on a connection: who it is for (PROXY protocol), then TLS.
 *
 * Happy path: the connection is established and in the state `front`; the handshake's bytes go through gb__tls_session; once
 * it is done gb__conn_open tells the service. From then on input is decrypted, a few records at a time, and what is sent
 * collects as plaintext in `plain`, which is encrypted into the connection's output, or straight into the socket, when
 * that is flushed. The output, which the engine knows, never holds anything but records.
 *
 * Thread: the connection's worker.
 */
#ifndef NET_FRONT_H
#define NET_FRONT_H

#include "buffer/output.h"
#include "loop/wheel.h"

#include <gearbox/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct gb__stream;
struct gb__net;
struct gb__tls;
struct gb__tls_pool;
struct gb__tls_session;
struct gb__proxy_networks;

/** Of a listening address. All that accept on it share one; it outlives them. */
struct gb__front {
	struct gb__tls *tls;                      /* NULL: none */
	const struct gb__proxy_networks *proxies; /* who sends a PROXY header first; NULL: nobody */
	bool packets; /* its sockets have packets (packet.h), and nothing is before them */
};

/** Of a connection that has one. */
struct gb__fronted {
	struct gb_conn *conn;
	struct gb__tls *tls;
	struct gb__tls_session *session; /* NULL: nothing has come of it yet */
	struct gb__output plain;         /* to be sent, not encrypted yet */
	struct gb__output held;          /* a server's tickets, which leave with what is sent next */
	struct gb__chunk *record;        /* room that the session was given for one; or NULL */
	char *name;                      /* of the server that a client wants; or NULL */
	bool begun;                      /* bytes of it have come */
	bool counted;                    /* as a handshake that is under way */
	bool shaking;     /* what is emitted waits for what comes of this step of the handshake */
	bool at_once;     /* what is emitted goes straight to the kernel */
	bool last;        /* and the end of output follows on it */
	bool in_line : 1; /* it waits for its step */
	bool reading : 1; /* what was decrypted is being delivered, and more may follow */
	bool failed;      /* nothing is read or sent any more but an alert */
	bool truncated;   /* the end of input comes without close_notify */
};

/** Of a net: so many steps of handshakes are done in a turn, the others wait in line; and what its sessions share. */
struct gb__fronts {
	struct gb__tls_pool *pool; /* NULL: there was none yet */
	struct gb__wheel_node
		node;     /* when to look at sessions that rest; on the wheel while there may be some */
	uint64_t turn;    /* in which `steps` were done */
	unsigned steps;   /* in this turn */
	unsigned waiting; /* connections in line */
};
enum { GB__FRONT_STEPS_MAX = 8 };

void gb__fronts_init(struct gb__net *net);
/** Nobody has a front any more. */
void gb__fronts_finish(struct gb__net *net);
/** The node has come up. */
void gb__fronts_look(struct gb__net *net);
/** Give back what sessions left behind. */
void gb__fronts_trim(struct gb__net *net);

/** Give a connection that is not attached yet a front. `name`: of the server that is connected to, NULL for a client of
 *  ours. Copies it. Returns 0 or -ENOMEM. */
int gb__front_begin(struct gb_conn *conn, const struct gb__front *front, const char *name);
/** Its bytes come and go from here on. */
void gb__front_established(struct gb_conn *conn);
/** Its turn in the line has come: go on with what has arrived. */
void gb__front_go_on(struct gb_conn *conn);
/** Encrypt what is to be sent, as far as the output has room. Returns false when that has ended the connection. */
bool gb__front_encrypt(struct gb_conn *conn);
/** What collected in the burst of this connection leaves, or is queued. */
void gb__front_burst(struct gb_conn *conn);
/** Send the bytes of a relay. Returns how many were taken, or a negative errno. */
ssize_t gb__front_forward(struct gb_conn *conn, struct gb_bytes bytes);
/** Everything was sent: say so, by close_notify, once. */
void gb__front_end(struct gb_conn *conn);
/** The end of input has come without the peer's word for it, and all before it was delivered. */
void gb__front_truncated(struct gb_conn *conn);
/** It ends: half an answer that is left makes that a reset. Without a front nothing happens. */
void gb__fronted_destroy(struct gb_conn *conn);

/** What engines call of it. */
void gb__front_on_input(struct gb__stream *stream, unsigned char *data, size_t size);
void gb__front_on_end(struct gb__stream *stream, int error);

#endif
