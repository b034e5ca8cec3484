/**
 * A simulated ring's insides: ring.c makes it, prepares operations and hands out their completions;
 * operation.c carries them on.
 */
#ifndef SIM_RING_H
#define SIM_RING_H

#include "sim/state.h"

#define RETIRED_MAX 64u

enum operation_kind { ACCEPT, RECV, SEND, SENDMSG, CONNECT, POLL, CANCEL, CLOSE, CALL };

struct operation {
	struct gb__list link; /* of ring->operations, in the order of preparation */
	enum operation_kind kind;
	struct sim_socket *socket; /* NULL: cancel, close */
	int fd;                    /* close */
	uint64_t token, target;
	bool multishot, bulk, started, finished, cancelled;
	unsigned completions; /* queued and not taken */
	unsigned ready;       /* poll */
	void *data;           /* send */
	size_t size;
	const struct msghdr *message;
	struct sockaddr_storage address; /* connect; compared until the end */
	const struct sockaddr *address_given;
	socklen_t address_size;
	struct gb__file_call call; /* on a file */
	uint64_t sum;              /* of the bytes to be sent, or written */
};

struct completion {
	struct gb__list link;
	struct operation *operation; /* NULL: a stray one */
	struct gb__completion what;
	unsigned held;
	bool last;
};

/* An operation that is over, and the socket it was for. */
struct retired {
	uint64_t token, serial;
	int fd;
};

enum buffer_state { FREE, FILLED, TAKEN };

struct buffer {
	unsigned char *memory; /* headroom and bytes: an allocation each, so that overruns are found */
	enum buffer_state state;
};

/* Those of one size: so many of ring->buffers, from `first` on. */
struct buffers {
	unsigned first, count, size;
	unsigned free, next;
};

struct gb__ring {
	struct sim_kernel *kernel;
	struct gb__ring_options options;
	unsigned features;
	struct gb__list operations, completions;
	struct buffer *buffers;
	struct buffers small, large;
	struct retired retired[RETIRED_MAX]; /* the latest */
	unsigned retired_count;
};

/* ring.c */
/** A free buffer of these, to be filled; there is one. */
unsigned sim_buffer_pick(struct gb__ring *ring, struct buffers *buffers);
/** Nothing was put into it after all. */
void sim_buffer_free(struct gb__ring *ring, unsigned id);

/* operation.c */
/** Try it; queues a completion when something was done. */
void sim_operation_run(struct gb__ring *ring, struct operation *operation);
/** A sum over the bytes that it sends or writes. */
uint64_t sim_operation_sum(const struct operation *operation);
/** Fail the run when memory that the operation names has changed. */
void sim_operation_check(const struct gb__ring *ring, const struct operation *operation);

#endif
