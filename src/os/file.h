/**
 * Calls on files, each as a value: a thread performs it, or a ring carries it out, or a simulated kernel does.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum gb__file_verb {
	GB__FILE_OPEN,
	GB__FILE_READ,
	GB__FILE_WRITE,
	GB__FILE_SYNC,
	GB__FILE_STAT,
	GB__FILE_CLOSE,
	GB__FILE_RENAME,
	GB__FILE_UNLINK,
};

/** Of one read or write; Linux has a little more (MAX_RW_COUNT), and results are int. */
#define GB__FILE_SIZE_MAX (1u << 30)
/** An offset: where the descriptor stands, or the end of a file that is open for appending. */
#define GB__FILE_HERE (-1)
/** What statx(2) writes. */
#define GB__FILE_STAT_SIZE 256u

struct gb__file_call {
	uint8_t verb;   /* enum gb__file_verb */
	bool vector;    /* write: `parts` */
	bool data_only; /* sync: fdatasync */
	int fd;         /* of what is open; stat by path: -1 */
	uint32_t size;  /* of `data`, respectively how many `parts` */
	int flags;      /* open: as open(2) */
	uint32_t mode;  /* open */
	int64_t offset; /* read, write */
	const char *path;
	union {
		void *data;
		const struct iovec *parts;
		const char *to; /* rename */
		void *stat;     /* GB__FILE_STAT_SIZE bytes for a struct statx */
	};
};

/** Perform it; may block. Thread: any. Returns what the system call does, or a negative errno. */
int gb__file_perform(const struct gb__file_call *call);

#endif
