/**
 * A receive that blocks, and that another thread, another process or a signal handler can end without a race.
 *
 * A signal alone cannot: when it comes after the receiver has looked whether it is called and before it is in the
 * kernel, it is over before the receive begins. So the handler looks where the thread was interrupted: between that
 * look and the system call it sends it out of there, as C libraries do to cancel threads (musl, "cancellation
 * points"). The few instructions in question are a file of assembly for each machine, receive_*.S.
 *
 * Whoever calls sends the signal only to a thread that is in there, and the thread does not leave before it has
 * come: what the thread does otherwise, a handler's sleep for one, is never interrupted by it.
 *
 * The signal is SIGURG: ignored by default, so that it harms no child and nobody who gets it by mistake, and hardly
 * used. A program that has a use for it has a handler when it runs the server: then there is no receiver, and
 * whoever asks for one polls.
 */
#ifndef OS_RECEIVE_H
#define OS_RECEIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** What its thread does. The numbers are known to the assembly. */
enum gb__receiver_state {
	GB__RECEIVER_AWAKE,
	GB__RECEIVER_RECEIVES, /* in gb__receiver_receive */
	GB__RECEIVER_CALLED,   /* in there, and the signal is on its way */
	GB__RECEIVER_POLLS,    /* sleeps on something else, which the caller must make ready */
	GB__RECEIVER_WOKEN,    /* was called while awake, or polling: it does not sleep */
};

/** Zeroed it is awake. In memory shared with other processes these may call as well. */
struct gb__receiver {
	_Atomic int state;
	_Atomic bool arrived; /* the signal of the present call */
	pid_t process, thread;
	unsigned again; /* how often the signal of the present call has come and was sent again */
};

/** From now on there may be receivers, until the same number of calls of _end. Returns whether there may be here. */
bool gb__receivers_begin(void);
void gb__receivers_end(void);
bool gb__receivers_there(void);

/**
 * Make the calling thread the receiver's, until it leaves. Returns false where there can be none: no
 * gb__receivers_begin, a program that handles, ignores or blocks the signal, another machine, a sanitizer (which has
 * to see system calls and delays signals).
 */
bool gb__receiver_join(struct gb__receiver *receiver);
void gb__receiver_leave(void);

/**
 * recv(2), blocking: bytes, 0 at the end, or a negative errno. -EINTR: it was called, or interrupted otherwise.
 * -ECANCELED: it was called before, and is awake now. Thread: the receiver's.
 */
ssize_t gb__receiver_receive(struct gb__receiver *receiver, int fd, void *data, size_t size);
/** About to poll. Returns false when it was called meanwhile: it is awake, and does not sleep. */
bool gb__receiver_polls(struct gb__receiver *receiver);
void gb__receiver_polled(struct gb__receiver *receiver);
/** End a receive of a receiver, or its next sleep. Returns true when it polls: make ready what it polls.
 *  Thread: any; async-signal-safe. */
bool gb__receiver_call(struct gb__receiver *receiver);

/** No receive of this socket blocks longer (SO_RCVTIMEO): it answers -EAGAIN then. */
int gb__receive_bound(int fd, unsigned ms);

#endif
