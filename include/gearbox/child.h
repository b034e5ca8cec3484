/**
 * Child processes: a program is started, talked to by streams, and waited for, without stopping a loop.
 *
 * A child is an operation: begun, complete once the process has ended and was taken from the process table. In callback style
 * `on_done` tells, and its streams are connections with the callbacks of a service; a straight-line handler has
 * gb_child_start, reads and writes streams, and gb_child_wait. See docs/children.md.
 *
 * A child has standard input, output and error and no other descriptor, the signals that the program had, and the
 * environment and directory that it is given. It is waited for by itself, so that nobody else's children are. SIGCHLD is the
 * server's: a program that ignores it, or waits for any child, takes results away (-ECHILD).
 */
#ifndef GEARBOX_CHILD_H
#define GEARBOX_CHILD_H

#include <gearbox/conn.h>
#include <gearbox/coro.h>
#include <gearbox/error.h>
#include <gearbox/operation.h>
#include <gearbox/service.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

GB_BEGIN

/** What one of a child's standard descriptors is. */
enum gb_child_end_kind {
	GB_CHILD_NULL, /* /dev/null */
	/** A stream: here a connection, which counts as one of gb_connect, or for who starts it by gb_child_start a gb_stream;
	 *  there one end of a pair of Unix sockets, so that a program which opens /dev/stdin or /dev/stdout again is refused
	 *  that (ENXIO): it needs a pipe. */
	GB_CHILD_STREAM,
	GB_CHILD_PIPE,       /* a pipe: our end, which does not block, is `fd` of the child's end */
	GB_CHILD_DESCRIPTOR, /* `fd`, which stays the caller's */
	GB_CHILD_INHERIT,    /* what the program has there */
	GB_CHILD_SAME, /* what the one before is: output that of input (a stream both ways, as inetd does it), error that of output */
};

/** One of the three streams of a child, and where it goes. */
struct gb_child_end_options {
	enum gb_child_end_kind kind;
	int fd; /* DESCRIPTOR */
	/** STREAM: whose callbacks (gb_child_begin), codec and limits it has; borrowed as by gb_connect. gb_child_start may
	 *  leave it NULL: bytes. Without `limits` of its own it has neither idle nor write timeout: the child's end ends it. */
	const struct gb_service *service;
	void *user;
};

/** Copied where it is not said otherwise; may lie on the stack. All zero but `arguments` is fine. */
struct gb_child_options {
	const char *const *arguments;   /* of the program, its name first, up to NULL */
	const char *program;            /* NULL: arguments[0]; looked for in PATH unless it has a slash */
	const char *const *environment; /* "NAME=value" up to NULL; NULL: the program's */
	const char *directory;          /* to run in; NULL: the program's */
	struct gb_child_end_options in, out, err;
	uint64_t deadline_ms; /* it is ended after that, and the result is -ETIMEDOUT; 0: never */
	uint64_t grace_ms;    /* from SIGTERM to SIGKILL where it is ended; 0: 2 s */
	bool group; /* a process group of its own: signals go to all of it, and what is left of it when it ends is killed */
	bool ends_with_drain; /* SIGTERM when a drain begins, or has begun, else only when the worker ends */
};

struct gb_watch;

/** One of its ends, on our side. */
struct gb_child_end {
	struct gb_conn *conn;     /* STREAM: until its on_close */
	struct gb_stream *stream; /* STREAM of gb_child_start: until gb_child_wait */
	int fd;                   /* PIPE: the caller's to close; else -1 */
};

/** A child, in memory of the caller's that stays where it is until the operation is complete. Zeroed before. */
struct gb_child {
	struct gb_operation operation;
	struct gb_child_end in, out, err;
	pid_t pid;              /* 0: it was not started, and `error` says why */
	int exit_code;          /* once it is complete; -1: it did not exit */
	int signal;             /* that ended it, or 0 */
	struct gb_error error;  /* when the result is negative */
	struct gb_watch *watch; /* gearbox's, as all below */
	struct gb_timer timer;
	void *link[2];
	uint64_t grace_ms;
	int pidfd, why;
	bool group, ends_with_drain, killed;
};

/** Results above 255. */
#define GB_CHILD_SIGNALLED 256

/**
 * Start a program. It runs, or it could not be started, when this returns: `pid` and `error` tell, and so does the result, but
 * later as of every operation. The worker waits meanwhile until the program is loaded, as for vfork(2).
 *
 * The result is the exit code, or GB_CHILD_SIGNALLED + the signal that ended it, whoever sent that; -ETIMEDOUT and -ECANCELED
 * where it was ended for its deadline or by gb_operation_cancel, SIGTERM first and SIGKILL after the grace; or why it could
 * not be started: -ENOENT, -EACCES… (the program, or the directory), -EINVAL, -EMFILE, -EAGAIN, -ENOMEM, -ENOSYS (before
 * Linux 5.3), -ESHUTDOWN (the worker ends), -GB_ELIMIT (a descriptor too high for select), -ECHILD (somebody else has waited
 * for it). It may come before the last of its output: a stream ends by itself.
 *
 * A worker ends its children when it ends: after a drain, SIGTERM, and SIGKILL half a second later, or after a shorter grace.
 * Thread: the worker's. Returns the operation.
 */
GB_API struct gb_operation *gb_child_begin(struct gb_worker *worker, struct gb_child *child,
	const struct gb_child_options *options, gb_operation_done *on_done, void *user);

/** Send it a signal, respectively its group. Returns 0, -ESRCH (it has ended, or never began), -EINVAL. Thread: the worker's. */
GB_API int gb_child_signal(struct gb_child *child, int signal);

/**
 * Start a program in a straight-line handler, with streams of the coroutine's own. Waits, but not for its end.
 *
 * Returns 0, or as the result of gb_child_begin, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN, with the reason in `error`: then it is
 * complete and nothing is left of it. After 0 gb_child_wait is called before the coroutine returns.
 */
GB_API int gb_child_start(struct gb_coro *coro, struct gb_child *child,
	const struct gb_child_options *options, struct gb_error *error);

/**
 * Close its streams, input first, which it sees as their end, and wait for it. Who wants all of its output reads to the end
 * before. What ends the wait early ends the child, too. Waits. Returns the result, or -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 */
GB_API int gb_child_wait(struct gb_coro *coro, struct gb_child *child);

GB_END

#endif
