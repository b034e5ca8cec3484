/**
 * The watch over loops: a handler that holds one beyond the option `stall-limit` is reported while it does so.
 *
 * Each engine says whether it is awake and how often it was, its net how many messages were begun: what happens anyway. Who
 * watches looks now and then, and where an awake loop has got nowhere for so long it asks its thread by a signal where it is
 * (os/backtrace.h). Under thread models that is a thread of its own, under process models the chief by a timer: it may have no
 * threads. All of it goes by memory that the processes share, or that the kernel lets a parent read.
 */
#ifndef MODEL_STALL_H
#define MODEL_STALL_H

#include "os/address.h"
#include "os/backtrace.h"

#include <stddef.h>

struct gb__cpus;
struct gb__stall_watch;
struct gb_worker;

#define GB__STALL_NAME 64u

/** What the thread that is held says of itself, in signal context. In shared memory: one at a time is asked. */
struct gb__stall {
	struct gb__backtrace backtrace; /* first */
	uintptr_t worker;               /* in its process's memory */
	bool delivering;                /* a message, of this connection */
	char service[GB__STALL_NAME], route[GB__STALL_NAME];
	struct gb__address peer; /* its size 0: unknown */
};

/** A worker can be watched from here on, respectively no longer. On its thread. */
void gb__stall_join(struct gb_worker *worker);
void gb__stall_leave(struct gb_worker *worker);

/** Before there are workers beside the chief. NULL: nobody is to be watched, or there is no memory for it, which is logged.
 *  `cpus` are those of a thread that nobody has bound. */
struct gb__stall_watch *gb__stall_watch_create(struct gb_worker *chief, const struct gb__cpus *cpus);
/** All have begun: watch. NULL is fine for both. */
void gb__stall_watch_begin(struct gb__stall_watch *watch);
void gb__stall_unwatch(struct gb__stall_watch *watch);

#endif
