#include "syslog_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int create(const char *path, struct syslog_file **ret)
{
	struct syslog_file *file = calloc(1, sizeof(*file));
	struct stat status;
	int error;

	if (!file)
		return -ENOMEM;
	file->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	if (file->fd >= 0 && fstat(file->fd, &status) == 0) {
		file->device = status.st_dev;
		file->inode = status.st_ino;
		*ret = file;
		return 0;
	}
	error = -errno;
	if (file->fd >= 0)
		close(file->fd);
	free(file);
	return error;
}

static bool is_at(const struct syslog_file *file, const char *path)
{
	struct stat status;

	return file && stat(path, &status) == 0 && status.st_dev == file->device &&
		status.st_ino == file->inode;
}

int syslog_file_take(struct syslog_files *files, struct syslog_file **ret)
{
	struct syslog_file *file;
	int result = 0;

	pthread_mutex_lock(&files->lock);
	file = files->current;
	if (!is_at(file, files->path))
		result = create(files->path, &file);
	if (result == 0) {
		file->users++;
		files->current = *ret = file;
	}
	pthread_mutex_unlock(&files->lock);
	return result;
}

void syslog_file_give(struct syslog_files *files, struct syslog_file *file)
{
	bool last;

	if (!file)
		return;
	pthread_mutex_lock(&files->lock);
	last = --file->users == 0;
	if (last && files->current == file)
		files->current = NULL;
	pthread_mutex_unlock(&files->lock);
	if (!last)
		return;
	close(file->fd);
	free(file);
}
