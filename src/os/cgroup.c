/*
 * /proc/self/cgroup names the group in each hierarchy, /proc/self/mountinfo where the hierarchy is mounted.
 * In a container the mount may begin in the middle of the hierarchy; then the group's path has that
 * beginning too, or lies outside of what can be seen (cgroup_namespaces(7)).
 */
#include "os/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 512
#define LINE_MAX_BYTES 2048

static FILE *open_file(const char *root, const char *path)
{
	char whole[PATH_MAX_BYTES];

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= (int)sizeof(whole))
		return NULL;
	return fopen(whole, "re");
}

/* Whether a list "a,b,c" has the word. Cuts the list apart. */
static bool has_word(char *list, const char *word)
{
	char *rest;

	for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest))
		if (strcmp(item, word) == 0)
			return true;
	return false;
}

/* The group's path from the line "N:controllers:path" of the controller; NULL: of version 2. */
static bool group_of(const char *root, const char *controller, char *ret_path, size_t size)
{
	FILE *file = open_file(root, "/proc/self/cgroup");
	char line[LINE_MAX_BYTES];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		found = controller ? has_word(list + 1, controller) : strcmp(line, "0:") == 0;
		if (found)
			snprintf(ret_path, size, "%s", path);
	}
	if (file)
		fclose(file);
	return found;
}

static void walk_up(char *folder, size_t mount, void (*visit)(const char *folder, void *arg), void *arg)
{
	for (;;) {
		char *slash = strrchr(folder, '/');

		visit(folder, arg);
		if (!slash || (size_t)(slash - folder) < mount)
			return;
		*slash = '\0';
	}
}

/* A line of mountinfo: "30 22 0:27 ROOT POINT options … - TYPE source SUPEROPTIONS" (proc(5)). */
void gb__cgroup_visit(
	const char *root, const char *controller, void (*visit)(const char *folder, void *arg), void *arg)
{
	FILE *file = open_file(root, "/proc/self/mountinfo");
	char line[LINE_MAX_BYTES];

	while (file && fgets(line, sizeof(line), file)) {
		char begin[PATH_MAX_BYTES], point[PATH_MAX_BYTES], group[PATH_MAX_BYTES], type[32],
			options[256];
		char folder[3 * PATH_MAX_BYTES], *inside = group;
		const char *dash = strstr(line, " - ");
		size_t size;
		bool two;

		if (!dash || sscanf(line, "%*s %*s %*s %511s %511s", begin, point) != 2 ||
			sscanf(dash, " - %31s %*s %255s", type, options) != 2)
			continue;
		two = strcmp(type, "cgroup2") == 0;
		if (!two && (strcmp(type, "cgroup") != 0 || !has_word(options, controller)))
			continue;
		if (!group_of(root, two ? NULL : controller, group, sizeof(group)))
			continue;
		size = strcmp(begin, "/") == 0 ? 0 : strlen(begin);
		if (strncmp(group, begin, size) == 0)
			inside += size;
		if (strcmp(inside, "/") == 0)
			inside++;
		snprintf(folder, sizeof(folder), "%s%s%s", root, point, inside);
		walk_up(folder, strlen(root) + strlen(point), visit, arg);
	}
	if (file)
		fclose(file);
}
