/* Memory: of the machine, of the cgroup, for connections, for data under way. */
#include "doctor/diagnosis.h"
#include "doctor/format.h"

#define GROUP "memory"

static struct finding *add_bytes(
	struct diagnosis *diagnosis, const char *key, const char *label, uint64_t bytes)
{
	char text[FORMAT_MAX];

	return gb__diagnosis_add(diagnosis, GROUP, key, label, "%s", gb__format_bytes(bytes, text));
}

static void judge_cgroup(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding =
		add_bytes(diagnosis, "memory.max", "limit of the cgroup", facts->cgroup_memory_max_bytes);

	if (facts->cgroup_memory_max_bytes >= FACT_UNLIMITED)
		return;
	gb__finding_judge(
		finding, VERDICT_OK, "%s used now", gb__format_bytes(facts->cgroup_memory_now_bytes, text));
}

/* The kernel's part only: what a server keeps itself depends on its service. */
static void judge_connections(const struct facts *facts, struct diagnosis *diagnosis)
{
	uint64_t left = gb__diagnosis_memory_left(facts);
	char have[FORMAT_MAX], need[FORMAT_MAX], count[FORMAT_MAX];
	struct finding *finding =
		add_bytes(diagnosis, "connection", "idle connection, in the kernel", facts->connection_bytes);

	if (facts->connection_bytes >= FACT_UNLIMITED) {
		gb__finding_judge(finding, VERDICT_OK, "could not be measured here");
		return;
	}
	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i], bytes = connections * facts->connection_bytes;
		bool grouped = facts->cgroup_memory_max_bytes < FACT_UNLIMITED &&
			facts->memory_available_bytes >= bytes;

		gb__format_bytes(bytes, need);
		if (bytes <= left)
			continue;
		gb__finding_judge(finding, grouped ? VERDICT_LIMITS : VERDICT_CANNOT,
			"estimate: %s connections need %s, %s are left", gb__format_count(connections, count),
			need, gb__format_bytes(left, have));
		gb__change_text(
			gb__diagnosis_change(diagnosis, connections, finding, NULL,
				"idle connections in the kernel, the server's own memory and data not counted"),
			grouped ? "give the cgroup %s more memory (MemoryMax= of the unit)" : "%s of memory",
			need);
	}
	if (finding->verdict == VERDICT_OK && diagnosis->target_count > 0) {
		uint64_t most = diagnosis->targets[diagnosis->target_count - 1];

		gb__finding_judge(finding, VERDICT_OK, "estimate: %s for %s; data and server on top",
			gb__format_bytes(most * facts->connection_bytes, need),
			gb__format_count(most, count));
	}
}

/* tcp_mem: low, pressure, max. A page of data under way for each connection is modest. */
static void judge_under_way(const struct facts *facts, struct diagnosis *diagnosis)
{
	uint64_t page = facts->page_bytes < FACT_UNLIMITED ? facts->page_bytes : 4096,
		 max = facts->tcp_mem_max;
	uint64_t now = facts->tcp_mem_now < FACT_UNLIMITED ? facts->tcp_mem_now : 0;
	char text[FORMAT_MAX];
	struct finding *finding = add_bytes(diagnosis, "net.ipv4.tcp_mem", "data in sockets (tcp_mem)",
		max < FACT_UNLIMITED ? max * page : max);

	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i], need = connections + now;

		if (max >= need)
			continue;
		gb__finding_judge(finding, VERDICT_LIMITS, "a page for each of %s is more",
			gb__format_count(connections, text));
		gb__change_text(
			gb__diagnosis_change(diagnosis, connections, finding, NULL,
				"in pages; above it data is dropped, above the second buffers shrink"),
			"sysctl -w net.ipv4.tcp_mem=\"%llu %llu %llu\"", (unsigned long long)need / 2,
			(unsigned long long)need / 3 * 2, (unsigned long long)need);
	}
}

void gb__judge_memory(const struct facts *facts, struct diagnosis *diagnosis)
{
	char total[FORMAT_MAX], available[FORMAT_MAX];

	gb__diagnosis_add(diagnosis, GROUP, "memory", "left", "%s of %s",
		gb__format_bytes(facts->memory_available_bytes, available),
		gb__format_bytes(facts->memory_bytes, total));
	judge_cgroup(facts, diagnosis);
	judge_connections(facts, diagnosis);
	judge_under_way(facts, diagnosis);
}
