/**
 * The process from which those of the pool are forked.
 *
 * It is forked itself before the server has threads, and never has any. So whoever takes the place of one that crashed
 * is no fork of a process with threads, and has nothing of the connections of the server.
 */
#ifndef OS_FORKER_H
#define OS_FORKER_H

#include <gearbox/error.h>

#include <stdbool.h>
#include <sys/types.h>

struct gb__forker_ops {
	/** In the forker, once: let go of what is the server's alone. */
	void (*begin)(void *arg);
	/** In a process of the pool: tell by gb__forker_started what came of its start, and serve. The process ends when
	 *  it returns. */
	void (*serve)(void *arg, unsigned index, int control);
	/** In the forker: have all processes end once they have nothing to do. */
	void (*end)(void *arg);
};

struct gb__forker {
	pid_t pid;
	int control; /* readable: there is something to receive */
};

enum gb__forker_kind {
	GB__FORKER_STARTED, /* `error` says whether */
	GB__FORKER_ENDED,   /* with `status`, as waitpid(2) has it */
	GB__FORKER_GONE,    /* the forker itself, and so all of them */
};

struct gb__forker_news {
	enum gb__forker_kind kind;
	unsigned index;
	int status;
	struct gb_error error;
};

/** Fork it, by the only thread there is. `count`: of processes, none of which runs yet. */
int gb__forker_start(struct gb__forker *forker, unsigned count, const struct gb__forker_ops *ops, void *arg,
	struct gb_error *error);
/** Start a process, after so long; news of it follows. */
void gb__forker_launch(struct gb__forker *forker, unsigned index, unsigned delay_ms);
/** Kill all of them, and start none again. */
void gb__forker_kill(struct gb__forker *forker);
/** The next news, waiting for it or not. Returns whether there was any; GONE is told again and again. */
bool gb__forker_receive(struct gb__forker *forker, bool wait, struct gb__forker_news *ret);
/** Have all end, at last by force, and wait for that. One that was never started (pid 0) is fine. */
void gb__forker_finish(struct gb__forker *forker);

/** In a process of the pool. */
void gb__forker_started(int control, unsigned index, const struct gb_error *error);

#endif
