/** The simulated kernel's own insides, shared by the files of this folder. */
#ifndef SIM_STATE_H
#define SIM_STATE_H

#include "base/assert.h"
#include "base/list.h"
#include "sim/client.h"
#include "sim/kernel.h"

/** Where numbers start: none that the real kernel would know by accident. */
#define SIM_FD_FIRST 10000

/** Bytes in order: appended at the end, taken from the front. */
struct sim_bytes {
	unsigned char *data;
	size_t begin, size, capacity;
};

void sim_bytes_append(struct sim_bytes *bytes, const void *data, size_t size);
/** Copies to `data` unless NULL. `size` is at most what is there. */
void sim_bytes_take(struct sim_bytes *bytes, void *data, size_t size);
void sim_bytes_clear(struct sim_bytes *bytes);
/** The bytes of the first packet, without its size. There is one. */
size_t sim_packet_size(const struct sim_bytes *bytes);
/** Add one at the end; its parts follow. */
void sim_packet_begin(struct sim_bytes *bytes, size_t size);

/** Outcomes that a test queued. */
struct sim_script {
	struct sim_outcome *outcomes;
	size_t first, count;
};

enum sim_kind { SIM_STREAM, SIM_LISTENER, SIM_EVENT, SIM_FILE };

struct sim_socket {
	struct gb__list link; /* of kernel->sockets */
	struct sim_kernel *kernel;
	enum sim_kind kind;
	uint64_t serial; /* its own for good, while descriptors come again */
	int fd;          /* -1: none, or closed */
	bool held;       /* by a descriptor, a client or a backlog */

	/* streams */
	struct sim_socket *peer; /* NULL before connecting, and once the other end is gone for good */
	struct sim_bytes rx, tx; /* arrived and unread; sent and not yet arrived */
	bool packets;            /* these are whole packets, each behind its size of 4 bytes */
	size_t rx_max, tx_max;
	bool connected;
	bool connecting; /* on the way to `target_port` */
	uint16_t target_port;
	int connect_error; /* decided: 0 or errno, to be fetched */
	bool connect_decided;
	bool read_shut;
	bool fin_queued, fin_sent; /* asked for; arrived at the other end */
	bool fin_received;
	bool reset_on_close;
	bool dead;      /* reset by either side: nothing moves any more */
	bool was_reset; /* by the other side */
	bool end_told;  /* a receive has reported the end */
	int error;      /* to be reported once (SO_ERROR) */

	/* listeners */
	uint16_t port;
	unsigned backlog;
	struct sim_socket **queue; /* oldest first */
	unsigned queued;

	struct sim_file *file; /* files */
	size_t position;
	bool appends;

	bool signalled;   /* events */
	uint64_t signals; /* so far */
	struct sim_script scripts[SIM_CALLS];

	/* who uses it */
	unsigned pollers;      /* that know the descriptor */
	uint64_t copied_until; /* turn: closed, but for a copy that is open so long; 0: none */
	unsigned receiving, sending, operations; /* on rings; the last one counts all */
};

struct sim_client {
	struct sim_socket *socket;
};

struct sim_kernel {
	struct gb__os os;
	uint64_t seed, random, now_ns, turns, serials;
	struct sim_profile profile;
	struct sim_socket **fds; /* by number, from SIM_FD_FIRST */
	unsigned fds_size, fds_open, fds_limit;
	uint16_t port_next;
	struct gb__list sockets, files;
	size_t space; /* that is left on the disk */
	struct sim_actor *actors;
	struct gb__poller *pollers;
	unsigned rings;        /* alive */
	uint64_t waits, moved; /* `moved` counts everything that changed the world */
	uint64_t idle_waits, moved_seen;
	bool trace;
};

/* kernel.c */
void *sim_alloc(size_t size); /* zeroed; plain malloc, so that injected failures meet the tested code alone */
struct sim_kernel *sim_kernel_of(struct gb__os *os);
void sim_trace(const struct sim_kernel *kernel, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** The world changed: the wait that comes back next is not idle. */
static inline void sim_moved(struct sim_kernel *kernel)
{
	kernel->moved++;
}
bool sim_chance(struct sim_kernel *kernel, unsigned thousandths);
/** At least 1, at most `size` (not 0): all of it, or by that chance a part. */
size_t sim_part(struct sim_kernel *kernel, unsigned thousandths, size_t size);
/** The wait of pollers and rings. `collect` says what is ready and whether something is held back. */
typedef int (*sim_collect_cb)(void *self, void *ret, unsigned max, bool *ret_held);
int sim_wait(struct sim_kernel *kernel, sim_collect_cb collect, void *self, void *ret, unsigned max,
	int64_t timeout_ns);

/* socket.c */
struct sim_socket *sim_socket_create(struct sim_kernel *kernel, enum sim_kind kind);
/** The lowest free number; -EMFILE. */
int sim_fd_open(struct sim_kernel *kernel, struct sim_socket *socket);
/** Fails the run when the descriptor is not open; `call` names who asked. */
struct sim_socket *sim_fd_get(struct sim_kernel *kernel, int fd, const char *call);
/** Takes the descriptor's number away and closes. */
void sim_fd_close(struct sim_socket *socket);
void sim_socket_copy_close(struct sim_socket *socket);
/** Whether one knows it that does not forget: poller.c, as the next. */
bool sim_pollers_remember(struct sim_kernel *kernel, const struct sim_socket *socket);
/** The last descriptor of it is closed. */
void sim_pollers_forget(struct sim_kernel *kernel, const struct sim_socket *socket);
/** Nobody holds it any more: FIN or reset, and the memory goes when both ends are let go. */
void sim_socket_let_go(struct sim_socket *socket);
void sim_socket_connect_pair(struct sim_socket *one, struct sim_socket *other);
struct sim_socket *sim_listener_find(struct sim_kernel *kernel, uint16_t port);
struct sim_socket *sim_listener_take(struct sim_socket *listener);
/** A new connected socket waiting in the backlog; its other end is `from`. False: no room. */
bool sim_listener_offer(struct sim_socket *listener, struct sim_socket *from);
unsigned sim_socket_ready(const struct sim_socket *socket); /* GB__READY_… */
void sim_socket_reset(struct sim_socket *socket);           /* sends RST */
void sim_socket_shutdown(struct sim_socket *socket, int how);
/** Moves bytes, FINs and connects along; returns whether anything moved. */
bool sim_socket_pump(struct sim_socket *socket);
/** Whether a pump would do something if the wire were not slow. */
bool sim_socket_pumpable(const struct sim_socket *socket);
/** A scripted outcome for this call, else one that does nothing special. */
struct sim_outcome sim_script_next(struct sim_socket *socket, enum sim_call call);

/* What calls do once they are not told otherwise; -EAGAIN when there is nothing to do yet. */
int sim_stream_accept(struct sim_socket *listener, struct sim_outcome outcome);
ssize_t sim_stream_recv(struct sim_socket *socket, void *data, size_t size, struct sim_outcome outcome);
ssize_t sim_stream_sendv(
	struct sim_socket *socket, const struct iovec *parts, size_t count, struct sim_outcome outcome);
int sim_stream_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size);
int sim_stream_connect_result(struct sim_socket *socket);

/* file.c */
/** A call on a file; -EINTR and other faults included. */
int sim_file_perform(struct sim_kernel *kernel, const struct gb__file_call *call);
/** A descriptor of it is closed. */
void sim_file_let_go(struct sim_file *file);
void sim_files_finish(struct sim_kernel *kernel);

extern const struct gb__os_ops sim_os_ops;

#endif
