/* Periodic timers: the next beat is counted from the start, never from when the last one was told. */
#include "base/assert.h"
#include "base/macros.h"
#include "model/worker.h"

#include <gearbox/ticker.h>

#include <errno.h>

static void on_expire(struct gb_timer *timer, void *arg);

static int next(struct gb_worker *worker, struct gb_ticker *ticker)
{
	uint64_t due_ns =
		gb__add_capped(ticker->start_ns, gb__multiply_capped(ticker->beats + 1, ticker->period_ns));

	return gb_timer_start_at(worker, &ticker->timer, due_ns, on_expire, NULL);
}

static void on_expire(struct gb_timer *timer, void *arg)
{
	struct gb_ticker *ticker = gb__container_of(timer, struct gb_ticker, timer);
	const uint64_t passed = (gb_worker_clock_ns(timer->worker) - ticker->start_ns) / ticker->period_ns;
	const uint64_t beats = passed - ticker->beats;

	(void)arg;
	ticker->beats = passed;
	/* Its own place in the heap has just become free. */
	gb__assert(next(timer->worker, ticker) == 0);
	ticker->on_beat(ticker, beats, ticker->arg);
}

int gb_ticker_start(struct gb_worker *worker, struct gb_ticker *ticker, uint64_t period_ms,
	void (*on_beat)(struct gb_ticker *ticker, uint64_t beats, void *arg), void *arg)
{
	if (!period_ms || !on_beat)
		return -EINVAL;
	ticker->on_beat = on_beat;
	ticker->arg = arg;
	ticker->start_ns = gb_worker_clock_ns(worker);
	ticker->period_ns = gb__multiply_capped(period_ms, 1000000u);
	ticker->beats = 0;
	return next(worker, ticker);
}

void gb_ticker_stop(struct gb_ticker *ticker)
{
	gb_timer_stop(&ticker->timer);
}
