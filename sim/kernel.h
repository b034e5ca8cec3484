/**
 * A kernel in memory, behind the os, poller and ring tables: engines, loops and connections run on it
 * unchanged, in one thread, step by step, and the same way again for the same seed.
 *
 * Time stands still but for `sim_clock_advance` and for waits: one in which nothing can happen any
 * more jumps to its deadline; one without a deadline then fails, because nobody is left to end it.
 *
 * In each wait the world takes one or more turns: actors act, bytes move along their links, ring
 * operations go on. What it finds wrong it reports with the seed and aborts: a call on a closed
 * descriptor, two receives or sends in flight on a socket, a close while operations are in flight or
 * while a poller knows the descriptor, bytes of a send changed before its completion, a buffer
 * touched after its return, descriptors left at the end, and waits that return again and again
 * without anything moving.
 *
 * Thread: the one that created it, event_signal included.
 */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include "engine/poller/poller.h"
#include "engine/ring/ring.h"
#include "os/os.h"
#include "sim/profile.h"

#include <netinet/in.h>
#include <stdarg.h>

struct sim_kernel;

/** Copies the profile. Never fails: the simulator aborts when memory runs out. */
struct sim_kernel *sim_kernel_create(uint64_t seed, const struct sim_profile *profile);
/** Every descriptor, poller and ring must be gone; clients are closed here. NULL is fine. */
void sim_kernel_destroy(struct sim_kernel *kernel);

/* The three tables. Poller and ring find their kernel by the os they are created with. */
struct gb__os *sim_os(struct sim_kernel *kernel);
extern const struct gb__poller_ops sim_poller;
/** The same as poll(2) and select(2) have it: it does not forget what is closed, which is a mistake then. */
extern const struct gb__poller_ops sim_poller_unforgetting;
extern const struct gb__ring_ops sim_ring;

/** Change the faults from now on; sockets keep their sizes. Borrows nothing. */
void sim_kernel_set_profile(struct sim_kernel *kernel, const struct sim_profile *profile);
/** Descriptors that may be open at once; beyond, -EMFILE. 0: no limit. */
void sim_kernel_set_fd_limit(struct sim_kernel *kernel, unsigned count);
unsigned sim_kernel_open_fds(const struct sim_kernel *kernel);
/** Waits that returned so far, respectively those that returned since anything moved. */
uint64_t sim_kernel_waits(const struct sim_kernel *kernel);
uint64_t sim_kernel_idle_waits(const struct sim_kernel *kernel);

void sim_clock_advance(struct sim_kernel *kernel, uint64_t nanoseconds);
uint64_t sim_clock_now(const struct sim_kernel *kernel);

/** A listening descriptor on 127.0.0.1:port (0: one is chosen); `backlog` connections may wait in it. */
int sim_listen(struct sim_kernel *kernel, uint16_t port, unsigned backlog);
/** The address a listening descriptor can be connected to. */
struct sockaddr_in sim_address(struct sim_kernel *kernel, int listener);

/** Let the next `call` on `fd` that would do something have this outcome; outcomes queue up. */
void sim_script(struct sim_kernel *kernel, int fd, enum sim_call call, struct sim_outcome outcome);
/** Outcomes not used yet. */
unsigned sim_script_left(struct sim_kernel *kernel, int fd, enum sim_call call);

/** What is in a file, until it changes; and how much of it was synced. */
const unsigned char *sim_file_data(struct sim_kernel *kernel, const char *path, size_t *ret_size);
size_t sim_file_synced(struct sim_kernel *kernel, const char *path);
/** So many bytes are left on the disk from now on; at first there is no end of them. */
void sim_file_space(struct sim_kernel *kernel, size_t bytes);

/** Somebody besides the code under test: acts in every turn of a wait. Memory is the caller's. */
struct sim_actor {
	/** May use the client functions. Whatever it does there counts as movement. */
	void (*act)(struct sim_actor *actor, struct sim_kernel *kernel);
	uint64_t wake_ns;       /* a wait jumps to this time at the latest; UINT64_MAX: never */
	struct sim_actor *next; /* the kernel's */
};
void sim_actor_add(struct sim_kernel *kernel, struct sim_actor *actor);
void sim_actor_remove(struct sim_kernel *kernel, struct sim_actor *actor);

/** One turn without a wait: links move. Returns whether more would happen without the clock. */
bool sim_turn(struct sim_kernel *kernel);

/** A number of the run's own sequence below `bound`, for actors; keeps the run repeatable. */
uint64_t sim_random(struct sim_kernel *kernel, uint64_t bound);

/** Report a broken rule with the seed and abort. */
_Noreturn void sim_fail(const struct sim_kernel *kernel, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
