#include "load/totals.h"

#include <stdio.h>
#include <string.h>

void gb__totals_init(struct totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	gb__histogram_init(&totals->response_ns);
	gb__histogram_init(&totals->service_ns);
	gb__histogram_init(&totals->late_ns);
	gb__histogram_init(&totals->handshakes.full_ns);
	gb__histogram_init(&totals->handshakes.resumed_ns);
}

static uint64_t largest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void merge_handshakes(struct handshakes *handshakes, const struct handshakes *other)
{
	if (!handshakes->version[0]) {
		memcpy(handshakes->version, other->version, sizeof(handshakes->version));
		memcpy(handshakes->cipher, other->cipher, sizeof(handshakes->cipher));
		memcpy(handshakes->alpn, other->alpn, sizeof(handshakes->alpn));
	}
	gb__histogram_merge(&handshakes->full_ns, &other->full_ns);
	gb__histogram_merge(&handshakes->resumed_ns, &other->resumed_ns);
}

void gb__totals_merge(struct totals *totals, const struct totals *other)
{
	totals->opened += other->opened;
	totals->sent += other->sent;
	totals->messages += other->messages;
	totals->bytes += other->bytes;
	totals->bytes_heard += other->bytes_heard;
	if (totals->begin_ns == 0 || (other->begin_ns != 0 && other->begin_ns < totals->begin_ns))
		totals->begin_ns = other->begin_ns;
	totals->end_ns = largest(totals->end_ns, other->end_ns);
	gb__histogram_merge(&totals->response_ns, &other->response_ns);
	gb__histogram_merge(&totals->service_ns, &other->service_ns);
	gb__histogram_merge(&totals->late_ns, &other->late_ns);
	merge_handshakes(&totals->handshakes, &other->handshakes);
	totals->cpu_ns += other->cpu_ns;
	totals->lasted_ns = largest(totals->lasted_ns, other->lasted_ns);
	totals->busiest_ns = largest(totals->busiest_ns, other->busiest_ns);
	totals->connect_failed += other->connect_failed;
	totals->closed_early += other->closed_early;
	totals->wrong_replies += other->wrong_replies;
	totals->unsent += other->unsent;
	totals->timeouts += other->timeouts;
	gb__totals_note(totals->connect_text, other->connect_text);
	gb__totals_note(totals->closed_text, other->closed_text);
	gb__totals_note(totals->wrong_text, other->wrong_text);
	totals->stalled = totals->stalled || other->stalled;
	totals->stalled_ms = largest(totals->stalled_ms, other->stalled_ms);
	totals->interrupted = totals->interrupted || other->interrupted;
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
