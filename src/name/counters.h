/** What is counted of names; written by the worker's thread alone. */
#ifndef NAME_COUNTERS_H
#define NAME_COUNTERS_H

#include <stdint.h>

struct gb__names_counters {
	uint64_t queries;  /* names that were asked for */
	uint64_t hits;     /* that were known */
	uint64_t failures; /* that do not resolve, as was learned */
};

#endif
