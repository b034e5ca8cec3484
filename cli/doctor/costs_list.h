/** What gb__costs_measure found: between measuring and telling. */
#ifndef CLI_DOCTOR_COSTS_LIST_H
#define CLI_DOCTOR_COSTS_LIST_H

#include "doctor/bench.h"
#include "doctor/costs.h"
#include "doctor/spread.h"

struct cost_result {
	const struct cost *cost;
	const char *missing;           /* why it was not measured; NULL when it was */
	struct spread wall_ns, cpu_ns; /* of one operation */
	unsigned rounds;
	uint64_t operations; /* of each round */
};

struct costs {
	unsigned cpus[2]; /* the two that were used; the same where there is one only */
	double load;      /* of the machine in the minute before */
	size_t count;
	struct cost_result results[];
};

#endif
