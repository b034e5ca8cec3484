#include "advise/situation.h"

#include <math.h>

#define ALMOST 1e-9
#define QUEUED \
	4 /* C / P counts as if who computes never had to wait for a CPU: so many times that are near to what can be had */

static double work_ns(const struct advise_situation *situation)
{
	return situation->cpu_ns + situation->io_ns;
}

bool gb__advise_blocks(const struct advise_situation *situation)
{
	return situation->blocked_ns > ADVISE_BLOCKS_NS;
}

double gb__advise_share(const struct advise_situation *situation)
{
	double whole = work_ns(situation) + situation->blocked_ns;

	return whole > ALMOST ? work_ns(situation) / whole : 1;
}

double gb__advise_under_way(const struct advise_situation *situation)
{
	double most = situation->connections * situation->depth;
	double each_ns = work_ns(situation) + situation->blocked_ns + situation->waits_ns;

	if (isnan(situation->rate))
		return most;
	return fmin(most, fmax(1, situation->rate * each_ns / 1e9));
}

double gb__advise_at_a_time(const struct advise_situation *situation)
{
	double busy_ns = work_ns(situation) * (situation->under_load > 0 ? situation->under_load : 1);
	double threads = situation->cpus * (busy_ns + situation->blocked_ns) / fmax(busy_ns, 1);

	if (gb__advise_share(situation) >= ADVISE_SHARE_LEAST)
		threads *= QUEUED;
	return fmin(gb__advise_under_way(situation), threads);
}

double gb__advise_rate(const struct advise_situation *situation)
{
	double each_ns = work_ns(situation) + situation->blocked_ns + situation->waits_ns;
	double cpus = situation->cpus, fastest = cpus * 1e9 / fmax(work_ns(situation), 1);

	if (!isnan(situation->rate))
		return fmin(situation->rate, fastest);
	return fmin(fastest, situation->connections * situation->depth * 1e9 / fmax(each_ns, 1));
}

double gb__advise_demand(const struct advise_situation *situation)
{
	return gb__advise_rate(situation) * work_ns(situation) / 1e9;
}
