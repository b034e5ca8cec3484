/*
 * /proc/self/cgroup names the group in each hierarchy, /proc/self/mountinfo where the hierarchy is mounted.
 * In a container the mount may begin in the middle of the hierarchy; then the group's path has that
 * beginning too, or lies outside of what can be seen (cgroup_namespaces(7)).
 */
#include "doctor/cgroup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 16384u
#define PATH_MAX_BYTES 512u
/* Version 1 says "no limit" with the largest multiple of a page. */
#define UNLIMITED_FROM (UINT64_C(1) << 62)

/* Whether a list "a,b,c" of `size` bytes has the word. */
static bool has_word(const char *list, size_t size, const char *word)
{
	while (size > 0) {
		size_t length = 0;

		while (length < size && list[length] != ',')
			length++;
		if (length == strlen(word) && strncmp(list, word, length) == 0)
			return true;
		length += length < size;
		list += length;
		size -= length;
	}
	return false;
}

/* The path after the second colon of the line "N:controllers:path" for the controller, and its length. */
static const char *group_of(const char *cgroups, const char *controller, size_t *ret_size)
{
	for (const char *line = cgroups; *line; line += *line == '\n') {
		size_t size = strcspn(line, "\n");
		const char *list = memchr(line, ':', size), *path = NULL;

		if (list)
			path = memchr(list + 1, ':', size - (size_t)(list + 1 - line));
		if (path &&
			(*controller ? has_word(list + 1, (size_t)(path - list - 1), controller)
				     : strncmp(line, "0::", 3) == 0)) {
			*ret_size = size - (size_t)(path + 1 - line);
			return path + 1;
		}
		line += size;
	}
	return NULL;
}

struct mount {
	char root[PATH_MAX_BYTES], point[PATH_MAX_BYTES];
};

/* A line of mountinfo: "30 22 0:27 ROOT POINT options … - TYPE source SUPEROPTIONS" (proc(5)). */
static bool is_mount_of(const char *line, const char *controller, struct mount *ret)
{
	char type[32], options[256];
	const char *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*s %*s %*s %511s %511s", ret->root, ret->point) != 2)
		return false;
	if (sscanf(dash, " - %31s %*s %255s", type, options) != 2)
		return false;
	if (!*controller)
		return strcmp(type, "cgroup2") == 0;
	return strcmp(type, "cgroup") == 0 && has_word(options, strlen(options), controller);
}

static bool mount_of(const char *mounts, const char *controller, struct mount *ret)
{
	char line[1280];

	for (const char *at = mounts; *at; at += *at == '\n') {
		size_t size = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)size, at);
		if (is_mount_of(line, controller, ret))
			return true;
		at += size;
	}
	return false;
}

int gb__cgroup_folder(const char *cgroups, const char *mounts, const char *controller, char *ret_path,
	size_t size, size_t *ret_mount)
{
	struct mount mount;
	size_t group_size, root_size;
	const char *group = group_of(cgroups, controller, &group_size);

	if (!group || !mount_of(mounts, controller, &mount))
		return -ENOENT;
	root_size = strcmp(mount.root, "/") == 0 ? 0 : strlen(mount.root);
	if (root_size <= group_size && strncmp(group, mount.root, root_size) == 0) {
		group += root_size;
		group_size -= root_size;
	}
	if (group_size == 1) /* "/": the mount point itself */
		group_size = 0;
	*ret_mount = strlen(mount.point);
	if ((size_t)snprintf(ret_path, size, "%s%.*s", mount.point, (int)group_size, group) >= size)
		return -ENOENT;
	return 0;
}

/* A limit's file: one number; in version 1 a huge one or -1 stand for none. */
static uint64_t read_limit(const char *root, const char *folder, const char *file)
{
	char path[PATH_MAX_BYTES + 64], text[64];
	uint64_t value;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (gb__facts_file(root, path, text, sizeof(text)) < 0)
		return FACT_UNKNOWN;
	if (text[0] == '-')
		return FACT_UNLIMITED;
	value = gb__facts_word(text, 0);
	return value >= UNLIMITED_FROM && value != FACT_UNKNOWN ? FACT_UNLIMITED : value;
}

/* The quota of one group in thousandths of a CPU. */
static uint64_t read_quota(const char *root, const char *folder)
{
	char path[PATH_MAX_BYTES + 64], text[64];
	uint64_t quota, period;

	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	if (gb__facts_file(root, path, text, sizeof(text)) == 0) {
		quota = gb__facts_word(text, 0);
		period = gb__facts_word(text, 1);
	} else {
		quota = read_limit(root, folder, "cpu.cfs_quota_us");
		period = read_limit(root, folder, "cpu.cfs_period_us");
	}
	if (quota >= FACT_UNLIMITED || period == 0 || period >= FACT_UNLIMITED)
		return quota;
	return quota * 1000 / period;
}

/* A limit, and how much of it is used in the group that sets it. */
struct limit {
	const char *max_file, *now_file; /* max_file NULL: the CPU quota */
	uint64_t *max, *now;
};

static void tighten(const char *root, const char *folder, const struct limit *limit)
{
	uint64_t max = limit->max_file ? read_limit(root, folder, limit->max_file) : read_quota(root, folder);

	if (max >= *limit->max)
		return;
	*limit->max = max;
	if (limit->now)
		*limit->now = read_limit(root, folder, limit->now_file);
}

static void walk_up(const char *root, char *path, size_t mount, const struct limit *limit)
{
	if (*limit->max == FACT_UNKNOWN) /* what no group of the hierarchy has a file for is not limited */
		*limit->max = FACT_UNLIMITED;
	for (;;) {
		char *slash;

		tighten(root, path, limit);
		slash = strrchr(path, '/');
		if (strlen(path) <= mount || !slash)
			return;
		*slash = '\0';
	}
}

void gb__cgroup_read(const char *root, struct facts *facts)
{
	char cgroups[TEXT_MAX], mounts[TEXT_MAX], path[PATH_MAX_BYTES];
	size_t mount;
	const struct {
		const char *controller; /* of version 1 */
		struct limit one, two;
	} limits[] = {
		{ "cpu", { NULL, NULL, &facts->cpu_quota_milli, NULL },
			{ NULL, NULL, &facts->cpu_quota_milli, NULL } },
		{ "memory",
			{ "memory.limit_in_bytes", "memory.usage_in_bytes", &facts->cgroup_memory_max_bytes,
				&facts->cgroup_memory_now_bytes },
			{ "memory.max", "memory.current", &facts->cgroup_memory_max_bytes,
				&facts->cgroup_memory_now_bytes } },
		{ "pids", { "pids.max", "pids.current", &facts->cgroup_pids_max, &facts->cgroup_pids_now },
			{ "pids.max", "pids.current", &facts->cgroup_pids_max, &facts->cgroup_pids_now } },
	};

	if (gb__facts_file(root, "/proc/self/cgroup", cgroups, sizeof(cgroups)) < 0 ||
		gb__facts_file(root, "/proc/self/mountinfo", mounts, sizeof(mounts)) < 0)
		return;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		if (gb__cgroup_folder(cgroups, mounts, limits[i].controller, path, sizeof(path), &mount) == 0)
			walk_up(root, path, mount, &limits[i].one);
		if (gb__cgroup_folder(cgroups, mounts, "", path, sizeof(path), &mount) == 0)
			walk_up(root, path, mount, &limits[i].two);
	}
}
