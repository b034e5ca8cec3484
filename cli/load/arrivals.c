#include "load/arrivals.h"

#include <math.h>

#define FOREVER_NS 9e18

/* Uniform in (0, 1]: xorshift64* (Marsaglia; Vigna, "An experimental exploration of Marsaglia's xorshift generators"). */
static double uniform(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (double)((*state * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 1) / 9007199254740992.0;
}

static double step(struct arrivals *arrivals)
{
	return arrivals->poisson ? -log(uniform(&arrivals->seed)) * arrivals->parts : arrivals->parts;
}

/* How many arrive while the rate changes. */
static double ramped(const struct arrivals *arrivals)
{
	return (arrivals->from + arrivals->to) / 2 * (double)arrivals->ramp_ns / 1e9;
}

/* Seconds until the rate's integral is `count`. */
static double time_of(const struct arrivals *arrivals, double count)
{
	double ramp = (double)arrivals->ramp_ns / 1e9, rise = arrivals->to - arrivals->from, root;

	if (count >= ramped(arrivals))
		return ramp + (count - ramped(arrivals)) / arrivals->to;
	/* count = from t + rise t^2 / (2 ramp), solved so that no two near numbers are subtracted */
	root = arrivals->from * arrivals->from + 2 * rise * count / ramp;
	return 2 * count / (arrivals->from + sqrt(root > 0 ? root : 0));
}

void gb__arrivals_begin(struct arrivals *arrivals, uint64_t now_ns)
{
	arrivals->begin_ns = now_ns;
	arrivals->count = arrivals->poisson ? step(arrivals) : arrivals->part;
}

uint64_t gb__arrivals_next(struct arrivals *arrivals)
{
	double ns = time_of(arrivals, arrivals->count) * 1e9;

	arrivals->count += step(arrivals);
	return ns < FOREVER_NS ? arrivals->begin_ns + (uint64_t)ns : UINT64_MAX;
}

double gb__arrivals_mean(const struct arrivals *arrivals, uint64_t lasting_ns)
{
	uint64_t ramp_ns = arrivals->ramp_ns < lasting_ns ? arrivals->ramp_ns : lasting_ns;
	double ramp = (double)ramp_ns, rest = (double)(lasting_ns - ramp_ns), end;

	if (arrivals->ramp_ns == 0)
		return arrivals->to;
	end = arrivals->from + (arrivals->to - arrivals->from) * ramp / (double)arrivals->ramp_ns;
	return ((arrivals->from + end) / 2 * ramp + arrivals->to * rest) / (ramp + rest);
}
