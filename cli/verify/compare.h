/** Whether a transcript is what its talk must lead to, and if not, in what it differs. */
#ifndef CLI_VERIFY_COMPARE_H
#define CLI_VERIFY_COMPARE_H

#include "verify/driver.h"

/** Returns whether they differ; then the first difference is in `text`. A talk that was not played does not. */
bool gb__verify_compare(
	const struct verify_talk *talk, const struct verify_transcript *transcript, char *text, size_t size);

/** The same for what a server counted of itself and what was noted. */
bool gb__verify_compare_stats(
	const struct gb_stats *counted, const struct gb_stats *noted, char *text, size_t size);

#endif
