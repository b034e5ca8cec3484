/**
 * A pool of processes that run the tasks of messages: compute=processes. One per process that has loops, shared by them.
 *
 * The handler of a message runs in one of them, forked by a forker (forker.h); the message and its reply go through the
 * memory of an exchange (exchange.h), and the task of a message stays here. A process that ends unexpectedly costs the
 * message that it had begun: its task comes back with GB_CLOSE_CRASHED. What it had not begun goes to another, and a new
 * one takes its place. Each loop has a number, its source, and a descriptor that is readable when tasks of it are back.
 */
#ifndef POOL_PROCESSES_H
#define POOL_PROCESSES_H

#include <gearbox/error.h>

#include <stddef.h>
#include <stdint.h>

struct gb__job;
struct gb__level_counters;
struct gb__net;
struct gb__processes;
struct gb__task;
struct gb__terms;

#define GB__PROCESSES_MAX 4096u

struct gb__processes_options {
	unsigned count, sources;
	/** In the forker: let go of what is the server's alone. */
	void (*let_go)(void *arg);
	/** In a process: what facades belong to, and the terms of each service. Returns 0 or what is wrong. */
	int (*begin)(void *arg, unsigned index, struct gb__net **ret_net, struct gb__terms **ret_terms,
		struct gb_error *error);
	/** In a process that has begun, at its end. */
	void (*end)(void *arg);
	void *arg;
};

/** Start them, by the only thread there is, and wait until all have begun. */
int gb__processes_create(
	struct gb__processes_options options, struct gb__processes **ret, struct gb_error *error);
/** Count its tasks here, by level. Before the first task. */
void gb__processes_count(struct gb__processes *processes, struct gb__level_counters *counters);
/** No task is left. NULL is fine. */
void gb__processes_destroy(struct gb__processes *processes);

/** Have one run it; `service` is the index of its terms. Thread: the source's. */
void gb__processes_submit(
	struct gb__processes *processes, unsigned source, unsigned service, struct gb__task *task);
/** What is readable when gb__processes_collect has something to do, for as long as it has not. */
int gb__processes_bell(const struct gb__processes *processes, unsigned source);
/** Take what is back of this source, and run `done` of each task. Thread: the source's. */
void gb__processes_collect(struct gb__processes *processes, unsigned source);
/** Its connection has ended: tell the handler, if it runs. Thread: the source's. */
void gb__processes_cancel(struct gb__processes *processes, struct gb__task *task);

/** Readable when gb__processes_look has something to do. */
int gb__processes_control(const struct gb__processes *processes);
/** See who has ended. Thread: one, as a rule the chief's. Returns 0, or -ECHILD: no process will run any more. */
int gb__processes_look(struct gb__processes *processes);
/** Kill them, with what they run. Thread: any. */
void gb__processes_kill(struct gb__processes *processes);

#endif
