/** The command line of `gearbox load`. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include "load/protocol.h"
#include "load/sizes.h"

#include <gearbox/args.h>
#include <gearbox/error.h>

#include <stdbool.h>

struct load_options {
	/* as given */
	bool packets; /* the address is of packets: each message is one */
	uint64_t connections, depth, idle;
	struct sizes sizes;
	char *resolver;                                  /* name servers, or NULL */
	char *source;                                    /* of idle connections, or NULL */
	char *histogram_path, *series_path;              /* or NULL */
	uint64_t interval_ms;                            /* of the series */
	uint64_t duration_ms;                            /* 0: until the messages are used up */
	uint64_t message_count, messages_per_connection; /* 0: no bound */
	uint64_t connect_timeout_ms, timeout_ms;         /* 0: none */
	uint64_t warm_up_ms, ramp_ms, reply_timeout_ms;  /* 0: none */
	uint64_t threads, seed;
	bool reconnect, json, progress, quiet, help;
	unsigned protocol_index, engine_index, arrivals_index;
	char *model; /* of the generator's own; NULL: by `threads` and `engine` */
	uint64_t reply_lines;
	char *path, *command, *conversation; /* NULL: not said */
	unsigned method_index, framing_index;
	uint64_t keys, compute_us, block_us;
	struct load_tls {
		bool use, insecure, resume;
		char *ca, *name, *certificate, *key, *alpn; /* NULL: not said */
	} tls;
	struct messages messages; /* of the user's own, framed for the protocol */
	struct messages expected; /* none, or what each reply must be */

	/* what follows from it */
	uint64_t size;             /* of a message, on average */
	struct messages made;      /* up, with `sizes` that vary; else none */
	struct messages merged;    /* files of histograms: names; instead of a load */
	double rate_from, rate_to; /* messages per second, the second at the end; 0: a closed loop */
	bool poisson;
	const char *address;             /* borrowed from argv */
	const struct protocol *protocol; /* never NULL */
	char engine[16];                 /* "epoll" */
};

/** All flags, for commands that pass them on; ends with NULL settings. */
extern const struct gb_args_table gb__load_tables[];

/**
 * Read a command line, without the command's name. With `help` set nothing else is looked at.
 *
 * Returns 0, -GB_EUSAGE with the reason, -ENOMEM, or why a file cannot be read. Call gb__load_options_finish after it.
 */
int gb__load_options_parse(int argc, char **argv, struct load_options *ret, struct gb_error *error);

void gb__load_options_finish(struct load_options *options);

/** Print the flags on standard output. */
void gb__load_options_help(void);

#endif
