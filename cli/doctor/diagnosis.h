/**
 * Facts judged: what holds for each of them, and what to change for how many connections.
 *
 * Judging reads no file and calls no kernel: the same facts give the same diagnosis.
 */
#ifndef CLI_DOCTOR_DIAGNOSIS_H
#define CLI_DOCTOR_DIAGNOSIS_H

#include "doctor/facts.h"
#include "doctor/uring.h"

#include <stdbool.h>

#define DIAGNOSIS_TARGETS_MAX 2u
#define DIAGNOSIS_FINDINGS_MAX 56u
#define DIAGNOSIS_CHANGES_MAX 56u
#define DIAGNOSIS_TEXT_MAX 224u

enum verdict {
	VERDICT_OK,     /* in nobody's way */
	VERDICT_LIMITS, /* works, but is too little for a target, or costs something that the note names */
	VERDICT_CANNOT, /* does not work here, or no setting makes it enough */
};

/** "ok", "limits", "cannot". */
const char *gb__verdict_text(enum verdict verdict);

/** One row of the table. */
struct finding {
	const char *group, *key, *label; /* "descriptors", "fs.nr_open", "…" */
	enum verdict verdict;
	char value[64];
	char note[DIAGNOSIS_TEXT_MAX]; /* may be empty */
};

/** One thing to do. */
struct change {
	uint64_t connections;          /* the target that needs it; 0: whatever their number */
	const char *key;               /* of the finding that it cures */
	const char *only_for;          /* who needs it: "outgoing connections"; NULL: everybody */
	char text[DIAGNOSIS_TEXT_MAX]; /* a command, or where there is none a sentence */
	char why[DIAGNOSIS_TEXT_MAX];
};

struct diagnosis {
	uint64_t targets[DIAGNOSIS_TARGETS_MAX]; /* numbers of connections, ascending */
	size_t target_count;
	struct finding findings[DIAGNOSIS_FINDINGS_MAX];
	size_t finding_count;
	struct change changes[DIAGNOSIS_CHANGES_MAX];
	size_t change_count;
};

/** Judge for these numbers of connections, ascending and at most DIAGNOSIS_TARGETS_MAX of them. */
void gb__diagnose(const struct facts *facts, const struct gb__uring_probe *uring, const uint64_t *targets,
	size_t target_count, struct diagnosis *ret);

/** Descriptors that a server takes for so many connections. */
uint64_t gb__diagnosis_descriptors(const struct facts *facts, uint64_t connections);

/** Whether memory would do for a thread per connection; unknown facts count as enough. */
bool gb__diagnosis_threads_fit(const struct facts *facts, uint64_t connections);

/** Bytes that may still be taken: what is available, and what the cgroup leaves. */
uint64_t gb__diagnosis_memory_left(const struct facts *facts);

/* For the judges below, in order of the table. */

/** Add a row, with its value. */
struct finding *gb__diagnosis_add(struct diagnosis *diagnosis, const char *group, const char *key,
	const char *label, const char *format, ...) __attribute__((format(printf, 5, 6)));

/** Set verdict and note of a row; a verdict only gets worse, and the note belongs to the worst. */
void gb__finding_judge(struct finding *finding, enum verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Add a change with its reason. */
struct change *gb__diagnosis_change(struct diagnosis *diagnosis, uint64_t connections,
	const struct finding *finding, const char *only_for, const char *why);
void gb__change_text(struct change *change, const char *format, ...) __attribute__((format(printf, 2, 3)));

void gb__judge_machine(const struct facts *facts, struct diagnosis *diagnosis);
void gb__judge_limits(const struct facts *facts, const char *group, struct diagnosis *diagnosis);
void gb__judge_uring(
	const struct facts *facts, const struct gb__uring_probe *uring, struct diagnosis *diagnosis);
void gb__judge_network(const struct facts *facts, struct diagnosis *diagnosis);
void gb__judge_memory(const struct facts *facts, struct diagnosis *diagnosis);
void gb__judge_threads(const struct facts *facts, struct diagnosis *diagnosis);

#endif
