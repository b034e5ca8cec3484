/** What the literature says of server models, as a table of rules; and what follows from it for a situation. */
#ifndef ADVISE_RULES_H
#define ADVISE_RULES_H

#include "advise/candidate.h"
#include "advise/situation.h"

struct advise_rule {
	const char *name;   /* "few-connections-block" */
	const char *says;   /* a sentence without full stop */
	const char *source; /* who found it */
	bool (*applies)(const struct advise_situation *situation);
	/** Argues for models that have all of `with` and, unless it is 0, any of `any`; negative: against them. */
	int weight;
	unsigned with, any;
};
/** All of them; ends with a NULL name. */
extern const struct advise_rule gb__advise_rules[];

struct advise_verdict {
	struct advise_candidate
		candidates[ADVISE_CANDIDATES_MAX]; /* best first; equal ones as `models` lists them */
	int scores[ADVISE_CANDIDATES_MAX];
	size_t count;
};

/** Whether a rule speaks of a model in a situation. */
bool gb__advise_rule_says(const struct advise_rule *rule, const struct advise_situation *situation,
	const struct advise_candidate *candidate);

/** Score candidates and put the best first. A pure function. */
void gb__advise_rank(const struct advise_situation *situation, struct advise_verdict *verdict);

/** Candidates of all presets, ranked. */
void gb__advise_judge(const struct advise_situation *situation, advise_admits_cb *admits, void *arg,
	struct advise_verdict *ret);

/** Another value of one property of the situation, at which another model is advised. */
struct advise_flip {
	const char *axis, *unit; /* "connections", "block", "compute", "idle", "rate" */
	double at;
	bool below; /* at it and below, else at it and above */
	char preset[64], spec[ADVISE_SPEC_MAX];
};
#define ADVISE_FLIPS_MAX 16
/** The nearest ones below and above what was measured, of each property. Returns how many. */
size_t gb__advise_flips(const struct advise_situation *situation, advise_admits_cb *admits, void *arg,
	struct advise_flip ret[ADVISE_FLIPS_MAX]);

#endif
