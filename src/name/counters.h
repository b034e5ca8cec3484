/** What is counted of names, by all workers together: it is seldom. */
#ifndef NAME_COUNTERS_H
#define NAME_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

struct gb__names_counters {
	_Atomic uint64_t queries;  /* names that were asked for */
	_Atomic uint64_t hits;     /* that were known */
	_Atomic uint64_t failures; /* that do not resolve, as was learned */
};

#endif
