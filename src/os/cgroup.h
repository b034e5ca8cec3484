/** Where the limits of this process's control groups are to be read (cgroups(7)). */
#ifndef OS_CGROUP_H
#define OS_CGROUP_H

/**
 * Call `visit` with the folder of this process's group and of each group above it, as far up as they can be
 * seen: in the hierarchy of version 1 that has `controller` ("cpu", "pids") and in that of version 2.
 *
 * `root` stands before every path that is read and every folder that is told: "" but in tests.
 */
void gb__cgroup_visit(
	const char *root, const char *controller, void (*visit)(const char *folder, void *arg), void *arg);

#endif
