/* Why nobody gets a connection of a pool, in words: by what has happened there, since several causes have the same code. */
#include "net/upstream_pool.h"

#include <errno.h>
#include <stdio.h>

enum refusal { NONE, CROWDED, FAILED, PAUSED };

const char *gb__upstream_name(const struct gb_upstream *upstream, char text[GB__UPSTREAM_NAME])
{
	char first[GB__ADDRESS_TEXT];

	gb__target_format(&upstream->targets[0], first, sizeof(first));
	snprintf(text, GB__UPSTREAM_NAME, "%s%s", first, upstream->count > 1 ? " and others" : "");
	return text;
}

const char *gb_upstream_problem(const struct gb_upstream *upstream)
{
	return upstream->failure.code ? upstream->failure.text : NULL;
}

/* None is connected to for a time although connecting has not failed. */
static bool pauses(const struct gb_upstream *upstream)
{
	return !upstream->failure.code && gb__upstream_backs_off(upstream);
}

static int say_pause(const struct gb_upstream *upstream, const char *to, int code, struct gb_error *error)
{
	return gb_error_set(error, code,
		"no connection to %s: %u use%s of one in a row failed, and none is made for a time", to,
		upstream->use_failures, upstream->use_failures == 1 ? "" : "s");
}

static enum refusal refusal_of(const struct gb_upstream *upstream)
{
	if (upstream->stats.waiting >= upstream->options.waiting_max)
		return CROWDED;
	if (!upstream->options.fails_fast || upstream->stats.idle > 0 || !gb__upstream_backs_off(upstream))
		return NONE;
	return upstream->failure.code ? FAILED : PAUSED;
}

int gb__upstream_refusal(const struct gb_upstream *upstream, struct gb_error *error)
{
	const enum refusal refusal = refusal_of(upstream);
	const int code = refusal == NONE ? 0 : refusal == FAILED ? upstream->failure.code : -EAGAIN;
	char to[GB__UPSTREAM_NAME];

	if (code == 0 || !error)
		return code;
	gb__upstream_name(upstream, to);
	if (refusal == FAILED)
		return gb_error_set(error, code, "%s", upstream->failure.text);
	if (refusal == PAUSED)
		return say_pause(upstream, to, code, error);
	return gb_error_set(error, code, "no connection to %s: %zu wait for one already, and no more may", to,
		upstream->stats.waiting);
}

static int explain_late(const struct gb_upstream *upstream, const char *to, int code, struct gb_error *error)
{
	const struct gb_upstream_stats *stats = &upstream->stats;

	if (upstream->failure.code)
		return gb_error_set(error, code, "no connection in time, and the last try failed: %s",
			upstream->failure.text);
	if (pauses(upstream))
		return say_pause(upstream, to, code, error);
	return gb_error_set(error, code,
		"no connection to %s in time: %zu of at most %u are open and %zu idle, %zu connect", to,
		stats->open, upstream->options.open_max, stats->idle, stats->connecting);
}

int gb__upstream_explain(const struct gb_upstream *upstream, int code, struct gb_error *error)
{
	char to[GB__UPSTREAM_NAME];

	if (code == upstream->failure.code)
		return gb_error_set(error, code, "%s", upstream->failure.text);
	gb__upstream_name(upstream, to);
	switch (code) {
	case -ETIMEDOUT:
		return explain_late(upstream, to, code, error);
	case -ESHUTDOWN:
		return gb_error_set(error, code, "no connection to %s: the worker drains or ends", to);
	case -ECANCELED:
		return gb_error_set(error, code, "no connection to %s: %s", to,
			upstream->destroyed ? "its pool was destroyed" : "the wait for it was cancelled");
	default:
		return gb_error_set(error, code, "no connection to %s: %s", to, gb_strerror(code));
	}
}
