#include "load/pacer.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

void gb__pacer_set(struct pacer *pacer, uint64_t at_ns)
{
	struct itimerspec spec = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000),
					   .tv_nsec = (long)(at_ns % 1000000000) } };

	if (at_ns == pacer->at_ns)
		return;
	pacer->at_ns = at_ns;
	/* Setting it takes back the readiness of the last time as well. */
	timerfd_settime(pacer->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	struct pacer *pacer = user;

	(void)watch;
	(void)ready;
	pacer->at_ns = UINT64_MAX; /* whatever is set next, is another time */
	pacer->on_time(pacer->user);
	if (pacer->at_ns == UINT64_MAX)
		gb__pacer_set(pacer, 0);
}

int gb__pacer_init(struct pacer *pacer, struct gb_worker *worker, void (*on_time)(void *user), void *user)
{
	struct gb_error error;
	int rc;

	*pacer = (struct pacer){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.on_time = on_time,
		.user = user };
	if (pacer->fd < 0)
		return -errno;
	rc = gb_watch_add(worker, pacer->fd, GB_READY_IN, on_ready, pacer, &pacer->watch, &error);
	if (rc < 0) {
		close(pacer->fd);
		*pacer = (struct pacer){ .fd = -1 };
	}
	return rc;
}

void gb__pacer_finish(struct pacer *pacer)
{
	if (!pacer->watch)
		return;
	gb_watch_remove(pacer->watch);
	close(pacer->fd);
	*pacer = (struct pacer){ .fd = -1 };
}
