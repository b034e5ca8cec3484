/** Memory that other processes, no children, may map as well: a file without a name, found by /proc/PID/fd. */
#ifndef OS_SHARED_H
#define OS_SHARED_H

#include <stddef.h>
#include <sys/types.h>

/** Zeroed memory shared with later children, as gb__shared_map, and with who attaches to it. Its size is for ever. `*ret_fd`
 *  is a descriptor of it, or -1: the kernel has no such files, or there are no descriptors, and nobody can attach. */
void *gb__shared_file_map(size_t size, const char *name, int *ret_fd);
void gb__shared_file_unmap(void *memory, size_t size, int fd);

/** Map the n-th memory (from 0) of that name of a process, to be let go by gb__shared_unmap. Returns 0, -ESRCH, -ENOENT
 *  (there is none), -EACCES, -ENOTSUP (its process could shorten it), or another negative errno. */
int gb__shared_file_attach(pid_t pid, const char *name, unsigned n, void **ret, size_t *ret_size);

#endif
