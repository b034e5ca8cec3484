/* Limits that are one number and must be at least another one: a row each. */
#include "doctor/diagnosis.h"
#include "doctor/format.h"

#include <string.h>

#define PID_MAX_MOST 4194304u /* of 64-bit kernels */
#define SOMAXCONN_MOST 65535u /* more is a mistake in older kernels, where it was 16 bits wide */
#define BACKLOG_LEAST 128u
#define TASKS_APART 64u /* what else the server starts */
#define MAPPINGS_APART 256u
#define MAPPINGS_PER_THREAD 2u /* a stack, and the guard below it */

#define THREADS_ONLY "a thread or process per connection"

struct limit {
	const char *group, *key, *label;
	size_t have;
	uint64_t (*need)(const struct facts *facts, uint64_t connections); /* 0: none */
	const char *only_for;
	const char *change; /* what to write before the number */
	const char *why;
};

static uint64_t add(uint64_t left, uint64_t right)
{
	return left + (right < FACT_UNLIMITED ? right : 0);
}

static uint64_t need_open(const struct facts *facts, uint64_t connections)
{
	return add(gb__diagnosis_descriptors(facts, connections), facts->files_open);
}

/* All connections come back within ten seconds, and accepting pauses for half a second meanwhile. */
static uint64_t need_backlog(const struct facts *facts, uint64_t connections)
{
	uint64_t need = connections / 20;

	(void)facts;
	if (need < BACKLOG_LEAST)
		return BACKLOG_LEAST;
	return need < SOMAXCONN_MOST ? need : SOMAXCONN_MOST;
}

/* Without cookies the last quarter is for peers already known (tcp_conn_request in Linux); with them none is refused. */
static uint64_t need_syn_backlog(const struct facts *facts, uint64_t connections)
{
	return facts->syncookies == 0 ? (need_backlog(facts, connections) * 4 + 2) / 3 : 0;
}

/* Where nothing is tracked although packets flow, no rule asks for it. */
static uint64_t need_tracked(const struct facts *facts, uint64_t connections)
{
	return facts->conntrack_now > 0 && facts->conntrack_now < FACT_UNLIMITED
		? connections + facts->conntrack_now
		: 0;
}

static uint64_t need_tasks(const struct facts *facts, uint64_t connections)
{
	return gb__diagnosis_threads_fit(facts, connections) ? connections + TASKS_APART : 0;
}

static uint64_t need_threads(const struct facts *facts, uint64_t connections)
{
	uint64_t need = need_tasks(facts, connections);

	return need ? add(need, facts->threads_now) : 0;
}

static uint64_t need_pids(const struct facts *facts, uint64_t connections)
{
	uint64_t need = need_threads(facts, connections);

	return need < PID_MAX_MOST ? need : PID_MAX_MOST;
}

static uint64_t need_mappings(const struct facts *facts, uint64_t connections)
{
	return gb__diagnosis_threads_fit(facts, connections)
		? connections * MAPPINGS_PER_THREAD + MAPPINGS_APART
		: 0;
}

/* RLIMIT_NPROC does not bind who holds CAP_SYS_RESOURCE (getrlimit(2)). */
static uint64_t need_user_tasks(const struct facts *facts, uint64_t connections)
{
	return facts->privileged == 1 ? 0 : need_tasks(facts, connections);
}

static uint64_t need_group_tasks(const struct facts *facts, uint64_t connections)
{
	uint64_t need = need_tasks(facts, connections);

	return need ? add(need, facts->cgroup_pids_now) : 0;
}

#define HAVE(name) offsetof(struct facts, name)

