/**
 * The frame of one measurement: a row says what is prepared, what one operation is, what is put away.
 *
 * costs.c repeats `run` until a round is long enough, then does several rounds of that length.
 */
#ifndef CLI_DOCTOR_BENCH_H
#define CLI_DOCTOR_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** Wall and CPU time of what runs between its calls. CPU is that of all threads here, and of helpers. */
struct stopwatch {
	uint64_t wall_ns, cpu_ns;
	uint64_t wall_begin_ns, cpu_begin_ns;
	clockid_t helper; /* CPU clock of a helping process, when has_helper */
	bool has_helper;
	bool with_children; /* count those that ended and were waited for */
};

void gb__stopwatch_resume(struct stopwatch *watch);
void gb__stopwatch_pause(struct stopwatch *watch);

/** One measurement under way. */
struct bench {
	struct stopwatch watch; /* runs while `run` does; that may pause it */
	unsigned cpus[2];       /* numbers of two CPUs allotted; twice the same where there is one only */
	void *state; /* of the row: freed by its finish, which sees NULL when prepare got nowhere */
};

/** One row. Functions return 0 or a negative errno. */
struct cost {
	const char *key, *label;
	unsigned kind;      /* the row's own business: variants share functions */
	unsigned parts;     /* operations in one run; 0 is 1 */
	bool two_cpus;      /* makes no sense with one */
	bool uring;         /* needs io_uring */
	bool with_children; /* its CPU time is also that of children */
	int (*prepare)(struct bench *bench, unsigned kind); /* NULL: nothing to do */
	int (*run)(struct bench *bench, unsigned count);    /* `count` times */
	void (*finish)(struct bench *bench);                /* NULL: nothing to do */
};

/** Keep the calling thread on one of the bench's CPUs. Returns 0 or a negative errno. */
int gb__bench_pin(const struct bench *bench, unsigned which);

/* The tables, each ending with a row without key. */
extern const struct cost gb__costs_basic[];   /* system call, clock, mutex, futex */
extern const struct cost gb__costs_switch[];  /* two that take turns: switches, wake-ups, round trips */
extern const struct cost gb__costs_spawn[];   /* threads and processes made and ended */
extern const struct cost gb__costs_ready[];   /* epoll, poll, io_uring */
extern const struct cost gb__costs_sockets[]; /* passing descriptors, accepting */

#endif
