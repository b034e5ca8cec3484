#include "load/totals.h"

#include <stdio.h>
#include <string.h>

void totals_init(struct totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	histogram_init(&totals->latency_ns);
}

void totals_note(char *text, const char *what)
{
	if (!text[0])
		snprintf(text, TOTALS_TEXT_MAX, "%.*s", TOTALS_TEXT_MAX - 1, what);
}

void totals_merge(struct totals *totals, const struct totals *other)
{
	if (other->begin_ns && (!totals->begin_ns || other->begin_ns < totals->begin_ns))
		totals->begin_ns = other->begin_ns;
	if (other->end_ns > totals->end_ns)
		totals->end_ns = other->end_ns;
	totals->opened += other->opened;
	totals->sent += other->sent;
	totals->messages += other->messages;
	totals->bytes += other->bytes;
	totals->connect_failed += other->connect_failed;
	totals->closed_early += other->closed_early;
	totals->wrong_replies += other->wrong_replies;
	totals_note(totals->connect_text, other->connect_text);
	totals_note(totals->closed_text, other->closed_text);
	totals_note(totals->wrong_text, other->wrong_text);
	totals->stalled |= other->stalled;
	totals->interrupted |= other->interrupted;
	histogram_merge(&totals->latency_ns, &other->latency_ns);
}

uint64_t totals_unanswered(const struct totals *totals)
{
	return totals->sent - totals->messages;
}

bool totals_right(const struct totals *totals)
{
	return totals->connect_failed == 0 && totals->closed_early == 0 && totals->wrong_replies == 0 &&
		totals_unanswered(totals) == 0;
}

double totals_seconds(const struct totals *totals)
{
	return totals->end_ns > totals->begin_ns ? (double)(totals->end_ns - totals->begin_ns) / 1e9 : 0;
}
