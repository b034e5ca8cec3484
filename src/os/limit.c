#include "os/limit.h"

#include "base/macros.h"
#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAPS_PER_THREAD 2u /* its stack and the guard below it */
#define MAPS_OF_OTHERS 2000u

uint64_t gb__descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			return raised.rlim_cur;
	}
	return limit.rlim_cur;
}

int gb__descriptors_standard(void)
{
	int fd = 0;

	while (fd <= STDERR_FILENO && fcntl(fd, F_GETFD) >= 0)
		fd++;
	if (fd > STDERR_FILENO)
		return 0;
	/* open(2) takes the lowest that is free. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

uint64_t gb__descriptors_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 1024;
}

uint64_t gb__descriptors_open(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;
	const struct dirent *entry;

	if (!folder)
		return 3; /* the standard ones */
	while ((entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count - 1; /* the folder's own */
}

const char *gb__limit_hint(int error, char *text, size_t size)
{
	struct rlimit limit;

	*text = '\0';
	if (error == -EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		snprintf(text, size,
			"; a process may have %" PRIu64 " (ulimit -Sn), at most %" PRIu64
			" (ulimit -Hn, LimitNOFILE=)",
			(uint64_t)limit.rlim_cur, (uint64_t)limit.rlim_max);
	return text;
}

/* The number in a file, or UINT64_MAX where there is none ("max"). */
static uint64_t read_number(const char *folder, const char *name)
{
	char path[2048];
	FILE *file;
	uint64_t number = UINT64_MAX;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		return number;
	if (fscanf(file, "%" SCNu64, &number) != 1)
		number = UINT64_MAX;
	fclose(file);
	return number;
}

static void tighten(const char *folder, void *arg)
{
	uint64_t *least = arg, pids = read_number(folder, "pids.max");

	*least = gb__min(*least, pids);
}

uint64_t gb__tasks_max_at(const char *root)
{
	uint64_t least = read_number(root, "proc/sys/kernel/threads-max");
	uint64_t pids = read_number(root, "proc/sys/kernel/pid_max");
	struct rlimit limit;

	least = gb__min(least, pids);
	/* Root is exempt (setrlimit(2)); RLIM_INFINITY is the largest number. */
	if (geteuid() != 0 && getrlimit(RLIMIT_NPROC, &limit) == 0)
		least = gb__min(least, limit.rlim_cur);
	gb__cgroup_visit(root, "pids", tighten, &least);
	return least;
}

uint64_t gb__tasks_max(void)
{
	return gb__tasks_max_at("");
}

uint64_t gb__stacks_max_at(const char *root)
{
	uint64_t maps = read_number(root, "proc/sys/vm/max_map_count");

	return maps >= MAPS_OF_OTHERS + MAPS_PER_THREAD ? (maps - MAPS_OF_OTHERS) / MAPS_PER_THREAD : 1;
}

uint64_t gb__stacks_max(void)
{
	return gb__stacks_max_at("");
}
