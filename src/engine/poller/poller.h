/**
 * A demultiplexer: tells which descriptors are ready. One small file each.
 *
 * Level-triggered. Belongs to one engine. A descriptor is added at most once; a token comes back with
 * each of its events. ERROR and HANGUP are reported whether asked for or not.
 */
#ifndef ENGINE_POLLER_POLLER_H
#define ENGINE_POLLER_POLLER_H

#include "engine/engine.h"

struct gb__poller; /* each poller's own */

/** As epoll(7) lays its events out, so that the poller that is used most has nothing to copy. */
struct gb__poll_event {
	uint32_t ready; /* GB__READY_… */
	uint64_t token;
}
#ifdef __x86_64__
__attribute__((packed))
#endif
;

/** In `ready` of `add`, for a descriptor that is never modified: wake one of several waiters (EPOLLEXCLUSIVE). */
#define GB__READY_EXCLUSIVE (1u << 28)

/** Likewise: report it once for each time that it becomes ready, not again and again while it is (EPOLLET). */
#define GB__READY_EDGE (1u << 31)

enum {
	GB__POLLER_EXCLUSIVE = 1u << 0, /* knows GB__READY_EXCLUSIVE */
	GB__POLLER_EDGE = 1u << 1,      /* knows GB__READY_EDGE */
	/* Needs no `remove` of a descriptor that is closed. While somebody else has a copy of it, it is reported
	 * nevertheless, and cannot be removed any more: only a new set is without it. */
	GB__POLLER_FORGETS = 1u << 2,
};

struct gb__poller_ops {
	const char *name;
	unsigned caps;
	int (*create)(struct gb__os *os, struct gb__poller **ret);
	void (*destroy)(struct gb__poller *poller);
	/** In a forked child: close its copy of the poller's descriptor, free nothing. NULL: there is none. */
	void (*let_go)(struct gb__poller *poller);
	/** Returns 0, -ENOMEM, -GB_ELIMIT (the descriptor is too high: select), -EEXIST. `ready` is not 0. */
	int (*add)(struct gb__poller *poller, int fd, unsigned ready, uint64_t token);
	int (*modify)(struct gb__poller *poller, int fd, unsigned ready, uint64_t token);
	int (*remove)(struct gb__poller *poller, int fd);
	/** Wait up to timeout_ns (-1: for ever), rounded up to what the call can tell. Returns the number
	 *  of events, 0 on a timeout, or a negative errno; -EINTR or 0 on an interruption. */
	int (*wait)(struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns);
	/** One that is readable while `wait` has events to tell. NULL: there is none. */
	int (*descriptor)(const struct gb__poller *poller);
};

/** Nanoseconds as the milliseconds of poll(2) and epoll_wait(2): rounded up, so that no timer fires early. */
static inline int gb__poller_timeout_ms(int64_t timeout_ns)
{
	if (timeout_ns <= 0)
		return timeout_ns < 0 ? -1 : 0;
	return timeout_ns > (int64_t)INT32_MAX * 1000000 ? INT32_MAX : (int)((timeout_ns + 999999) / 1000000);
}

extern const struct gb__poller_ops gb__poller_busy, gb__poller_select, gb__poller_poll, gb__poller_epoll;

#endif
