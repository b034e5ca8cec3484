/** The limits that control groups set, of version 1 and of version 2, hybrids included. */
#ifndef CLI_DOCTOR_CGROUP_H
#define CLI_DOCTOR_CGROUP_H

#include "doctor/facts.h"

/**
 * Fill in the cgroup's share of the facts: CPU quota, memory, number of tasks.
 *
 * Of the process's own group and all groups above it that can be seen, the tightest counts.
 */
void gb__cgroup_read(const char *root, struct facts *facts);

/**
 * The folder of a controller's group, from the texts of /proc/self/cgroup and /proc/self/mountinfo.
 *
 * `controller` is "memory", "cpu", "pids" for version 1, "" for version 2. `ret_mount` is set to the length
 * of the part that is the mount point, where walking up ends. Returns 0 or -ENOENT.
 */
int gb__cgroup_folder(const char *cgroups, const char *mounts, const char *controller, char *ret_path,
	size_t size, size_t *ret_mount);

#endif
