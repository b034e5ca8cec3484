/**
 * Whether a worker accepts, decided in one place: it does exactly while there is no reason not to.
 *
 * Each reason has an owner that sets and clears it and looks at no other, so none can override another. Those that
 * only time takes away are looked at again between turns, without a timer: there is nothing that could not be had.
 */
#ifndef MODEL_ACCEPTANCE_H
#define MODEL_ACCEPTANCE_H

#include "base/log.h"
#include "net/listener.h"

/** Reasons not to accept. */
enum gb__bar {
	GB__BAR_STARTING = 1u << 0,  /* not everything has begun that serves connections */
	GB__BAR_FULL = 1u << 1,      /* it serves as many clients as it may */
	GB__BAR_QUEUE = 1u << 2,     /* as many wait for those who pull as may */
	GB__BAR_CHANNEL = 1u << 3,   /* no channel to a worker has room */
	GB__BAR_EXHAUSTED = 1u << 4, /* descriptors or memory ran out, or accepting fails: for a moment */
	GB__BAR_LOCK = 1u << 5,      /* wake=lock: the lock is not its own */
	GB__BAR_ENDED = 1u << 6,     /* it has let go of its listening sockets, or has none */
};
#define GB__BARS_TIMED \
	(GB__BAR_CHANNEL | GB__BAR_EXHAUSTED) /* that only time takes away: gb__acceptance_turn */

struct gb__acceptance {
	struct gb__loop *loop;
	struct gb__listener *listeners; /* one per address */
	size_t count, size;
	unsigned bars;     /* enum gb__bar */
	unsigned intake;   /* while draining: clients of the backlog that it still takes, at most */
	unsigned waited;   /* of these, when last looked at */
	uint64_t taken_ms; /* when the last of them was, by whomever */
	uint64_t again_ms; /* GB__BAR_EXHAUSTED ends then; by the loop's clock */
	struct gb__log_limit failures;
	void (*on_accepted)(void *arg, int fd, size_t index);
	void *arg;
	bool *look; /* set with each of GB__BARS_TIMED: whoever turns is to call gb__acceptance_turn; or NULL */
};

/** Room for so many listening sockets; barred by GB__BAR_STARTING, without any by GB__BAR_ENDED. Zeroed memory that was
 *  never initialized accepts nothing and may be finished and destroyed. Returns 0 or -ENOMEM. */
int gb__acceptance_init(struct gb__acceptance *acceptance, struct gb__loop *loop, size_t size,
	void (*on_accepted)(void *arg, int fd, size_t index), void *arg);
/** Watch a listening socket, whose descriptor stays the caller's. Returns 0 or a negative errno. */
int gb__acceptance_add(struct gb__acceptance *acceptance, int fd, size_t index);
/** Nothing is watched any more: once gb__acceptance_gone. */
void gb__acceptance_destroy(struct gb__acceptance *acceptance);

/** Everything has begun: GB__BAR_STARTING ends. What cannot be watched is an error here; accepting has not begun then. */
int gb__acceptance_begin(struct gb__acceptance *acceptance);

/** There is a reason more, respectively there are these no more. What cannot be begun for want of memory is tried again
 *  by GB__BAR_EXHAUSTED. */
void gb__acceptance_bar(struct gb__acceptance *acceptance, enum gb__bar reason);
void gb__acceptance_clear(struct gb__acceptance *acceptance, enum gb__bar reason);
/** Whether there are none but perhaps this one. */
static inline bool gb__acceptance_open_but(const struct gb__acceptance *acceptance, unsigned reason)
{
	return !(acceptance->bars & ~reason);
}

/** Between turns. Returns how long the next may sleep at most on its account, or -1. */
int64_t gb__acceptance_turn(struct gb__acceptance *acceptance);

/** Draining begins: who waits in the backlogs is still taken in; `backlog` is what each listens with. */
void gb__acceptance_drain(struct gb__acceptance *acceptance, unsigned backlog);
/** Whether some of them may still be there: others may take them, and who came later is not waited for; nor is anybody
 *  whom for a second none has taken who could, which is for want of descriptors. */
bool gb__acceptance_takes_in(struct gb__acceptance *acceptance, unsigned backlog);
/** Let go of the listening sockets: GB__BAR_ENDED, for ever. Repeatable. */
void gb__acceptance_finish(struct gb__acceptance *acceptance);
/** Whether nothing of them is in flight any more. */
bool gb__acceptance_gone(const struct gb__acceptance *acceptance);

#endif
