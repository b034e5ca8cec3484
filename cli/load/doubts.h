/**
 * Reasons not to trust the figures of a run: what the machine did to the generator, judged from what was noted.
 *
 * Judging reads no clock and no file, so that it can be tested; circumstances.h notes.
 */
#ifndef LOAD_DOUBTS_H
#define LOAD_DOUBTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Percentiles that are told, in ten thousandths. */
#define QUANTILES_MAX 6
struct quantile {
	const char *label, *key;
	unsigned ten_thousandths;
};
extern const struct quantile gb__quantiles[QUANTILES_MAX];
/** Values without which a percentile is nothing but the largest of them: 100 for the 99th. */
uint64_t gb__quantile_samples_min(unsigned ten_thousandths);

/** What was noted. Zero is nothing. */
struct facts_of_run {
	uint64_t lasted_ns;  /* the measured time */
	uint64_t busiest_ns; /* CPU time of the thread of the generator that took most */
	unsigned threads;
	uint64_t throttled_ns; /* time that a quota kept this control group from running */
	uint64_t suspended_ns; /* time that the machine slept */
	uint64_t stepped_ns;   /* how far the time of day moved against the monotonic clock */
	uint64_t slewed_ns;    /* how far that one moved against the raw counter */
	uint64_t samples;      /* in the histogram */
	bool counted; /* so many messages were asked for: percentiles that need more are left out, no matter */
	double offered;        /* messages per second that were to be sent; 0: closed loop */
	double sent, answered; /* that were */
	uint64_t late_ns;      /* an open loop's 99th percentile of how late it was, with a connection free */
};

#define DOUBTS_MAX 8
#define DOUBT_TEXT_MAX 256
struct doubts {
	size_t count;
	struct doubt {
		const char *
			kind; /* a word for programs: "saturated", "missed-rate", "throttled", "clock", "samples" */
		char text[DOUBT_TEXT_MAX]; /* without full stop */
	} list[DOUBTS_MAX];
};

/** What there is to doubt. */
void gb__doubts_judge(const struct facts_of_run *facts, struct doubts *ret);

#endif
