/** How far a comparison is, on standard error. */
#ifndef COMPARE_PROGRESS_H
#define COMPARE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct compare_progress {
	bool quiet, on_terminal;
	size_t total, done;
	double began_s, shown_s;
};

void gb__compare_progress_begin(struct compare_progress *progress, size_t total, bool quiet);
/** A visit begins: what, and in which round. */
void gb__compare_progress_show(
	struct compare_progress *progress, const char *what, size_t round, size_t rounds);
void gb__compare_progress_clear(struct compare_progress *progress);

#endif
