#include "advise/candidate.h"

#include "verify/specs.h"

#include <gearbox/model.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_MAX (ADVISE_WORKERS_MAX / 4)
#define POOL_MAX 512
#define MORE 1.5
#define ENOUGH 0.75
#define IN_USE 0.7 /* of a CPU: from there on a second loop has something to do */

static bool is(const char *axes, const char *key, const char *value)
{
	char text[64];

	gb__verify_spec_value(axes, key, text, sizeof(text));
	return strcmp(text, value) == 0;
}

static double number(const char *axes, const char *key, double otherwise)
{
	char text[64], *end;
	double value;

	gb__verify_spec_value(axes, key, text, sizeof(text));
	value = strtod(text, &end);
	return end != text ? value : otherwise;
}

static unsigned blocking_features(const struct advise_candidate *candidate, const char *axes, double clients)
{
	if (is(axes, "workers", "per-connection"))
		return ADVISE_BLOCKING | ADVISE_PER_CONNECTION;
	return ADVISE_BLOCKING | ADVISE_FIXED | (candidate->workers < clients ? ADVISE_TOO_FEW : 0);
}

/* By the share of computing five for each CPU are too few from there on: see gb_pool_size_for. */
static bool is_short(const struct advise_candidate *candidate, const struct advise_situation *situation)
{
	return gb__advise_share(situation) < ADVISE_SHARE_LEAST &&
		candidate->compute_workers < 0.5 * gb__advise_at_a_time(situation);
}

static bool is_awake(const struct advise_candidate *candidate, const struct advise_situation *situation)
{
	return candidate->compute_workers >= ENOUGH * gb__advise_at_a_time(situation) &&
		candidate->compute_workers <= 0.5 * gb__advise_under_way(situation);
}

static unsigned event_features(
	const struct advise_candidate *candidate, const char *axes, const struct advise_situation *situation)
{
	unsigned features = ADVISE_EVENT | (candidate->workers > 1 ? ADVISE_LOOPS : ADVISE_ONE_LOOP);

	if (is(axes, "engine", "io_uring"))
		features |= ADVISE_RING;
	if (is(axes, "compute", "inline"))
		return features | ADVISE_INLINE;
	if (is(axes, "compute", "processes"))
		features |= ADVISE_PROCESSES;
	return features | ADVISE_POOL | (is_short(candidate, situation) ? ADVISE_SHORT_POOL : 0) |
		(is_awake(candidate, situation) ? ADVISE_AWAKE_POOL : 0);
}

void gb__advise_candidate_of(const char *name, const char *spec, const char *axes,
	const struct advise_situation *situation, struct advise_candidate *ret)
{
	bool blocking = is(axes, "engine", "blocking"), processes = is(axes, "unit", "process");
	double clients = situation->connections + situation->idle;

	*ret = (struct advise_candidate){ 0 };
	snprintf(ret->preset, sizeof(ret->preset), "%s", name);
	snprintf(ret->spec, sizeof(ret->spec), "%s", spec);
	ret->workers =
		is(axes, "workers", "per-connection") ? clients : number(axes, "workers", situation->cpus);
	if (!is(axes, "compute", "inline"))
		ret->compute_workers = number(axes, "compute-workers", situation->cpus);
	ret->features = processes ? ADVISE_PROCESSES : ADVISE_THREADS;
	ret->features |=
		blocking ? blocking_features(ret, axes, clients) : event_features(ret, axes, situation);
	if (is(axes, "accept", "acceptor") && !blocking && ret->workers > 1)
		ret->features |= ADVISE_HANDED;
	if (is(axes, "accept", "reuseport"))
		ret->features |= ADVISE_REUSEPORT;
}

struct list {
	const struct advise_situation *situation;
	advise_admits_cb *admits;
	void *arg;
	struct advise_candidate *at;
	size_t count;
};

/* A preset with its sizes: 0 is none to say. A number of workers that is N anyway needs no saying. */
static void add(struct list *list, const struct gb_preset *preset, double workers, double compute_workers)
{
	char spec[ADVISE_SPEC_MAX], axes[2 * ADVISE_SPEC_MAX], sizes[64] = "";
	size_t used = 0;

	if (workers > 0 && workers != list->situation->cpus)
		used = (size_t)snprintf(sizes, sizeof(sizes), ",workers=%.0f", workers);
	if (compute_workers > 0)
		snprintf(sizes + used, sizeof(sizes) - used, ",compute-workers=%.0f", compute_workers);
	snprintf(spec, sizeof(spec), "%s%s", preset->name, sizes);
	/* Of a key that is there twice the first is found. */
	snprintf(axes, sizeof(axes), "%s%s%s", *sizes ? sizes + 1 : "", *sizes ? "," : "", preset->axes);
	if (list->count == ADVISE_CANDIDATES_MAX || (list->admits && !list->admits(list->arg, spec)))
		return;
	gb__advise_candidate_of(preset->name, spec, axes, list->situation, &list->at[list->count++]);
}

static double loops(const struct advise_situation *situation)
{
	double cpus = fmax(1, situation->cpus);

	return isnan(situation->rate) ? cpus
				      : fmin(cpus, fmax(1, ceil(gb__advise_demand(situation) / IN_USE)));
}

static void add_event(struct list *list, const struct gb_preset *preset)
{
	const struct advise_situation *situation = list->situation;
	double workers = is(preset->axes, "workers", "N") ? fmax(2, loops(situation)) : 0;
	double rule = gb_pool_size_for(situation->cpus, gb__advise_share(situation));
	double wait = fmin(POOL_MAX, gb__advise_at_a_time(situation));

	if (situation->cpus < 2 && workers > 0)
		workers = 2; /* else it would be its sibling with one loop */
	if (is(preset->axes, "compute", "inline")) {
		add(list, preset, workers, 0);
		return;
	}
	add(list, preset, workers, rule);
	if (wait > MORE * rule)
		add(list, preset, workers, ceil(wait));
	else if (gb__advise_under_way(situation) > MORE * rule)
		add(list, preset, workers, ceil(MORE * rule));
}

static void add_blocking(struct list *list, const struct gb_preset *preset)
{
	double clients = list->situation->connections + list->situation->idle;
	double most = is(preset->axes, "unit", "process") ? PROCESSES_MAX : ADVISE_WORKERS_MAX;

	add(list, preset, is(preset->axes, "workers", "N") ? fmin(most, fmax(1, clients)) : 0, 0);
}

size_t gb__advise_candidates(const struct advise_situation *situation, advise_admits_cb *admits, void *arg,
	struct advise_candidate ret[ADVISE_CANDIDATES_MAX])
{
	struct list list = { situation, admits, arg, ret, 0 };
	const struct gb_preset *preset = NULL;

	while ((preset = gb_preset_next(preset)))
		if (is(preset->axes, "engine", "blocking"))
			add_blocking(&list, preset);
		else
			add_event(&list, preset);
	return list.count;
}
