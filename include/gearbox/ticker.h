/** Timers that come again and again without drifting. */
#ifndef GEARBOX_TICKER_H
#define GEARBOX_TICKER_H

#include <gearbox/worker.h>

GB_BEGIN

/** Zeroed memory is a stopped one; it is the caller's and stays put while it runs. */
struct gb_ticker {
	struct gb_timer timer;
	void (*on_beat)(struct gb_ticker *ticker, uint64_t beats, void *arg);
	void *arg;
	uint64_t start_ns, period_ns;
	uint64_t beats; /* told so far, those included that were missed */
};

/**
 * Start or restart it: a beat is due at each multiple of `period_ms` from now, however late those before it were told.
 * `on_beat` gets how many beats the call stands for: 1, and those that were missed while a handler kept the loop or the
 * process stood still. It may stop or restart it.
 *
 * Thread: the worker's, as for its timers. Returns 0, -EINVAL (no period, nothing to call), -ENOMEM.
 */
GB_API int gb_ticker_start(struct gb_worker *worker, struct gb_ticker *ticker, uint64_t period_ms,
	void (*on_beat)(struct gb_ticker *ticker, uint64_t beats, void *arg), void *arg);
/** Stop it; a stopped one is fine. */
GB_API void gb_ticker_stop(struct gb_ticker *ticker);

GB_END

#endif
