/*
 * When the messages of an open-loop run are due: at random, independent of each other and of the server (a
 * Poisson stream), as from many clients that do not know of one another. The same numbers in every run, so that
 * all servers meet the same bursts.
 */
#include "load.h"

#include <err.h>
#include <math.h>
#include <stdlib.h>

/* Above 0, up to 1: splitmix64, whose low bits are as good as its high ones. */
static double random_part(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	mixed ^= mixed >> 31;
	return (double)((mixed >> 11) + 1) * 0x1p-53;
}

void schedule_create(struct load *load)
{
	struct load_options *options = &load->options;
	uint64_t state = 1;
	double at = 0;

	if (!options->messages)
		options->messages = (uint64_t)(options->rate * options->seconds);
	if (!options->messages || options->messages > SCHEDULE_MAX)
		errx(2, "--rate: from 1 to %d messages in all", SCHEDULE_MAX);
	load->schedule = malloc(options->messages * sizeof *load->schedule);
	if (!load->schedule)
		err(1, "malloc");
	for (uint64_t i = 0; i < options->messages; i++) {
		at -= log(random_part(&state)) / options->rate;
		load->schedule[i] = (uint64_t)(at * 1e9);
	}
}
