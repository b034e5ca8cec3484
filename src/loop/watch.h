/**
 * Watches: descriptors of others in a loop.
 *
 * Its owner forgets a watch when he removes it; the engine may need it until later. So the memory is the loop's.
 */
#ifndef LOOP_WATCH_H
#define LOOP_WATCH_H

#include "base/list.h"
#include "loop/loop.h"

#include <gearbox/watch.h>

/** The watches of one loop. */
struct gb__watches {
	struct gb__loop *loop;
	struct gb__list list; /* that were not removed */
	size_t attached;      /* the engine has them: those that leave included */
};

struct gb_watch {
	struct gb__endpoint endpoint; /* its descriptor is a copy where that number is in the set already */
	struct gb__list node;
	struct gb__watches *watches;
	int fd; /* as it was given */
	gb_watch_ready *on_ready;
	/** The loop ends, and it is detached: the owner removes it. NULL: it waits for that. */
	void (*on_ended)(struct gb_watch *watch, void *user);
	void *user;
	bool attached, leaving, removed;
};

void gb__watches_init(struct gb__watches *watches, struct gb__loop *loop);
/** None is to call any more: turn the loop until `attached` is 0. */
void gb__watches_end(struct gb__watches *watches);
/** Free what nobody removed. */
void gb__watches_finish(struct gb__watches *watches);
/** In a forked child, before gb__loop_abandon: close the copies that its parent goes on with. */
void gb__watches_abandon(struct gb__watches *watches);
/** Of a wait that failed with -EBADF: find who has closed what is still watched, and abort. */
void gb__watches_blame(const struct gb__watches *watches);

/** Returns 0, -ENOMEM, or as the engine's watch. */
int gb__watch_add(struct gb__watches *watches, int fd, unsigned ready, gb_watch_ready *on_ready, void *user,
	struct gb_watch **ret);
int gb__watch_change(struct gb_watch *watch, unsigned ready);
void gb__watch_remove(struct gb_watch *watch);

#endif
