/* A process that sleeps until the server has died, and then removes what it had registered. */
#include "announce/register.h"

#include "base/log.h"
#include "os/process.h"
#include "os/survivor.h"

#define WITHIN_MS 10000u

static void on_gone(void *arg)
{
	*(bool *)arg = true;
}

/* By a loop of its own; nothing of the server's is used but what was read of its options. */
static void last_will(void *arg)
{
	struct gb__announce *announce = arg;
	struct gb__engine *engine;
	struct gb__loop loop = { 0 };
	struct gb__names_counters counters = { 0 };
	struct gb__watches watches;
	struct gb__names names;
	bool gone = false;

	if (gb__engine_create("poll", (struct gb__engine_options){ .os = &gb__os_linux }, &engine, NULL) < 0)
		return;
	gb__loop_init(&loop, engine);
	gb__watches_init(&watches, &loop);
	gb__names_init(&names, &watches, NULL, &announce->guard_names, &counters);
	if (gb__announce_clear(announce, &watches, &names, WITHIN_MS, on_gone, &gone) < 0)
		return;
	while (!gone)
		if (gb__loop_turn(&loop, -1) < 0)
			break;
}

void gb__announce_guard(struct gb__announce *announce, const struct gb__names_options *names)
{
	announce->guard_names = *names;
	if (!announce->guards || announce->guard >= 0)
		return;
	/* A fork has one thread, with whatever locks the others hold. */
	if (gb__process_threads() > 1)
		gb__log(GB__LOG_INFO, "announce: no process guards the records, as this program has threads");
	else
		announce->guard = gb__survivor_start("announce", last_will, announce);
}
