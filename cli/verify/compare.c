#include "verify/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *ending_name(enum verify_ending ending)
{
	static const char *const names[] = { [VERIFY_UNENDED] = "no end",
		[VERIFY_BY_FIN] = "a FIN",
		[VERIFY_BY_RESET] = "a reset",
		[VERIFY_BY_CLIENT] = "the client's leaving" };

	return names[ending];
}

/* "eof or reset" of a set of reasons. */
static void name_reasons(uint32_t reasons, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "none");
	for (int reason = 0; reason < GB_CLOSE_REASON_COUNT; reason++)
		if ((reasons & 1u << reason) && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " or " : "",
				gb_close_reason_name(reason));
}

static bool bytes_differ(
	const struct verify_talk *talk, const struct verify_transcript *transcript, char *text, size_t size)
{
	const struct verify_bytes *got = &transcript->got, *wanted = &talk->wanted;
	size_t common = got->size < wanted->size ? got->size : wanted->size, at = 0;

	while (at < common && got->data[at] == wanted->data[at])
		at++;
	if (at < common)
		snprintf(text, size, "byte %zu of %zu is 0x%02x, expected 0x%02x", at, wanted->size,
			got->data[at], wanted->data[at]);
	else if (got->size > wanted->size)
		snprintf(text, size, "byte %zu is 0x%02x, expected no more than %zu bytes", at, got->data[at],
			wanted->size);
	else if (got->size < wanted->size && !talk->prefix)
		snprintf(text, size, "byte %zu is missing: %s after %zu of %zu bytes", at,
			ending_name(transcript->ending), got->size, wanted->size);
	else
		return false;
	return true;
}

bool gb__verify_compare(
	const struct verify_talk *talk, const struct verify_transcript *transcript, char *text, size_t size)
{
	unsigned endings = gb__verify_talk_endings(talk);
	char wanted[128], got[128];

	if (!transcript->played)
		return false;
	name_reasons(talk->reasons, wanted, sizeof(wanted));
	name_reasons(transcript->reasons, got, sizeof(got));
	if (*transcript->trouble) {
		snprintf(text, size, "%s", transcript->trouble);
	} else if (bytes_differ(talk, transcript, text, size)) {
		size_t used = strlen(text);

		snprintf(text + used, size - used, " (close reason %s)", got);
	} else if (!(endings & 1u << transcript->ending)) {
		snprintf(text, size, "ends with %s, expected %s (close reason %s)",
			ending_name(transcript->ending),
			ending_name(endings & 1u << VERIFY_BY_FIN         ? VERIFY_BY_FIN
					: endings & 1u << VERIFY_BY_RESET ? VERIFY_BY_RESET
									  : VERIFY_BY_CLIENT),
			got);
	} else if (transcript->closed != 1) {
		snprintf(text, size, "on_close was called %u times", transcript->closed);
	} else if (transcript->opened != 1) {
		snprintf(text, size, "on_open was called %u times", transcript->opened);
	} else if (!(talk->reasons & transcript->reasons)) {
		snprintf(text, size, "close reason %s, expected %s", got, wanted);
	} else if (transcript->overlapped > 0) {
		snprintf(text, size, "callbacks ran at the same time");
	} else {
		return false;
	}
	return true;
}

/* Connections that the service itself made, which nobody notes. */
static bool connects_outwards(const struct gb_stats *counted)
{
	uint64_t closed = 0;

	for (int reason = 0; reason < GB_CLOSE_REASON_COUNT; reason++)
		closed += counted->closed[reason];
	return closed > counted->accepted;
}

bool gb__verify_compare_stats(
	const struct gb_stats *counted, const struct gb_stats *noted, char *text, size_t size)
{
	bool more = connects_outwards(counted);

	for (int reason = 0; reason < GB_CLOSE_REASON_COUNT; reason++)
		if (counted->closed[reason] != noted->closed[reason] &&
			!(more && counted->closed[reason] > noted->closed[reason])) {
			snprintf(text, size, "counted %" PRIu64 " connections closed by %s, noted %" PRIu64,
				counted->closed[reason], gb_close_reason_name(reason), noted->closed[reason]);
			return true;
		}
	if (counted->accepted != noted->accepted)
		snprintf(text, size, "counted %" PRIu64 " accepted connections, noted %" PRIu64,
			counted->accepted, noted->accepted);
	else if (counted->connections != 0)
		snprintf(text, size, "counted %" PRIu64 " connections open at its end", counted->connections);
	else
		return false;
	return true;
}
