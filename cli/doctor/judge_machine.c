/* The machine itself: kernel, CPUs, loopback; and what threads cost on it. */
#include "doctor/diagnosis.h"
#include "doctor/format.h"

#include <stdio.h>

#define LOOPBACK_MTU 65536u

static void judge_kernel(const struct facts *facts, struct diagnosis *diagnosis)
{
	unsigned major = 0, minor = 0;
	struct finding *finding = gb__diagnosis_add(
		diagnosis, "machine", "kernel", "kernel", "%.40s %.16s", facts->kernel, facts->architecture);

	/* Only what cannot be tried is told from the version. */
	if (sscanf(facts->kernel, "%u.%u", &major, &minor) == 2 && (major < 4 || (major == 4 && minor < 5)))
		gb__finding_judge(finding, VERDICT_LIMITS,
			"wake=exclusive under epoll needs EPOLLEXCLUSIVE, since Linux 4.5");
}

static void judge_cpus(const struct facts *facts, struct diagnosis *diagnosis)
{
	uint64_t allotted = gb__facts_cpus_allotted(facts);
	struct finding *finding;
	char text[FORMAT_MAX];

	finding = gb__diagnosis_add(diagnosis, "machine", "cpus", "CPUs allotted", "%llu of %s",
		(unsigned long long)allotted, gb__format_count(facts->cpus_online, text));
	if (facts->cpu_quota_milli < FACT_UNLIMITED && facts->cpu_quota_milli < facts->cpus_affine * 1000)
		gb__finding_judge(finding, VERDICT_LIMITS, "the cgroup's quota is %.2f CPUs",
			(double)facts->cpu_quota_milli / 1000);
	else if (facts->cpus_affine < facts->cpus_online)
		gb__finding_judge(finding, VERDICT_LIMITS, "by affinity (taskset, cpuset)");
}

static void judge_loopback(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding =
		gb__diagnosis_add(diagnosis, "machine", "loopback-mtu", "loopback MTU", "%s",
			facts->loopback_mtu == FACT_UNKNOWN ? "unknown"
							    : gb__format_count(facts->loopback_mtu, text));

	if (facts->loopback_mtu < LOOPBACK_MTU)
		gb__finding_judge(finding, VERDICT_LIMITS,
			"below %u: measurements over loopback cut into more segments", LOOPBACK_MTU);
}

void gb__judge_machine(const struct facts *facts, struct diagnosis *diagnosis)
{
	judge_kernel(facts, diagnosis);
	judge_cpus(facts, diagnosis);
	judge_loopback(facts, diagnosis);
}

static void judge_stack(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(diagnosis, "threads", "stack",
		"stack of a thread (ulimit -s)", "%s", gb__format_bytes(facts->stack_bytes, text));

	if (facts->overcommit == 2) {
		gb__finding_judge(finding, VERDICT_LIMITS,
			"vm.overcommit_memory=2 counts stacks in full: take --model thread,stack=64KiB");
		return;
	}
	gb__finding_judge(finding, VERDICT_OK, "address space, not memory");
}

void gb__judge_threads(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX], have[FORMAT_MAX];
	struct finding *finding;

	judge_stack(facts, diagnosis);
	finding = gb__diagnosis_add(diagnosis, "threads", "thread", "idle thread", "%s",
		gb__format_bytes(facts->thread_bytes, text));
	if (facts->thread_bytes >= FACT_UNLIMITED) {
		gb__finding_judge(finding, VERDICT_OK, "could not be measured here");
		return;
	}
	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i];

		if (gb__diagnosis_threads_fit(facts, connections))
			continue;
		gb__finding_judge(finding, VERDICT_CANNOT, "%s of them do not fit into %s",
			gb__format_count(connections, text),
			gb__format_bytes(gb__diagnosis_memory_left(facts), have));
		gb__change_text(gb__diagnosis_change(diagnosis, connections, finding,
					"a thread or process per connection",
					"no setting makes so many threads fit into this memory"),
			"take an event model instead: --model multi-reactor");
	}
	gb__finding_judge(finding, VERDICT_OK, "estimate");
}
