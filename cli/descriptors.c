#include "descriptors.h"

#include <sys/resource.h>

#define OWN 20u /* standard streams, the engine's, and some in reserve */

void gb__descriptors_claim_all(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int gb__descriptors_claim(uint64_t connections, uint64_t apart, const char *which, struct gb_error *error)
{
	struct rlimit limit;

	apart += OWN;
	gb__descriptors_claim_all();
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0; /* then connecting tells */
	if (limit.rlim_cur == RLIM_INFINITY || connections + apart <= limit.rlim_cur)
		return 0;
	if (limit.rlim_cur <= apart)
		return gb_error_set(error, -GB_EUSAGE,
			"this process may have only %llu descriptors: raise that (ulimit -n)",
			(unsigned long long)limit.rlim_cur);
	return gb_error_set(error, -GB_EUSAGE,
		"%s: %llu connections are more than descriptors allow: write at most %llu, or raise the limit of "
		"%llu (ulimit -n)",
		which, (unsigned long long)connections, (unsigned long long)(limit.rlim_cur - apart),
		(unsigned long long)limit.rlim_cur);
}
