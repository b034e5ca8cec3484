#include "verify/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

bool gb__verify_last_possible(enum gb_close_reason reason)
{
	return reason == GB_CLOSE_IDLE || reason == GB_CLOSE_READ_TIMEOUT || reason == GB_CLOSE_DRAIN;
}

/*
 * What may come of a talk: as it says, and what the service does of its own when it is told of an end. Where a deadline,
 * a reset or a drain may end either of two connections that are joined, the other one's reason is relay.
 */
struct allowed {
	uint32_t reasons;
	unsigned endings;
	bool prefix;
};

static struct allowed allowed_of(const struct verify_talk *talk)
{
	const struct verify_last *last = talk->protocol ? talk->protocol->last : NULL;
	struct allowed allowed = { talk->reasons, gb__verify_talk_endings(talk), talk->prefix };

	for (int reason = 0; last && reason < GB_CLOSE_REASON_COUNT; reason++) {
		if (!(talk->reasons & 1u << reason) || !gb__verify_last_possible(reason))
			continue;
		allowed.reasons |= 1u << last[reason].reason;
		if (last[reason].by_reset && (allowed.endings & 1u << VERIFY_BY_FIN))
			allowed.endings |= 1u << VERIFY_BY_RESET;
		/* Who closes by himself when he is told of a drain answers nothing more. */
		allowed.prefix |= reason == GB_CLOSE_DRAIN && last[reason].reason != GB_CLOSE_DRAIN;
	}
	if (talk->protocol && talk->protocol->ends_first)
		allowed.reasons |= talk->protocol->eof_reasons;
	if (talk->reasons & ~(1u << GB_CLOSE_EOF | 1u << GB_CLOSE_LOCAL))
		allowed.reasons |= 1u << GB_CLOSE_RELAY;
	return allowed;
}

/* What the service does at this end, or NULL. */
static const struct verify_last *last_of(
	const struct verify_talk *talk, const struct verify_transcript *transcript, bool *ret_anywhere)
{
	const struct verify_last *last = talk->protocol ? talk->protocol->last : NULL;

	for (int reason = 0; last && reason < GB_CLOSE_REASON_COUNT; reason++)
		if ((talk->reasons & 1u << reason) && gb__verify_last_possible(reason) &&
			(transcript->reasons & 1u << last[reason].reason) &&
			(last[reason].varies || last[reason].words.size > 0)) {
			*ret_anywhere = reason == GB_CLOSE_DRAIN; /* which may find it amid its answers */
			return &last[reason];
		}
	return NULL;
}

/* Whether what came is what is wanted with `words` in it at `at`. */
static bool says_at(const struct verify_bytes *got, const struct verify_bytes *wanted, size_t at,
	const struct verify_bytes *words, bool prefix)
{
	size_t room = got->size - at, said = room < words->size ? room : words->size, rest = room - said;

	return (prefix || (said == words->size && rest == wanted->size - at)) && rest <= wanted->size - at &&
		(said == 0 || memcmp(got->data + at, words->data, said) == 0) &&
		(rest == 0 || memcmp(got->data + at + said, wanted->data + at, rest) == 0);
}

static bool has_last_words(const struct verify_bytes *got, const struct verify_bytes *wanted,
	const struct verify_last *last, bool prefix, bool anywhere)
{
	for (size_t at = 0; at <= got->size && at <= wanted->size; at++) {
		if ((at == wanted->size || anywhere || (prefix && got->size - at <= last->words.size)) &&
			says_at(got, wanted, at, &last->words, prefix))
			return true;
		if (at == got->size || at == wanted->size || got->data[at] != wanted->data[at])
			return false;
	}
	return false;
}

/* Returns whether last words decide: then `*ret_differs` says what. */
static bool last_words_differ(const struct verify_talk *talk, const struct verify_transcript *transcript,
	bool prefix, bool *ret_differs, char *text, size_t size)
{
	bool anywhere = false;
	const struct verify_last *last = last_of(talk, transcript, &anywhere);

	*ret_differs = false;
	if (!last)
		return false;
	if (last->varies || has_last_words(&transcript->got, &talk->wanted, last, prefix, anywhere))
		return true;
	if (prefix || anywhere) /* it need not have come to them */
		return false;
	snprintf(text, size, "%zu bytes came, expected %zu and then the %zu that are said at this end",
		transcript->got.size, talk->wanted.size, last->words.size);
	*ret_differs = true;
	return true;
}

struct answer {
	size_t at, size;
};

