#include "doctor/diagnosis.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DESCRIPTORS_APART 64u     /* standard streams, files, listening sockets */
#define DESCRIPTORS_PER_WORKER 4u /* a demultiplexer or ring, a wake-up, and some in reserve */

const char *gb__verdict_text(enum verdict verdict)
{
	static const char *const texts[] = { "ok", "limits", "cannot" };

	return texts[verdict];
}

struct finding *gb__diagnosis_add(struct diagnosis *diagnosis, const char *group, const char *key,
	const char *label, const char *format, ...)
{
	struct finding *finding = &diagnosis->findings[diagnosis->finding_count];
	va_list arguments;

	assert(diagnosis->finding_count < DIAGNOSIS_FINDINGS_MAX);
	diagnosis->finding_count++;
	*finding = (struct finding){ .group = group, .key = key, .label = label };
	va_start(arguments, format);
	vsnprintf(finding->value, sizeof(finding->value), format, arguments);
	va_end(arguments);
	return finding;
}

void gb__finding_judge(struct finding *finding, enum verdict verdict, const char *format, ...)
{
	va_list arguments;

	if (finding->note[0] && verdict <= finding->verdict)
		return;
	finding->verdict = verdict;
	va_start(arguments, format);
	vsnprintf(finding->note, sizeof(finding->note), format, arguments);
	va_end(arguments);
}

struct change *gb__diagnosis_change(struct diagnosis *diagnosis, uint64_t connections,
	const struct finding *finding, const char *only_for, const char *why)
{
	struct change *change = &diagnosis->changes[diagnosis->change_count];

	assert(diagnosis->change_count < DIAGNOSIS_CHANGES_MAX);
	diagnosis->change_count++;
	*change = (struct change){ .connections = connections, .key = finding->key, .only_for = only_for };
	snprintf(change->why, sizeof(change->why), "%s", why);
	return change;
}

void gb__change_text(struct change *change, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(change->text, sizeof(change->text), format, arguments);
	va_end(arguments);
}

uint64_t gb__diagnosis_descriptors(const struct facts *facts, uint64_t connections)
{
	return connections + DESCRIPTORS_APART +
		(gb__facts_cpus_allotted(facts) + 1) * DESCRIPTORS_PER_WORKER;
}

uint64_t gb__diagnosis_memory_left(const struct facts *facts)
{
	uint64_t left = facts->memory_available_bytes, max = facts->cgroup_memory_max_bytes;
	uint64_t used = facts->cgroup_memory_now_bytes < FACT_UNLIMITED ? facts->cgroup_memory_now_bytes : 0;

	if (max < FACT_UNLIMITED && (max > used ? max - used : 0) < left)
		left = max > used ? max - used : 0;
	return left;
}

bool gb__diagnosis_threads_fit(const struct facts *facts, uint64_t connections)
{
	uint64_t left = gb__diagnosis_memory_left(facts), each;

	if (facts->thread_bytes >= FACT_UNLIMITED || left >= FACT_UNLIMITED)
		return true;
	each = facts->thread_bytes + (facts->connection_bytes < FACT_UNLIMITED ? facts->connection_bytes : 0);
	return connections <= left / (each ? each : 1);
}

void gb__diagnose(const struct facts *facts, const struct gb__uring_probe *uring, const uint64_t *targets,
	size_t target_count, struct diagnosis *ret)
{
	assert(target_count <= DIAGNOSIS_TARGETS_MAX);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->targets, targets, target_count * sizeof(*targets));
	ret->target_count = target_count;
	gb__judge_machine(facts, ret);
	gb__judge_limits(facts, "descriptors", ret);
	gb__judge_uring(facts, uring, ret);
	gb__judge_limits(facts, "accepting", ret);
	gb__judge_network(facts, ret);
	gb__judge_memory(facts, ret);
	gb__judge_threads(facts, ret);
	gb__judge_limits(facts, "threads", ret);
}
