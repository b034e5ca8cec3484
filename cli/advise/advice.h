/** What is advised in the end: what the rules named, and what came of it when it was tried out. */
#ifndef ADVISE_ADVICE_H
#define ADVISE_ADVICE_H

#include "advise/options.h"
#include "advise/rules.h"
#include "compare/comparison.h"

enum advise_outcome {
	ADVISE_UNTRIED, /* nothing was measured of candidates */
	ADVISE_HELD,    /* what the rules name is best, or not to be told from the best */
	ADVISE_LED,     /* another one was better in most rounds, though not beyond the noise */
	ADVISE_TURNED,  /* another one is better, beyond the noise */
};

#define ADVISE_WHY_MAX 24
#define ADVISE_LINE_MAX 320

struct advice {
	const struct advise_options *options;
	char running[COMPARE_SPEC_MAX]; /* the model of a server that runs, or "" */
	struct advise_situation situation;
	struct advise_verdict verdict;       /* all candidates as the rules rank them */
	size_t tried[ADVISE_CANDIDATES_MAX]; /* of these, in the order of the comparison's models */
	size_t tried_count;
	struct advise_flip flips[ADVISE_FLIPS_MAX];
	size_t flips_count;
	struct comparison comparison; /* of those tried */
	enum advise_outcome outcome;
	bool noise;               /* nothing that was tried differs from the best */
	size_t chosen, runner_up; /* of verdict.candidates; runner_up is chosen where there is no other */
	char why[ADVISE_WHY_MAX][ADVISE_LINE_MAX];
	size_t why_count;
};

/** What the goal is measured by. */
enum compare_metric gb__advise_metric(enum advise_goal goal);

/**
 * Choose which candidates are tried: at most `most`, those that rank first, but no more than two of a kind (a blocking
 * engine, one loop or several, with a pool or without), so that the best of each is seen; and none that a rule as good as forbids.
 */
void gb__advise_choose(struct advice *advice, size_t most);

/** Of what was measured and what the rules say: outcome, model, runner-up, reasons. */
void gb__advise_conclude(struct advice *advice);

#endif
