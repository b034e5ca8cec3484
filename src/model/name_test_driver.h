/** A name server for tests, in a process of its own, on a free port of loopback. */
#ifndef MODEL_NAME_TEST_DRIVER_H
#define MODEL_NAME_TEST_DRIVER_H

#include <stdatomic.h>
#include <sys/types.h>

/**
 * It knows, each for a second:
 * one.test 127.0.0.1; two.test ::1 and 127.0.0.1; moves.test 127.0.0.`host`, as stays.test for an hour;
 * _echo._tcp.test: `port` at one.test, and behind it a port where nobody listens; _no._tcp.test: ".".
 * _late._tcp.test: `late` at one.test, and of a lower priority `port`.
 * none.test: it does not exist, for a minute. broken.test: SERVFAIL. garbage.test: bytes. silent.test: nothing.
 */
struct names_driver {
	char address[32]; /* for the option `resolver` */
	struct names_shared {
		_Atomic unsigned port, late, host;
		_Atomic unsigned questions; /* for A and SRV records, repeated ones included */
		_Atomic unsigned silent;    /* for silent.test */
	} * shared;
	int fd;
	pid_t pid;
};

struct names_driver names_driver_begin(void);
void names_driver_end(struct names_driver *names);

#endif
