/**
 * HdrHistogram's interchange format: "V2 compressed", in base64, which its readers in other languages take and plot.
 *
 * Source: EncodeIntoCompressedByteBuffer of AbstractHistogram.java. A cookie, the length, and behind zlib: a header of 40
 * bytes and the counts as ZigZag LEB128 numbers, of which a negative one stands for so many empty buckets.
 */
#ifndef LOAD_HDR_H
#define LOAD_HDR_H

#include "load/histogram.h"

#include <gearbox/error.h>

/** A histogram as one word of base64, to be freed; NULL: no memory. */
char *gb__hdr_encode(const struct histogram *histogram);

/**
 * Add what such a word holds, of any precision and unit that the format has.
 *
 * The format has neither sum nor extremes: they are those of the buckets' upper ends. Returns 0, -GB_EUSAGE with the
 * reason, or -ENOMEM; on error nothing was added.
 */
int gb__hdr_decode(const char *text, struct histogram *histogram, struct gb_error *error);

#endif
