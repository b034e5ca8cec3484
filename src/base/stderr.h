/** Standard error, written to without ever waiting for whoever reads it. */
#ifndef BASE_STDERR_H
#define BASE_STDERR_H

#include <stddef.h>

/**
 * Write a line, up to PIPE_BUF bytes as a whole or not at all: a full pipe, a stopped terminal, a full disk, a
 * reader that has gone and a closed descriptor lose it. The flags of the descriptor, which others may share, stay as
 * they are, and no SIGPIPE comes of it.
 *
 * Thread: any; async-signal-safe. Keeps errno. Returns 0, or a negative errno: the line is lost.
 */
int gb__stderr_write(const char *line, size_t size);

#endif
