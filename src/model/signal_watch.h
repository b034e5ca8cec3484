/**
 * Signals that services watch: counted in shared memory by the process that runs the server, told on each worker's thread.
 *
 * The chief passes them on. To a worker thread goes a post, to a worker process a signal that makes it look at the counts:
 * which one does not matter, and so does not what others send there.
 */
#ifndef MODEL_SIGNAL_WATCH_H
#define MODEL_SIGNAL_WATCH_H

#include "base/list.h"
#include "loop/loop.h"

#include <gearbox/signal.h>

#define GB__SIGNALS_MAX 64

struct gb_server;

/** Of one worker. */
struct gb__signal_watches {
	struct gb__list list; /* that were not stopped */
	struct gb__post ring; /* the counts have changed, perhaps */
	_Atomic bool rung;    /* and it is on its way */
};

/** Of a run, in the process that counts. */
struct gb__signal_catch {
	struct gb_server *server;
	int number;
	int ticket; /* -1: not subscribed */
};

/** Whether a service may ask for these. Returns 0, or -EINVAL. */
int gb__signals_check(uint64_t signals, const char *service, struct gb_error *error);
/** All that the services of a server ask for. */
uint64_t gb__signals_wanted(const struct gb_server *server);
/** With those that the server itself has a use for. */
uint64_t gb__signals_caught(const struct gb_server *server);
/** Count from now on those that are wanted, and SIGHUP where the server has certificates to read again (tls.h), unless the program
 *  has a handler of its own there. `catches` has GB__SIGNALS_MAX places. Returns 0, -ENOSPC,
 *  or -EBUSY: another server of this process has a use for it. */
int gb__signals_catch(struct gb_server *server, struct gb__signal_catch *catches, struct gb_error *error);
void gb__signals_release(struct gb__signal_catch *catches);
/** In a worker process: call `on_told` for each, in signal context. */
void gb__signals_follow(const struct gb_server *server, void (*on_told)(void *arg));

void gb__signal_watches_init(struct gb__signal_watches *watches);
/** Have the worker look, on its thread. Thread: any of its process, while its loop is there; async-signal-safe. */
void gb__signal_watches_ring(struct gb_worker *worker);
/** The worker is there: one that came before is passed on to nobody again. */
void gb__signal_watches_begin(struct gb_worker *worker);
/** Operations are complete, watches stopped. */
void gb__signal_watches_end(struct gb_worker *worker);

#endif
