/** What io_uring does here, found out by doing it. */
#ifndef CLI_DOCTOR_URING_H
#define CLI_DOCTOR_URING_H

/* One bit each. */
enum uring_feature {
	URING_SINGLE_ISSUER = 1 << 0,
	URING_DEFER_TASKRUN = 1 << 1,
	URING_MULTISHOT_ACCEPT = 1 << 2,
	URING_PROVIDED_BUFFERS = 1 << 3, /* rings of them */
	URING_MULTISHOT_RECV = 1 << 4,
	URING_MULTISHOT_END = 1 << 5, /* the end of a stream that came with the last bytes is told */
	URING_SEND_ZEROCOPY = 1 << 6,
	URING_MSG_RING = 1 << 7,
};

struct gb__uring_probe {
	int code;          /* of making a ring: 0, a negative errno; -EINTR when a signal ended the attempt */
	int signal_number; /* that ended it: SIGSYS comes from a seccomp filter */
	unsigned features; /* enum uring_feature */
};

/**
 * Try everything in a child process, since a seccomp filter may kill whoever asks.
 *
 * Returns 0, or a negative errno when it could not even be tried.
 */
int gb__uring_probe(struct gb__uring_probe *ret);

#endif
