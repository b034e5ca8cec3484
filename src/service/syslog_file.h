/**
 * The file of the service `syslog`, which may be moved away while it is written to: rotation.
 *
 * Workers of a process share a descriptor as long as it is that of the file which has the path.
 */
#ifndef SERVICE_SYSLOG_FILE_H
#define SERVICE_SYSLOG_FILE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/** Open to append to. */
struct syslog_file {
	int fd;
	dev_t device;
	ino_t inode;
	unsigned users;
};

/** Of a process; of all zeros, with `path`. */
struct syslog_files {
	const char *path;
	pthread_mutex_t lock;
	struct syslog_file *current; /* NULL: nobody uses it */
};

/** The file that has the path now; it is made if there is none. Thread: any. Returns 0 or a negative errno. */
int syslog_file_take(struct syslog_files *files, struct syslog_file **ret);
/** The last user closes it. NULL is fine. Thread: any. */
void syslog_file_give(struct syslog_files *files, struct syslog_file *file);

#endif
