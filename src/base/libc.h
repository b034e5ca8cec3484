/**
 * What other C libraries than glibc lack: the build says so (GB__LACKS_…), and it is made of system calls here, or done without.
 */
#ifndef BASE_LIBC_H
#define BASE_LIBC_H

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef GB__LACKS_STATX /* musl before 1.2.5 */
#include <linux/stat.h>
static inline int statx(int fd, const char *path, int flags, unsigned mask, void *ret)
{
	return (int)syscall(SYS_statx, fd, path, flags, mask, ret);
}
#endif

#ifdef GB__LACKS_PWRITEV2 /* musl before 1.2.5 */
static inline ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	return (ssize_t)syscall(SYS_pwritev2, fd, parts, (long)count, (long)offset,
		(long)((long long)offset >> 32),
		(long)flags); /* 64-bit kernels do not look at the high half */
}
#endif

#ifdef GB__LACKS_CLOSE_RANGE
static inline int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}
#endif

#ifdef GB__LACKS_STRERRORDESC_NP /* its strerror is static and the same in every thread */
#include <string.h>
static inline const char *strerrordesc_np(int number)
{
	const char *text = strerror(number);

	return strcmp(text, "No error information") == 0 ? NULL : text;
}
#endif

#ifdef GB__LACKS_BACKTRACE
static inline int backtrace(void **frames, int count)
{
	return 0;
}
static inline void backtrace_symbols_fd(void *const *frames, int count, int fd)
{
}
#else
#include <execinfo.h>
#endif

#endif
