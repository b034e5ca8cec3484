/** Child processes that serve, and memory shared with them. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/**
 * fork(2) for a worker: the child dies with its parent (PR_SET_PDEATHSIG, SIGKILL), even when that died
 * before the call took effect. What stdio has buffered is written first, lest both write it.
 *
 * Returns as fork does, or a negative errno.
 */
pid_t gb__process_fork(void);
/** End a child: handlers of atexit are its parent's and do not run, but what it printed is written. */
_Noreturn void gb__process_end(int code);
/** End the process at once with a text on standard error. Async-signal-safe. */
_Noreturn void gb__process_die(const char *text, int code);
/**
 * Take the exit status of a child, without waiting. Only this child: others of the surrounding program
 * stay for it to reap.
 *
 * Returns 1 with `*ret_status` as waitpid(2) has it, 0 while it lives, -ECHILD.
 */
int gb__process_reap(pid_t pid, int *ret_status);
/** The pid of some child that has ended and not been reaped yet, or 0. */
pid_t gb__process_ended(void);
/** Such a status in words: "signal 11 (Segmentation fault)", "exit code 1". */
void gb__process_end_text(int status, char *text, size_t size);
/** Wait for a child and forget its status. */
void gb__process_await(pid_t pid);
/** kill(2); a process that is gone already is fine. */
void gb__process_signal(pid_t pid, int signal);
/** A pipe for one message from a child to its parent, close-on-exec: [0] is read. Returns 0 or a negative errno. */
int gb__report_pipe(int ret_fds[2]);
/** Send the message (at most PIPE_BUF bytes) and close. */
void gb__report_send(int fd, const void *message, size_t size);
/** Wait for it and close. Returns 0, or -ECHILD when the child ended without. */
int gb__report_receive(int fd, void *message, size_t size);
/** Zeroed memory shared with later children, or NULL. */
void *gb__shared_map(size_t size);
/** Zeroed memory that children do not have: what their parent writes in it costs none of them a copy. Or NULL. */
void *gb__unforked_map(size_t size);
/** Of either. NULL is fine. */
void gb__shared_unmap(void *memory, size_t size);

/** getpid(2) without a system call each time. A child of fork(2) knows that it is another. Thread: any. */
pid_t gb__process_self(void);
/** How many threads this process has; 1 where nobody tells (no /proc, a sanitizer that has one of its own). Workers that
 *  the kernel has made for a ring are none. */
unsigned gb__process_threads(void);
/** Read memory of a process that this one may look into, itself and its children nearly always: process_vm_readv(2), so
 *  that what is not mapped any more is an error. Returns 0, or a negative errno. */
int gb__process_peek(pid_t pid, const struct iovec *into, const struct iovec *from, unsigned count);
/** CPU time that all threads of this process have taken. */
uint64_t gb__process_cpu_ns(void);

#endif
