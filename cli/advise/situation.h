/** What advice is given for: a handler, its load and the machine, as numbers. What is not known is NAN. */
#ifndef ADVISE_SITUATION_H
#define ADVISE_SITUATION_H

#include <stdbool.h>
#include <stdint.h>

/** What is to be best. */
enum advise_goal { ADVISE_THROUGHPUT, ADVISE_CPU, ADVISE_P99, ADVISE_MEMORY, ADVISE_GOALS };
#define ADVISE_GOAL_CHOICES "throughput|cpu|p99|memory" /* in their order */

struct advise_situation {
	/* the machine */
	unsigned cpus; /* allotted, by affinity and quota */
	double quota;  /* CPUs of the control group's quota; NAN: none */

	/* the handler, for each message */
	double cpu_ns;     /* that it computes */
	double blocked_ns; /* that it holds its thread without computing */
	double waits_ns;   /* until its reply, while it holds no thread: a timer, a deferred reply */
	double io_ns;      /* CPU time of all else: system calls, codec, output */
	double under_load; /* CPU time of a message among others, over that of one alone; 0: not measured */
	double median_ns, p99_ns, longest_ns; /* of computing and blocking together */
	uint64_t measured;                    /* messages that these are of */

	/* the load */
	double connections, idle; /* that talk, and that are silent beside them */
	double depth;             /* messages of a connection that are unanswered at a time */
	double rate; /* messages per second that are offered; NAN: as fast as they are answered */
	bool bursts; /* arrivals at random, not at equal distances */
	double request_bytes, reply_bytes;
	bool shares_cpus; /* the load comes from this machine */
	double load_ns;   /* CPU time that a message takes of the load */

	/* the service, and what is asked for */
	bool offloads;     /* replies come later, from a pool that its handlers use */
	bool worker_state; /* handlers share something in their worker */
	bool isolate;      /* a crash must not spread */
	enum advise_goal goal;
};

#define ADVISE_SHARE_LEAST 0.2 /* of computing: below it handlers mostly wait */
#define ADVISE_BLOCKS_NS 50000 /* from there on who waits for a handler notices */

/** Whether the handler holds its thread without computing, for long enough to matter. */
bool gb__advise_blocks(const struct advise_situation *situation);
/** The share of a handler's time, system calls included, in which it computes: 0 to 1. */
double gb__advise_share(const struct advise_situation *situation);
/** CPUs that the load keeps busy; in a closed loop all, unless too few messages are under way for that. */
double gb__advise_demand(const struct advise_situation *situation);
/**
 * Handlers at a time that keep all CPUs busy: C / P, with P as it is under the load; four times that where they compute for a
 * fifth of their time or more, and so wait for CPUs, too; or as many as there are messages.
 */
double gb__advise_at_a_time(const struct advise_situation *situation);
/** Messages per second that come of it. */
double gb__advise_rate(const struct advise_situation *situation);
/** Messages under way at a time: what connections and depth allow, of an open loop what its rate needs (Little). */
double gb__advise_under_way(const struct advise_situation *situation);

#endif
