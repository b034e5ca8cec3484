/**
 * recv(2), send(2), epoll_wait(2) and accept4(2), without an address, as the kernel has them: a count or a descriptor, or a
 * negative errno.
 *
 * What every message, turn or connection does is worth a few instructions: the C library's functions are cancellation
 * points and keep errno, and nothing here needs either. Where sanitizers have to see the calls, and on other
 * machines, they are the library's.
 */
#ifndef OS_SYSCALL_H
#define OS_SYSCALL_H

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* A sanitizer wants to see what the kernel reads and writes: gcc's way to say so, and clang's. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GB__SYSCALL_WATCHED 1
#elif defined(__has_feature)
#define GB__SYSCALL_WATCHED \
	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
		__has_feature(memory_sanitizer))
#else
#define GB__SYSCALL_WATCHED 0
#endif

#if defined(__x86_64__) && !defined(__ILP32__) && !GB__SYSCALL_WATCHED

/*
 * System V ABI, AMD64 supplement, A.2.1: rcx and r11 are lost; the result is -4095 to -1 for an error. The number is
 * loaded here: as an operand it would take a register for as long as a loop of calls lasts, and that be saved before.
 */
#define GB__TRANSFER(name, number, data_type) \
	static inline ssize_t name(int fd, data_type data, size_t size, int flags) \
	{ \
		register int rdi __asm__("rdi") = fd; \
		register data_type rsi __asm__("rsi") = data; \
		register size_t rdx __asm__("rdx") = size; \
		register int r10 __asm__("r10") = flags; \
		register long r8 __asm__("r8") = 0; /* no address */ \
		register long r9 __asm__("r9") = 0; \
		ssize_t result; \
\
		__asm__ volatile( \
			"movl %[which], %%eax\n\tsyscall" \
			: "=&a"(result) \
			: [which] "i"(number), "r"(rdi), "r"(rsi), "r"(rdx), "r"(r10), "r"(r8), "r"(r9) \
			: "rcx", "r11", "memory"); \
		return result; \
	}

GB__TRANSFER(gb__recv, SYS_recvfrom, void *)
GB__TRANSFER(gb__send, SYS_sendto, const void *)
#undef GB__TRANSFER

static inline int gb__epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	register int rdi __asm__("rdi") = fd;
	register struct epoll_event *rsi __asm__("rsi") = events;
	register int rdx __asm__("rdx") = max;
	register int r10 __asm__("r10") = timeout_ms;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_epoll_wait), "r"(rdi), "r"(rsi), "r"(rdx), "r"(r10)
			 : "rcx", "r11", "memory");
	return (int)result;
}

static inline int gb__accept4(int fd, int flags)
{
	register int rdi __asm__("rdi") = fd;
	register void *rsi __asm__("rsi") = NULL;
	register void *rdx __asm__("rdx") = NULL;
	register int r10 __asm__("r10") = flags;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_accept4), "r"(rdi), "r"(rsi), "r"(rdx), "r"(r10)
			 : "rcx", "r11", "memory");
	return (int)result;
}

#else

static inline ssize_t gb__recv(int fd, void *data, size_t size, int flags)
{
	ssize_t result = recv(fd, data, size, flags);

	return result < 0 ? -errno : result;
}

static inline ssize_t gb__send(int fd, const void *data, size_t size, int flags)
{
	ssize_t result = send(fd, data, size, flags);

	return result < 0 ? -errno : result;
}

static inline int gb__epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	int result = epoll_wait(fd, events, max, timeout_ms);

	return result < 0 ? -errno : result;
}

static inline int gb__accept4(int fd, int flags)
{
	int result = accept4(fd, NULL, NULL, flags);

	return result < 0 ? -errno : result;
}

#endif
#endif
