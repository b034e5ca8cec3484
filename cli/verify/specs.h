/**
 * Which models are verified: every legal combination of the five axes that a service admits, with further
 * keys.
 *
 * Quick: each combination once, its further keys chosen so that any two values that can meet do meet in some
 * model (pairwise); the few pairs that do not fit in so many models have one more. Full: each combination with
 * every legal choice of further keys.
 */
#ifndef CLI_VERIFY_SPECS_H
#define CLI_VERIFY_SPECS_H

#include <gearbox/service.h>

/** `workers=N` stands for so many: more than one on any machine, and not a power of two. */
#define VERIFY_WORKERS 3

struct verify_spec {
	char *text;
	size_t combination; /* that it is a form of, from 0 */
};

struct verify_specs {
	struct verify_spec *list;
	size_t count;
	size_t combinations;
};

void gb__verify_specs_list(const struct gb_service *service, bool full, struct verify_specs *ret);
/** One that somebody asked for: a combination of its own. */
void gb__verify_specs_add(struct verify_specs *specs, const char *text);
void gb__verify_specs_finish(struct verify_specs *specs);

/** Connections that a model serves at the same time, which its full spec tells; SIZE_MAX: any number. */
size_t gb__verify_spec_capacity(const char *spec);

/** Copies the value of a key to `ret`, "" when the spec has none. */
void gb__verify_spec_value(const char *spec, const char *key, char *ret, size_t size);

#endif
