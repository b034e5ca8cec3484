/** For tests of compute=processes: a service whose handlers do what the message says, crashes included. */
#ifndef MODEL_APART_TEST_DRIVER_H
#define MODEL_APART_TEST_DRIVER_H

#include "model/server_test_driver.h"

#include <gearbox/worker.h>

#include <stdatomic.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { APART_MODELS = 7 };
extern const char *const apart_models[APART_MODELS + 1];

/** What all processes see. */
extern struct apart_shared {
	_Atomic unsigned began, released, closed_crashed, started, stopped, started_apart, stopped_apart;
} * shared;

void apart_share(void);
/** Wait until it is so much. */
void apart_await(const _Atomic unsigned *number, unsigned value);
/** Lines, each answered with its number in the connection and itself, or by what it names. */
extern const struct gb_service apart_risky;
/** A server of it, with memory shared; NULL where this machine has no io_uring for it. */
struct gb_server *apart_server(const char *model);

#endif
