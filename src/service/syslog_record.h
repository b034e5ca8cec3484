/**
 * Records of the service `syslog`: where they end in a stream, and how they look in a file.
 */
#ifndef SERVICE_SYSLOG_RECORD_H
#define SERVICE_SYSLOG_RECORD_H

#include <gearbox/codec.h>

/**
 * Records over TCP (RFC 6587), told apart one by one: `LENGTH SP <PRI>…` is octet-counted, `<PRI>…` goes up to an LF or CRLF.
 * The message begins with `<`, and excludes length and end. Nothing else begins a record: -GB_EBADFRAME, with a problem.
 */
extern const struct gb_codec_ops syslog_codec;

/** The most that a line takes of a record of so many bytes, its end included. */
#define SYSLOG_LINE_MAX(size) (4 * (size) + 1)

/** What the line of a record ends with of which the rest never came, and its size. */
#define SYSLOG_CUT "#cut"
#define SYSLOG_CUT_SIZE (sizeof(SYSLOG_CUT) - 1)

/**
 * Write a record as one line to `to`: control characters as `#ooo`, in octal, as other daemons have them; one LF at its end
 * is dropped; SYSLOG_CUT follows if it is `cut`. Returns the size of the line.
 */
size_t syslog_line(struct gb_bytes record, bool cut, unsigned char *to);

/** Of what is left of a connection's input: the record that it begins, without its length. */
struct gb_bytes syslog_begun(struct gb_bytes rest);

#endif