/* Of which there are `ret_count`; what follows on the last whole one is one more. The caller frees them. */
static struct answer *answers_of(
	const struct verify_protocol *protocol, const struct verify_bytes *bytes, size_t *ret_count)
{
	struct answer *answers = NULL;

	*ret_count = 0;
	for (size_t at = 0; at < bytes->size;) {
		size_t size = protocol->answer_size((struct gb_bytes){ bytes->data + at, bytes->size - at });

		answers = gb__verify_grow(answers, *ret_count + 1, sizeof(*answers));
		answers[*ret_count] = (struct answer){ at, size ? size : bytes->size - at };
		at += answers[(*ret_count)++].size;
	}
	return answers;
}

/* One that is among those wanted goes from there. With a `prefix`, a part of one will do at the end. */
static bool take_answer(const struct verify_bytes *wanted, struct answer *answers, size_t count,
	const unsigned char *data, size_t size, bool prefix)
{
	for (size_t i = 0; i < count; i++)
		if ((answers[i].size == size || (prefix && answers[i].size > size)) &&
			memcmp(wanted->data + answers[i].at, data, size) == 0) {
			answers[i].size = 0;
			return true;
		}
	return false;
}

/* As bytes_differ, where answers may come in any order. */
static bool answers_differ(const struct verify_talk *talk, const struct verify_transcript *transcript,
	bool prefix, char *text, size_t size)
{
	const struct verify_bytes *got = &transcript->got, *wanted = &talk->wanted;
	size_t wanted_count, got_count, known = 0;
	struct answer *expected = answers_of(talk->protocol, wanted, &wanted_count),
		      *answers = answers_of(talk->protocol, got, &got_count);

	while (known < got_count &&
		take_answer(wanted, expected, wanted_count, got->data + answers[known].at,
			answers[known].size, prefix && known + 1 == got_count))
		known++;
	if (known < got_count)
		snprintf(text, size, "answer %zu, %zu bytes at byte %zu, is none of those that are expected",
			known + 1, answers[known].size, answers[known].at);
	else if (got_count < wanted_count)
		snprintf(text, size, "%zu of %zu answers came: %s after %zu of %zu bytes", got_count,
			wanted_count, ending_name(transcript->ending), got->size, wanted->size);
	free(expected);
	free(answers);
	return known < got_count || (got_count < wanted_count && !prefix);
}

static bool bytes_differ(const struct verify_talk *talk, const struct verify_transcript *transcript,
	bool prefix, char *text, size_t size)
{
	const struct verify_bytes *got = &transcript->got, *wanted = &talk->wanted;
	size_t common = got->size < wanted->size ? got->size : wanted->size, at = 0;
	bool differs;

	if (talk->protocol && talk->protocol->answer_size)
		return answers_differ(talk, transcript, prefix, text, size);
	if (last_words_differ(talk, transcript, prefix, &differs, text, size))
		return differs;
	while (at < common && got->data[at] == wanted->data[at])
		at++;
	if (at < common)
		snprintf(text, size, "byte %zu of %zu is 0x%02x, expected 0x%02x", at, wanted->size,
			got->data[at], wanted->data[at]);
	else if (got->size > wanted->size)
		snprintf(text, size, "byte %zu is 0x%02x, expected no more than %zu bytes", at, got->data[at],
			wanted->size);
	else if (got->size < wanted->size && !prefix)
		snprintf(text, size, "byte %zu is missing: %s after %zu of %zu bytes", at,
			ending_name(transcript->ending), got->size, wanted->size);
	else
		return false;
	return true;
}

bool gb__verify_compare(
	const struct verify_talk *talk, const struct verify_transcript *transcript, char *text, size_t size)
{
	const struct allowed allowed = allowed_of(talk);
	char wanted[128], got[128];

	if (!transcript->played)
		return false;
	name_reasons(talk->reasons, wanted, sizeof(wanted));
	name_reasons(transcript->reasons, got, sizeof(got));
	if (*transcript->trouble) {
		snprintf(text, size, "%s", transcript->trouble);
	} else if (bytes_differ(talk, transcript, allowed.prefix, text, size)) {
		size_t used = strlen(text);

		snprintf(text + used, size - used, " (close reason %s)", got);
	} else if (!(allowed.endings & 1u << transcript->ending)) {
		snprintf(text, size, "ends with %s, expected %s (close reason %s)",
			ending_name(transcript->ending),
			ending_name(allowed.endings & 1u << VERIFY_BY_FIN         ? VERIFY_BY_FIN
					: allowed.endings & 1u << VERIFY_BY_RESET ? VERIFY_BY_RESET
										  : VERIFY_BY_CLIENT),
			got);
	} else if (transcript->closed != 1) {
		snprintf(text, size, "on_close was called %u times", transcript->closed);
	} else if (transcript->opened != 1) {
		snprintf(text, size, "on_open was called %u times", transcript->opened);
	} else if (!(allowed.reasons & transcript->reasons)) {
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
