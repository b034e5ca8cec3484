/**
 * A server that runs in another process, looked at from outside and without stopping it: its counters, those of each worker,
 * and a ledger of where the time of messages goes, which is sampled while somebody wants to know.
 *
 * They lie in memory of the server's that the observer maps by /proc/PID/fd, so it needs the server's user, or root
 * (ptrace(2), "access mode checking": PTRACE_MODE_READ), and the same version of gearbox: of another the memory has another
 * layout, which is refused. `gearbox trace` and `gearbox advise --pid` are made of this; docs/watching.md says what is measured.
 */
#ifndef GEARBOX_OBSERVE_H
#define GEARBOX_OBSERVE_H

#include <gearbox/error.h>
#include <gearbox/server.h>
#include <gearbox/types.h>

#include <sys/types.h>

GB_BEGIN

/** Where the time of a message goes. */
enum gb_stage {
	GB_STAGE_ACCEPT, /* of a connection: from its handshake until a worker has it; TCP alone, in ticks of the kernel's */
	GB_STAGE_QUEUE, /* from when the loop woke for it, or it was put into the pool's queue, until its handler begins */
	GB_STAGE_RUN,    /* the handler, until it returns or, a straight-line one, waits */
	GB_STAGE_OUTPUT, /* from then until the kernel has all of its connection's output */
	GB_STAGE_COUNT,
};

/** Buckets of 1/16 of a power of two: a quantile is known to 6 %. */
#define GB_STAGE_BUCKETS 608

/** Durations, of all workers together, since the server began. */
struct gb_stage_times {
	uint64_t count, sum_ns;
	uint64_t buckets[GB_STAGE_BUCKETS];
};

/** "accept", "queue", "run", "output". */
GB_API const char *gb_stage_name(enum gb_stage stage);
/** The bucket of a duration; the last has all longer ones. */
GB_API unsigned gb_stage_bucket(uint64_t ns);
/** The longest duration of a bucket. */
GB_API uint64_t gb_stage_bound_ns(unsigned bucket);
/** The duration that a share (0 to 1) of them does not exceed, as the bound of its bucket; 0 without any. */
GB_API uint64_t gb_stage_quantile_ns(const struct gb_stage_times *times, double share);
/** What came after `before` was taken. */
GB_API void gb_stage_since(struct gb_stage_times *times, const struct gb_stage_times *before);

/** A worker's place, all workers that held it summed up. */
struct gb_observed_worker {
	struct gb_stats stats;
	uint64_t waits, events, stalls; /* as of gb_worker_stats */
	uint64_t active;                /* connections that moved bytes in the last second; while sampled */
	uint64_t sampled;               /* messages whose handler was timed */
	uint64_t run_ns, cpu_ns;        /* how long these took, and of that on a CPU */
	pid_t process, thread;          /* who is there; 0: nobody */
};

/** A server as a whole. */
struct gb_observed_server {
	char model[256]; /* gb_server_model */
	pid_t process;   /* that runs it; 0: it does not run now */
	size_t workers;  /* places; the last is the main thread's */
	bool alone;      /* which then serves as well, and the others are never used */
	unsigned cpus;   /* that it may use, by affinity and quota */
	struct gb_stats stats;
	struct gb_stall_stats stalls;
	struct gb_stage_times stages[GB_STAGE_COUNT];
};

struct gb_observed;

/**
 * Look at the n-th server (from 0) of a process, one of its worker processes included.
 *
 * Returns 0; -ESRCH (no such process), -EACCES (not allowed), -ENOENT (it has no such server), -ENOTSUP (of another version
 * of gearbox), -ENOMEM, with the reason.
 */
GB_API int gb_observe(pid_t pid, unsigned n, struct gb_observed **ret, struct gb_error *error);
/** NULL is fine. What was sampled ends by itself. */
GB_API void gb_observe_end(struct gb_observed *observed);
/** Take what the server counts. The memory stays readable when it has ended. */
GB_API void gb_observe_server(const struct gb_observed *observed, struct gb_observed_server *ret);
/** Take a worker's; beyond the last place all is 0. */
GB_API void gb_observe_worker(const struct gb_observed *observed, size_t n, struct gb_observed_worker *ret);
/**
 * Have one message in `every` timed (1: each), for the next three seconds: called again each second it goes on. Several
 * observers get the closest.
 */
GB_API void gb_observe_sample(struct gb_observed *observed, unsigned every);

GB_END

#endif