static const struct limit limits[] = {
	{ "descriptors", "nofile-hard", "hard limit (ulimit -Hn)", HAVE(nofile_hard),
		gb__diagnosis_descriptors, NULL, "ulimit -n ",
		"one descriptor each; as root in the shell that starts the server, or LimitNOFILE= of the unit" },
	{ "descriptors", "fs.nr_open", "highest hard limit (fs.nr_open)", HAVE(nr_open),
		gb__diagnosis_descriptors, NULL,
		"sysctl -w fs.nr_open=", "no process may have more descriptors; before the hard limit" },
	{ "descriptors", "fs.file-max", "whole machine (fs.file-max)", HAVE(file_max), need_open, NULL,
		"sysctl -w fs.file-max=", "all processes together, with those open now" },
	{ "accepting", "net.core.somaxconn", "accept queue (somaxconn)", HAVE(somaxconn), need_backlog, NULL,
		"sysctl -w net.core.somaxconn=",
		"cuts every --backlog, so raise both; holds all that come back within 10 s while accepting pauses 0.5 s" },
	{ "accepting", "net.ipv4.tcp_max_syn_backlog", "SYN queue (tcp_max_syn_backlog)", HAVE(syn_backlog),
		need_syn_backlog, NULL,
		"sysctl -w net.ipv4.tcp_max_syn_backlog=", "counts because SYN cookies are off" },
	{ "accepting", "net.netfilter.nf_conntrack_max", "tracked (nf_conntrack_max)", HAVE(conntrack_max),
		need_tracked, NULL, "sysctl -w net.netfilter.nf_conntrack_max=",
		"a full table drops new connections; or exempt the server's port with a notrack rule" },
	{ "threads", "kernel.threads-max", "whole machine (threads-max)", HAVE(threads_max), need_threads,
		THREADS_ONLY, "sysctl -w kernel.threads-max=", "all threads, with those there are now" },
	{ "threads", "kernel.pid_max", "thread numbers (pid_max)", HAVE(pid_max), need_pids, THREADS_ONLY,
		"sysctl -w kernel.pid_max=", "each thread has a number of its own" },
	{ "threads", "vm.max_map_count", "mappings (max_map_count)", HAVE(map_count_max), need_mappings,
		"a thread per connection",
		"sysctl -w vm.max_map_count=", "a stack and its guard, two mappings" },
	{ "threads", "nproc", "of this user (ulimit -u)", HAVE(nproc), need_user_tasks, THREADS_ONLY,
		"ulimit -u ", "as root in the shell that starts the server, or LimitNPROC= of the unit" },
	{ "threads", "pids.max", "of this cgroup (pids.max)", HAVE(cgroup_pids_max), need_group_tasks,
		THREADS_ONLY, "systemctl set-property UNIT TasksMax=", "or --pids-limit of the container" },
};

static void judge(const struct facts *facts, const struct limit *limit, struct diagnosis *diagnosis)
{
	uint64_t have = gb__fact_at(facts, limit->have);
	char text[FORMAT_MAX], needed[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(
		diagnosis, limit->group, limit->key, limit->label, "%s", gb__format_count(have, text));

	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i], need = limit->need(facts, connections);

		if (have >= need)
			continue;
		gb__format_count(need, needed);
		gb__finding_judge(finding, VERDICT_LIMITS, "%s connections need %s%s%s%s",
			gb__format_count(connections, text), needed, limit->only_for ? " (for " : "",
			limit->only_for ? limit->only_for : "", limit->only_for ? ")" : "");
		gb__change_text(
			gb__diagnosis_change(diagnosis, connections, finding, limit->only_for, limit->why),
			"%s%llu", limit->change, (unsigned long long)need);
	}
}

static void judge_soft_descriptors(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(diagnosis, "descriptors", "nofile-soft",
		"soft limit (ulimit -n)", "%s", gb__format_count(facts->nofile_soft, text));

	if (facts->nofile_soft < facts->nofile_hard)
		gb__finding_judge(finding, VERDICT_OK, "serve raises it to the hard limit by itself");
}

void gb__judge_limits(const struct facts *facts, const char *group, struct diagnosis *diagnosis)
{
	if (strcmp(group, "descriptors") == 0)
		judge_soft_descriptors(facts, diagnosis);
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		if (strcmp(limits[i].group, group) == 0)
			judge(facts, &limits[i], diagnosis);
}
