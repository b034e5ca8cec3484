#include "load/totals.h"

#include <stdio.h>
#include <string.h>

void gb__totals_init(struct totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	gb__histogram_init(&totals->response_ns);
	gb__histogram_init(&totals->service_ns);
}

void gb__totals_note(char *text, const char *what)
{
	if (!text[0])
		snprintf(text, TOTALS_TEXT_MAX, "%.*s", TOTALS_TEXT_MAX - 1, what);
}

uint64_t gb__totals_unanswered(const struct totals *totals)
{
	return totals->sent - totals->messages;
}

bool gb__totals_right(const struct totals *totals)
{
	return totals->connect_failed == 0 && totals->closed_early == 0 && totals->wrong_replies == 0 &&
		gb__totals_unanswered(totals) == 0;
}

double gb__totals_seconds(const struct totals *totals)
{
	return totals->end_ns > totals->begin_ns ? (double)(totals->end_ns - totals->begin_ns) / 1e9 : 0;
}
