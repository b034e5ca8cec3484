#include "pool/sizing.h"

#include "base/macros.h"
#include "os/cpu.h"

#include <gearbox/model.h>

#define SHARE_LEAST 0.2     /* below it the number is fixed */
#define BLOCKING_FACTOR 5u  /* then: 1 / 0.2 for each CPU */
#define MEMORY 0.9          /* of what was measured, from one look to the next: a second, roughly */
#define MEASURED_NS 1000000 /* less says nothing */

unsigned gb_pool_size_for(unsigned cpus, double compute_share)
{
	double threads;

	if (cpus == 0)
		cpus = gb__cpus_allotted();
	if (!(compute_share >= SHARE_LEAST)) /* no number is none as well */
		return gb__min(BLOCKING_FACTOR * cpus, GB__SIZING_MAX);
	threads = (double)cpus / gb__min(compute_share, 1.0) + 0.5;
	return threads < GB__SIZING_MAX ? (unsigned)threads : GB__SIZING_MAX;
}

void gb__sizing_init(struct gb__sizing *sizing, unsigned cpus, unsigned blocking, unsigned threads)
{
	*sizing = (struct gb__sizing){ .cpus = cpus, .blocking = blocking, .threads = threads };
}

void gb__sizing_add(struct gb__sizing *sizing, uint64_t cpu_ns, uint64_t wall_ns)
{
	sizing->wall_ns += (double)wall_ns;
	sizing->cpu_ns += (double)gb__min(cpu_ns, wall_ns); /* clocks differ in their steps */
}

unsigned gb__sizing_target(const struct gb__sizing *sizing)
{
	double share = sizing->wall_ns > 0 ? sizing->cpu_ns / sizing->wall_ns : 1;
	unsigned threads;

	if (sizing->wall_ns < MEASURED_NS)
		return sizing->threads;
	threads = gb_pool_size_for(sizing->cpus, share);
	return share < SHARE_LEAST ? gb__max(threads, sizing->blocking) : threads;
}

unsigned gb__sizing_least(const struct gb__sizing *sizing)
{
	return gb__max((gb__sizing_target(sizing) + 1) / 2, 1u);
}

unsigned gb__sizing_most(const struct gb__sizing *sizing)
{
	unsigned target = gb__sizing_target(sizing);

	return gb__min(target + (target + 1) / 2, GB__SIZING_MAX);
}

/* A quarter more at a time: what was measured has time to follow. */
static unsigned growth(const struct gb__sizing *sizing, unsigned most)
{
	return gb__min(gb__max(sizing->threads / 4, 1u), most - sizing->threads);
}

static unsigned surplus(const struct gb__sizing *sizing, unsigned idle)
{
	unsigned least = gb__sizing_least(sizing), most = gb__sizing_most(sizing);
	unsigned over = sizing->threads > most ? sizing->threads - most : 0;

	if (sizing->threads <= least)
		return 0;
	return gb__max(over, gb__min(idle, sizing->threads - least));
}

/* What is known is kept, however long no job comes. */
static void forget(struct gb__sizing *sizing)
{
	if (sizing->wall_ns < 2 * MEASURED_NS)
		return;
	sizing->wall_ns *= MEMORY;
	sizing->cpu_ns *= MEMORY;
}

static int shrink(struct gb__sizing *sizing, uint64_t now_ms, unsigned idle)
{
	unsigned ended = surplus(sizing, idle);

	if (ended == 0) {
		sizing->surplus_ms = 0;
		return 0;
	}
	if (sizing->surplus_ms == 0)
		sizing->surplus_ms = now_ms;
	if (now_ms - sizing->surplus_ms < GB__SIZING_SURPLUS_MS)
		return 0;
	sizing->surplus_ms = now_ms;
	return -(int)ended;
}

int gb__sizing_step(struct gb__sizing *sizing, uint64_t now_ms, unsigned waiting, unsigned idle)
{
	unsigned most = gb__sizing_most(sizing);
	int change;

	sizing->stepped_ms = now_ms;
	if (waiting > 0 && idle == 0 && sizing->wall_ns >= MEASURED_NS && sizing->threads < most) {
		sizing->surplus_ms = 0;
		change = (int)growth(sizing, most);
	} else {
		change = shrink(sizing, now_ms, idle);
	}
	forget(sizing);
	return change;
}
