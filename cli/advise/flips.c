/* Where the advice turns: the situation is changed in one property, step by step, until the rules name another model. */
#include "advise/rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define STEP 1.25892541179 /* ten steps to a factor of ten */

struct axis {
	const char *name, *unit;
	size_t offset;
	double least, most, scale; /* in its own unit; `scale` makes what is told of it */
};

#define FIELD(name) offsetof(struct advise_situation, name)
static const struct axis axes[] = {
	{ "connections", "", FIELD(connections), 1, 100000, 1 },
	{ "idle", "", FIELD(idle), 1, 1000000, 1 },
	{ "block", "µs", FIELD(blocked_ns), 1e3, 1e9, 1e-3 },
	{ "compute", "µs", FIELD(cpu_ns), 1e3, 1e9, 1e-3 },
	{ "rate", "1/s", FIELD(rate), 1, 1e7, 1 },
};

static double *field(struct advise_situation *situation, const struct axis *axis)
{
	return (void *)((char *)situation + axis->offset);
}

/* Times follow what they are made of. */
static void set(struct advise_situation *situation, const struct axis *axis, double value)
{
	double before = situation->cpu_ns + situation->blocked_ns, more;

	*field(situation, axis) = value;
	more = situation->cpu_ns + situation->blocked_ns - before;
	situation->median_ns = fmax(0, situation->median_ns + more);
	situation->p99_ns = fmax(0, situation->p99_ns + more);
	situation->longest_ns = fmax(0, situation->longest_ns + more);
}

/* Two significant digits: the rules are no finer. */
static double rounded(double value)
{
	double unit = pow(10, floor(log10(value)) - 1);

	return round(value / unit) * unit;
}

static bool look(const struct advise_situation *situation, const struct axis *axis, double factor,
	const char *now, advise_admits_cb *admits, void *arg, struct advise_flip *ret)
{
	static struct advise_verdict verdict;
	struct advise_situation other = *situation;
	double value = *field(&other, axis);

	if (isnan(value) || (factor < 1 && value < axis->least))
		return false;
	for (value = fmax(value, axis->least) * factor; value >= axis->least && value <= axis->most;
		value *= factor) {
		other = *situation;
		set(&other, axis, value);
		gb__advise_judge(&other, admits, arg, &verdict);
		if (verdict.count == 0 || strcmp(verdict.candidates[0].preset, now) == 0)
			continue;
		*ret = (struct advise_flip){ .axis = axis->name,
			.unit = axis->unit,
			.at = rounded(value * axis->scale),
			.below = factor < 1 };
		snprintf(ret->preset, sizeof(ret->preset), "%s", verdict.candidates[0].preset);
		snprintf(ret->spec, sizeof(ret->spec), "%s", verdict.candidates[0].spec);
		return true;
	}
	return false;
}

size_t gb__advise_flips(const struct advise_situation *situation, advise_admits_cb *admits, void *arg,
	struct advise_flip ret[ADVISE_FLIPS_MAX])
{
	static struct advise_verdict verdict;
	char now[64];
	size_t count = 0;

	gb__advise_judge(situation, admits, arg, &verdict);
	if (verdict.count == 0)
		return 0;
	snprintf(now, sizeof(now), "%s", verdict.candidates[0].preset);
	for (size_t i = 0; i < sizeof(axes) / sizeof(*axes); i++) {
		count += look(situation, &axes[i], 1 / STEP, now, admits, arg, &ret[count]);
		count += look(situation, &axes[i], STEP, now, admits, arg, &ret[count]);
	}
	return count;
}
