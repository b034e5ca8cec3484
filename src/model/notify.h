/** The service manager is told how a server does (sd_notify(3)): ready, what it does, that it drains, that its loops live. */
#ifndef MODEL_NOTIFY_H
#define MODEL_NOTIFY_H

#include "loop/loop.h"

#include <stdint.h>

struct gb_worker;

struct gb__notifier {
	struct gb_worker *chief; /* NULL: nobody wants to be told */
	struct gb_timer watchdog, status;
	uint64_t watchdog_ms;         /* between two signs of life; 0: none are wanted */
	uint64_t connections, served; /* as told last */
	const char *naming;           /* likewise: the state of its names */
	bool draining;
};

/** All workers run. On the chief's thread, as the others. */
void gb__notifier_ready(struct gb__notifier *notifier, struct gb_worker *chief);
/** Certificates are read again, and were. */
void gb__notifier_reloading(struct gb__notifier *notifier);
void gb__notifier_reloaded(struct gb__notifier *notifier);
/** It ends in so many milliseconds, at the latest. */
void gb__notifier_stopping(struct gb__notifier *notifier, uint64_t within_ms);
void gb__notifier_end(struct gb__notifier *notifier);

#endif
