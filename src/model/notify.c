#include "model/notify.h"

#include "base/macros.h"
#include "model/naming.h"
#include "model/server.h"
#include "model/worker.h"
#include "os/notify.h"

#include <gearbox/notify.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_MS 10000u
#define PINGS 2u        /* in the time of the watchdog */
#define AGAIN 16u       /* looks in that time while a loop is held: it may go on right after one */
#define GRACE_MS 10000u /* beyond the deadline of a drain, for workers to end */
#define TEXT_MAX 1024u
#define TIMERS 2u

/* A handler that holds its loop beyond the stall limit: its worker is as good as dead until it returns. */
static bool is_held(const struct gb_server *server)
{
	for (size_t i = 0; i < server->shared->records_count; i++)
		if (atomic_load(&server->shared->records[i].held))
			return true;
	return false;
}

static void on_watchdog(struct gb_timer *timer, void *arg)
{
	struct gb__notifier *notifier = arg;
	const bool held = is_held(notifier->chief->server);

	if (!held)
		gb__notify_send("WATCHDOG=1");
	gb__worker_timer(notifier->chief, timer, gb__max(notifier->watchdog_ms / (held ? AGAIN : PINGS), 1),
		on_watchdog, notifier);
}

static void tell_status(struct gb__notifier *notifier, const char *before)
{
	struct gb_stats stats;
	char text[TEXT_MAX], names[TEXT_MAX / 2];
	const char *state = gb__naming_describe(notifier->chief->server, names, sizeof(names));

	gb_server_stats(notifier->chief->server, &stats);
	if (!*before && stats.connections == notifier->connections && stats.accepted == notifier->served &&
		state == notifier->naming)
		return;
	notifier->naming = state;
	notifier->connections = stats.connections;
	notifier->served = stats.accepted;
	snprintf(text, sizeof(text),
		"%sSTATUS=%s%" PRIu64 " connection%s, %" PRIu64 " accepted so far, model %s%s", before,
		notifier->draining ? "draining: " : "", stats.connections, stats.connections == 1 ? "" : "s",
		stats.accepted, gb_server_model(notifier->chief->server), names);
	gb__notify_send(text);
}

static void on_status(struct gb_timer *timer, void *arg)
{
	struct gb__notifier *notifier = arg;

	tell_status(notifier, "");
	gb__worker_timer(notifier->chief, timer, STATUS_MS, on_status, notifier);
}

void gb__notifier_ready(struct gb__notifier *notifier, struct gb_worker *chief)
{
	char text[64];

	*notifier = (struct gb__notifier){ 0 };
	if (!chief->server->notifies || !gb__notify_wanted() ||
		gb__timers_reserve(&chief->loop.timers, TIMERS) < 0)
		return;
	notifier->chief = chief;
	notifier->watchdog_ms = gb__notify_watchdog_us() / 1000;
	snprintf(text, sizeof(text), "READY=1\nMAINPID=%ld\n", (long)getpid());
	tell_status(notifier, text);
	gb__worker_timer(chief, &notifier->status, STATUS_MS, on_status, notifier);
	if (notifier->watchdog_ms > 0)
		on_watchdog(&notifier->watchdog, notifier);
}

void gb__notifier_reloading(struct gb__notifier *notifier)
{
	if (notifier->chief && !notifier->draining)
		gb__notify_reloading();
}

void gb__notifier_reloaded(struct gb__notifier *notifier)
{
	if (notifier->chief && !notifier->draining)
		tell_status(notifier, "READY=1\n");
}

void gb__notifier_stopping(struct gb__notifier *notifier, uint64_t within_ms)
{
	char text[96];

	if (!notifier->chief)
		return;
	notifier->draining = true;
	snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\n",
		(within_ms + GRACE_MS) * 1000);
	tell_status(notifier, text);
}

void gb__notifier_end(struct gb__notifier *notifier)
{
	gb_timer_stop(&notifier->watchdog);
	gb_timer_stop(&notifier->status);
	notifier->chief = NULL;
}

int gb_server_notify(struct gb_server *server)
{
	if (atomic_load(&server->running))
		return -EBUSY;
	server->notifies = true;
	return gb__notify_wanted();
}

int gb_notify(const char *lines)
{
	return lines && *lines ? gb__notify_send(lines) : -EINVAL;
}

int gb_notify_reloading(void)
{
	return gb__notify_reloading();
}
