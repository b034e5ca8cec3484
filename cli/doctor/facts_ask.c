/* The facts that system calls tell. */
#include "doctor/facts.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CPUS_MAX 4096

static void ask_limit(__rlimit_resource_t resource, uint64_t *ret_soft, uint64_t *ret_hard)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return;
	if (ret_soft)
		*ret_soft = limit.rlim_cur == RLIM_INFINITY ? FACT_UNLIMITED : limit.rlim_cur;
	if (ret_hard)
		*ret_hard = limit.rlim_max == RLIM_INFINITY ? FACT_UNLIMITED : limit.rlim_max;
}

static uint64_t ask_config(int name)
{
	long value = sysconf(name);

	return value < 0 ? FACT_UNKNOWN : (uint64_t)value;
}

static uint64_t ask_affinity(void)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	uint64_t cpus = FACT_UNKNOWN;

	if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) == 0)
		cpus = (uint64_t)CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
	CPU_FREE(set);
	return cpus;
}

void gb__facts_ask(struct facts *facts)
{
	struct utsname name;

	if (uname(&name) == 0) {
		snprintf(facts->kernel, sizeof(facts->kernel), "%s", name.release);
		snprintf(facts->architecture, sizeof(facts->architecture), "%s", name.machine);
	}
	ask_limit(RLIMIT_NOFILE, &facts->nofile_soft, &facts->nofile_hard);
	ask_limit(RLIMIT_MEMLOCK, &facts->memlock_bytes, NULL);
	ask_limit(RLIMIT_STACK, &facts->stack_bytes, NULL);
	ask_limit(RLIMIT_NPROC, &facts->nproc, NULL);
	facts->page_bytes = ask_config(_SC_PAGESIZE);
	facts->cpus_online = ask_config(_SC_NPROCESSORS_ONLN);
	facts->cpus_affine = ask_affinity();
}
