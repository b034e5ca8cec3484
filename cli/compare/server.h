/** A server that is compared, in processes of its own: a service under a model, or anybody's command. */
#ifndef COMPARE_SERVER_H
#define COMPARE_SERVER_H

#include "compare/counters.h"
#include "json.h"

#include <gearbox/error.h>
#include <gearbox/service.h>

#include <stdbool.h>
#include <stdint.h>

#define COMPARE_SPEC_MAX 256
#define COMPARE_LOG_MAX 512

/** What to serve. Borrows all of it. */
struct compare_serving {
	const struct gb_service *service;
	const char *const *sets; /* "key=value" for the service */
	size_t sets_count;
	const char *const *options; /* "key=value" for the server */
	size_t options_count;
};

struct compare_server {
	pid_t pid;  /* 0: none */
	int said;   /* its standard error */
	bool model; /* else a command of others */
	uint16_t port;
	char address[64]; /* "127.0.0.1:PORT" */
	struct compare_counters counters;
	char line[65536]; /* of `said`, what there is of the next one */
	size_t line_used;
	char log[COMPARE_LOG_MAX]; /* the first line that it said and nobody asked for; "" */
};

/**
 * Ask a model for its full spec, axes settled, without serving.
 *
 * Returns 0; -GB_EUSAGE or -GB_EILLEGAL (the model cannot), -ENOTSUP… (this machine cannot), with the reason.
 */
int gb__compare_probe(const struct compare_serving *serving, const char *spec,
	char ret_spec[COMPARE_SPEC_MAX], struct gb_error *error);

/**
 * Start a service under a model, and wait until it serves. This process must have no threads, and keeps none of the
 * caller's streams unflushed.
 *
 * Returns 0; on an error with the reason nothing is left.
 */
int gb__compare_server_start(struct compare_server *server, const struct compare_serving *serving,
	const char *spec, struct gb_error *error);
/** The same with a shell command, in which "{port}" stands for the port that it is to listen on. */
int gb__compare_server_start_command(
	struct compare_server *server, const char *command, struct gb_error *error);

/** Hear what it has said by now, so that it never waits for us. Returns whether it may say more. */
bool gb__compare_server_drain(struct compare_server *server);

/** Its counters as SIGUSR1 has them printed, or NULL: it is no model, or does not answer. */
json_t *gb__compare_server_summary(struct compare_server *server);

/** Ask it to end, and see to it. Returns 0, or a code with what was wrong with its end. */
int gb__compare_server_stop(struct compare_server *server, struct gb_error *error);

#endif
