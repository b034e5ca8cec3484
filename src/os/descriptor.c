#include "os/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

bool gb__descriptor_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

int gb__descriptor_watchable(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? -EPERM : 0;
}

int gb__descriptor_copy(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}
