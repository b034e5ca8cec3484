/** Models: five axes, their presets and which combinations are legal. */
#ifndef GEARBOX_MODEL_H
#define GEARBOX_MODEL_H

#include <gearbox/error.h>
#include <gearbox/types.h>

GB_BEGIN

/** One named row of the table. */
struct gb_preset {
	const char *name;    /* "thread-pool" */
	const char *alias;   /* another public name, or NULL */
	const char *axes;    /* "accept=acceptor,unit=thread,workers=N,engine=blocking,compute=inline" */
	const char *summary; /* one sentence */
	const char *use;     /* when to use it */
	const char *avoid;   /* when not */
	const char *size;    /* how many workers or threads to take; NULL: nothing to choose */
};

/**
 * The preset after `preset` (NULL: the first), or NULL after the last.
 *
 * Static storage. Thread: any.
 */
GB_API const struct gb_preset *gb_preset_next(const struct gb_preset *preset);

/**
 * The n-th of all legal combinations of the five axes, as a full spec; `workers` is 1, N or per-connection.
 *
 * Returns the length as snprintf does, or -ENOENT beyond the last. Thread: any.
 */
GB_API int gb_model_combination(size_t n, char *text, size_t size);

/**
 * How many threads a pool needs: CPUs / the share of their time for which its jobs compute (0 to 1; the rest of it they
 * wait), and five for each CPU below 0.2. Good to 50 %. `cpus` 0: those allotted to this process by affinity and cgroup.
 * compute-workers=auto measures the share while it runs, and goes by this. Thread: any.
 * Source: Goetz et al., Java Concurrency in Practice (2006), 8.2.
 */
GB_API unsigned gb_pool_size_for(unsigned cpus, double compute_share);

struct gb_service;

/**
 * Whether a model can work, and whether a service (NULL: none in particular) can run under it on an IP
 * address, respectively on a Unix socket. What the machine allows is not looked at.
 *
 * Returns 0; 1 when it can but a warning is due, whose text is in `error`; -GB_EUSAGE (no spec),
 * -GB_EILLEGAL with the rule and the nearest legal model. Thread: any.
 */
GB_API int gb_model_check(
	const char *spec, const struct gb_service *service, bool ip_address, struct gb_error *error);

GB_END

#endif
