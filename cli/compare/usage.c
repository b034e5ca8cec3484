#include "compare/usage.h"

#include "clock.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TREE_MAX 32768 /* processes; more are not looked at */
#define TEXT_MAX 4096
#define CLOCK_OF(pid) \
	((clockid_t)(~(unsigned)(pid) << 3 | 2)) /* CPUCLOCK_SCHED, see clock_getcpuclockid(3) */

struct tree {
	pid_t *pids;
	size_t count, room;
};

static void add(struct tree *tree, pid_t pid)
{
	if (tree->count == tree->room) {
		size_t room = tree->room ? 2 * tree->room : 64;
		pid_t *grown = room <= TREE_MAX ? realloc(tree->pids, room * sizeof(*grown)) : NULL;

		if (!grown)
			return;
		tree->pids = grown;
		tree->room = room;
	}
	tree->pids[tree->count++] = pid;
}

static void add_children(struct tree *tree, pid_t pid, const char *thread)
{
	char path[300];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, thread);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &child) == 1)
		add(tree, child);
	if (file)
		fclose(file);
}

/* The process and all below it; those that come or end meanwhile may be missing. */
static struct tree tree_of(pid_t pid)
{
	struct tree tree = { 0 };

	add(&tree, pid);
	for (size_t i = 0; i < tree.count; i++) {
		const struct dirent *entry;
		char path[64];
		DIR *folder;

		snprintf(path, sizeof(path), "/proc/%d/task", (int)tree.pids[i]);
		folder = opendir(path);
		while (folder && (entry = readdir(folder)))
			if (entry->d_name[0] != '.')
				add_children(&tree, tree.pids[i], entry->d_name);
		if (folder)
			closedir(folder);
	}
	return tree;
}

/* Ticks of the children that a process has waited for: fields 16 and 17 of proc(5)'s stat. */
static uint64_t waited_ticks(pid_t pid)
{
	char path[64], text[TEXT_MAX];
	unsigned long long user = 0, system = 0;
	const char *at;
	FILE *file;
	size_t got;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	got = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	if (file)
		fclose(file);
	text[got] = '\0';
	at = strrchr(text, ')');
	if (at)
		sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu %llu", &user,
			&system);
	return user + system;
}

static uint64_t cpu_ns(pid_t pid)
{
	const uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	struct tree tree = tree_of(pid);
	uint64_t sum = 0;

	for (size_t i = 0; i < tree.count; i++) {
		struct timespec used;

		if (clock_gettime(CLOCK_OF(tree.pids[i]), &used) < 0)
			continue; /* it has ended: its parent has it */
		sum += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
		sum += waited_ticks(tree.pids[i]) * tick_ns;
	}
	free(tree.pids);
	return sum;
}

uint64_t gb__usage_cpu_ns(pid_t pid, unsigned patience_ms)
{
	uint64_t before, now = cpu_ns(pid);

	for (unsigned i = 0; i < patience_ms; i++) {
		before = now;
		gb__clock_pause(1000000);
		now = cpu_ns(pid);
		if (now == before)
			break;
	}
	return now;
}

static uint64_t anonymous_bytes(pid_t pid)
{
	static const char *const keys[] = { "Pss_Anon:", "Pss_Shmem:", "SwapPss:" };
	char path[64], line[128];
	uint64_t sum = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				sum += strtoull(line + strlen(keys[i]), NULL, 10) * 1024;
	if (file)
		fclose(file);
	return sum;
}

uint64_t gb__usage_memory(pid_t pid)
{
	struct tree tree = tree_of(pid);
	uint64_t sum = 0;

	for (size_t i = 0; i < tree.count; i++)
		sum += anonymous_bytes(tree.pids[i]);
	free(tree.pids);
	return sum;
}
