/**
 * Files of histograms: HdrHistogram's log format, version 1.3, whose lines are tagged (HistogramLogWriter.java). Other
 * programs read, merge and plot them.
 */
#ifndef LOAD_HDR_LOG_H
#define LOAD_HDR_LOG_H

#include "load/histogram.h"

#include <gearbox/error.h>

#include <stddef.h>
#include <stdio.h>

#define HDR_LOG_TAGS_MAX 8
#define HDR_LOG_TAG_MAX 32

/** Histograms by their tags, in the order in which they came. All zero is empty. */
struct hdr_log {
	size_t count;
	struct hdr_log_entry {
		char tag[HDR_LOG_TAG_MAX]; /* "": none */
		double seconds;            /* that its lines cover, added up */
		struct histogram *histogram;
	} list[HDR_LOG_TAGS_MAX];
};

/** Add a histogram of nanoseconds to those of its tag. Copies. Returns 0, -ENOMEM, -ENOSPC (too many tags). */
int gb__hdr_log_add(struct hdr_log *log, const char *tag, double seconds, const struct histogram *histogram);
/** Add the lines of a file. Returns 0, -GB_EUSAGE, -ENOMEM or -errno; the text names file and line. */
int gb__hdr_log_read(struct hdr_log *log, const char *path, struct gb_error *error);
/** Write a file, one line a tag; it began at `begin`, seconds since 1970. Returns as above. */
int gb__hdr_log_write(const struct hdr_log *log, const char *path, double begin, struct gb_error *error);
void gb__hdr_log_finish(struct hdr_log *log);

#endif
