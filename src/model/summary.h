/** What a server counted, as JSON: for scripts that ran one. */
#ifndef MODEL_SUMMARY_H
#define MODEL_SUMMARY_H

#include <gearbox/server.h>

#include <stdio.h>

/**
 * Print one line: totals, close reasons by name, and counters per place of a worker.
 *
 * `workers` holds the places that serve; one that was never used, and all behind it, are left out (of a
 * process or thread per connection there are as many as connections are allowed). `main` is the main
 * thread's where that is not a worker itself; it accepts only under accept=acceptor. `imbalance` is what
 * the worker with most connections accepted over the mean, null without several workers or connections.
 *
 * `routes` holds each route of each service with the messages that it took; `pool` each priority of the compute pool with
 * its jobs, how many wait and waited at once at most, and how long they waited, in all and the longest; null without one.
 *
 * `coroutines`: how many straight-line handlers and others are alive, were at once in one worker, and have ended, and the
 * bytes of the fullest of their stacks that was looked at (gb_server_coro_stats).
 *
 * `stalls`: how often handlers held a loop, how many do now, how long those took that are over, in all and the longest.
 *
 * `tls`: how many handshakes were done, how many of these resumed, how many failed, and are under way now.
 *
 * Returns 0, whatever became of the stream, or -ENOMEM.
 */
int gb__summary_print(FILE *stream, const struct gb_server *server);

/** The same as a line on standard error. */
void gb__summary_log(const struct gb_server *server);

#endif
