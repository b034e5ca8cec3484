#include "os/shared.h"

#include "os/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_create(size_t size, const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void *gb__shared_file_map(size_t size, const char *name, int *ret_fd)
{
	int fd = file_create(size, name);
	void *memory;

	*ret_fd = fd;
	if (fd < 0)
		return gb__shared_map(size);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory != MAP_FAILED)
		return memory;
	close(fd);
	*ret_fd = -1;
	return NULL;
}

void gb__shared_file_unmap(void *memory, size_t size, int fd)
{
	if (fd >= 0)
		close(fd);
	gb__shared_unmap(memory, size);
}

/* Whether this entry of /proc/PID/fd is such memory. */
static bool is_named(const char *path, const char *name)
{
	char link[128], wanted[128];
	ssize_t size = readlink(path, link, sizeof(link) - 1);

	if (size < 0)
		return false;
	link[size] = '\0';
	snprintf(wanted, sizeof(wanted), "/memfd:%s (deleted)", name);
	return strcmp(link, wanted) == 0;
}

static int file_open(pid_t pid, const char *name, unsigned n)
{
	char path[64];
	const struct dirent *entry;
	DIR *descriptors;
	int result = -ENOENT;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	descriptors = opendir(path);
	if (!descriptors)
		return errno == ENOENT ? -ESRCH : -errno;
	while (result == -ENOENT && (entry = readdir(descriptors)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, entry->d_name);
		if (!is_named(path, name) || n-- > 0)
			continue;
		result = open(path, O_RDWR | O_CLOEXEC);
		if (result < 0)
			result = -errno;
	}
	closedir(descriptors);
	return result;
}

/* Memory that another process can shorten ends whoever reads it, by SIGBUS. */
static bool keeps_its_size(int fd)
{
	const int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_SHRINK);
}

int gb__shared_file_attach(pid_t pid, const char *name, unsigned n, void **ret, size_t *ret_size)
{
	int fd = file_open(pid, name, n), result = 0;
	struct stat stat;
	void *memory;

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) < 0) {
		result = -errno;
	} else if (!keeps_its_size(fd)) {
		result = -ENOTSUP;
	} else {
		memory = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED) {
			result = -errno;
		} else {
			*ret = memory;
			*ret_size = (size_t)stat.st_size;
		}
	}
	close(fd);
	return result;
}
