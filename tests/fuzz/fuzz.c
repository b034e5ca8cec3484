/* The body of every fuzzer: what holds of a codec whatever comes in, in whatever pieces. */
#include "fuzz.h"

#include <gearbox/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_MAX 8192 /* more is not looked at: each byte is a cut, so the work grows with the square */
#define PIECES_MAX 12   /* messages there and back */
#define UNTOUCHED 7u

/* The input at work, for the report. */
static struct gb_bytes whole;

/* One stream, decoded in pieces. */
struct play {
	const void *options;
	size_t max_message;
	struct gb_bytes stream;
	void *state;
	const struct gb_bytes *expected; /* the messages, or NULL: any */
	uint32_t scanned;
	size_t start, arrived; /* what is buffered of the stream */
	size_t messages;
	uint64_t digest; /* of where the messages lay */
	int ending;
};

static _Noreturn void fail(const struct play *play, const char *what)
{
	fprintf(stderr,
		"fuzz: %s: %s: message %zu, buffered from %zu to %zu of %zu, max_message %zu\ninput: ",
		fuzz_codec.ops->name, what, play->messages, play->start, play->arrived, play->stream.size,
		play->max_message);
	for (size_t i = 0; i < whole.size; i++)
		fprintf(stderr, "%02x", whole.data[i]);
	fputc('\n', stderr);
	abort();
}

unsigned fuzz_take(struct fuzz_source *source)
{
	if (source->size == 0)
		return 0;
	source->size--;
	return *source->data++;
}

uint64_t fuzz_take_number(struct fuzz_source *source, unsigned bytes)
{
	uint64_t number = 0;

	while (bytes-- > 0)
		number = number << 8 | fuzz_take(source);
	return number;
}

static size_t take_max_message(struct fuzz_source *source)
{
	const unsigned kind = fuzz_take(source) % 8;
	const size_t value = (size_t)fuzz_take_number(source, 2);

	switch (kind) {
	case 0:
		return SIZE_MAX;
	case 1:
		return SIZE_MAX - value;
	case 2:
		return value;
	default:
		return value % 64;
	}
}

/* Xorshift; libFuzzer's programs have no harness. */
static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	return *seed ^= *seed << 5;
}

static int same_place(const struct gb_frame *a, const struct gb_frame *b)
{
	return a->consumed == b->consumed && a->offset == b->offset && a->size == b->size;
}

static void check_frame(const struct play *play, struct gb_bytes input, const struct gb_frame *frame)
{
	if (frame->consumed == 0)
		fail(play, "no progress");
	if (frame->consumed > input.size)
		fail(play, "consumed more than was given");
	if (frame->offset > frame->consumed || frame->size > frame->consumed - frame->offset)
		fail(play, "the message is outside of what was consumed");
	if (play->expected &&
		(frame->size != play->expected[play->messages].size ||
			memcmp(input.data + frame->offset, play->expected[play->messages].data,
				frame->size) != 0))
		fail(play, "another message than was encoded");
}

/* Decode what is given, in memory of its size, so that a sanitizer sees a step outside; the other decoder agrees. */
static int decode_once(struct play *play, size_t size, uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_frame untouched = { UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED, &whole, NULL };
	unsigned char *memory = malloc(size ? size : 1);
	const struct gb_bytes input = { memory, size };
	struct gb_frame plain = untouched, frame = untouched;
	int result, expected;

	if (!memory)
		abort();
	if (size)
		memcpy(memory, play->stream.data + play->start, size);
	expected = fuzz_codec.decode(play->options, input, play->max_message, &plain);
	result =
		fuzz_codec.ops->decode(play->options, play->state, input, play->max_message, scanned, &frame);
	if (size && memcmp(memory, play->stream.data + play->start, size) != 0)
		fail(play, "the input was changed");
	if (result != expected)
		fail(play, "another result than the plain decoder's");
	if (!same_place(&frame, &plain))
		fail(play,
			result == 1 ? "another message than the plain decoder's"
				    : "a frame without a message");
	if (frame.key != untouched.key || frame.parsed != untouched.parsed || (result >= 0 && frame.problem))
		fail(play, "what is not the codec's was written");
	if (result == 1)
		check_frame(play, input, &frame);
	if (result == 0 && *scanned > size)
		fail(play, "scanned is outside of the input");
	free(memory);
	*ret = frame;
	return result;
}

/* Nothing that comes later, and no search from the front, makes a refusal undone. */
static void check_final(struct play *play)
{
	struct gb_frame frame;
	uint32_t anew = 0;

	if (decode_once(play, play->arrived - play->start, &anew, &frame) != play->ending ||
		decode_once(play, play->arrived - play->start, &play->scanned, &frame) != play->ending ||
		decode_once(play, play->stream.size - play->start, &play->scanned, &frame) != play->ending)
		fail(play, "a refusal is not final");
}

static void decode_arrived(struct play *play)
{
	for (;;) {
		struct gb_frame frame;
		int result = decode_once(play, play->arrived - play->start, &play->scanned, &frame);

		if (result < 0) {
			play->ending = result;
			check_final(play);
		}
		if (result != 1)
			return;
		play->digest = (play->digest ^ (play->start + frame.offset)) * 0x100000001b3 + frame.size;
		play->start += frame.consumed;
		play->messages++;
		play->scanned = 0;
	}
}

/* Pieces of 1 to `most` bytes; 0: all at once. Returns how it went. */
static struct play play_in_pieces(const struct play *given, size_t most, uint32_t seed)
{
	const size_t state_size = fuzz_codec.ops->state_size;
	struct play play = *given;

	play.state = calloc(1, state_size ? state_size : 1);
	if (!play.state)
		abort();
	decode_arrived(&play);
	while (!play.ending && play.arrived < play.stream.size) {
		size_t left = play.stream.size - play.arrived,
		       piece = most ? 1 + next_random(&seed) % most : left;

		play.arrived += piece < left ? piece : left;
		decode_arrived(&play);
	}
	free(play.state);
	play.state = NULL;
	return play;
}

/* The caller takes it from here, if it holds what <gearbox/codec.h> says. */
static void check_part(const struct play *play, const struct gb_progress *before,
	const struct gb_progress *after, const struct gb_frame *frame, size_t size)
{
	const uint64_t passed = before->passed + frame->size;

	if (frame->consumed == 0 || frame->consumed > size)
		fail(play, "a part consumes nothing, or more than was given");
	if (frame->offset > frame->consumed || frame->size > frame->consumed - frame->offset)
		fail(play, "the part is outside of what was consumed");
	if (frame->size == 0 && !after->last)
		fail(play, "an empty part that is not the last");
	if (before->begun && frame->offset != 0)
		fail(play, "a later part does not begin at the front");
	if (after->passed != before->passed || after->begun != before->begun)
		fail(play, "what is the caller's was written");
	if (after->last ? after->total != passed : after->total != GB_TOTAL_UNKNOWN && after->total <= passed)
		fail(play, "the total does not fit the parts");
}

/* What is there, part by part: the pieces of a message are what `decode` finds of it. */
static void decode_parts(struct play *play, size_t max_part, struct gb_progress *progress)
{
	int result = 1;

	while (result == 1 && play->arrived > play->start) {
		const size_t size = play->arrived - play->start;
		unsigned char *memory = malloc(size);
		struct gb_progress next = *progress;
		struct gb_frame frame = { 0 };

		if (!memory)
			abort();
		memcpy(memory, play->stream.data + play->start, size);
		result = fuzz_codec.ops->decode_part(play->options, play->state,
			(struct gb_bytes){ memory, size }, max_part, &next, &frame);
		free(memory);
		if (result > 1 || (result == 0 && size > max_part && size - max_part > FUZZ_OVERHEAD))
			fail(play, "no part of so much");
		if (result < 0)
			play->ending = result;
		if (result != 1)
			return;
		check_part(play, progress, &next, &frame, size);
		*progress = (struct gb_progress){ 0 };
		if (!next.last) {
			*progress = next;
			progress->begun = true;
			progress->passed += frame.size;
		}
		play->start += frame.consumed;
		play->messages += next.last;
	}
}

/*
 * The same stream in parts. Up to a message that is refused for its size alone, or that never ends, all are those that
 * were found whole: each ends where it did.
 */
static void play_in_parts(const struct play *given, const struct play *found, size_t max_part, uint32_t seed)
{
	const size_t state_size = fuzz_codec.ops->state_size;
	struct gb_progress progress = { 0 };
	struct play play = *given;

	play.state = calloc(1, state_size ? state_size : 1);
	if (!play.state)
		abort();
	while (!play.ending && play.arrived < play.stream.size) {
		const size_t left = play.stream.size - play.arrived, piece = 1 + next_random(&seed) % 70;

		play.arrived += piece < left ? piece : left;
		decode_parts(&play, max_part, &progress);
		if (play.messages == found->messages && !progress.begun && play.start != found->start)
			fail(&play, "in parts a message ends elsewhere");
		if (play.messages == found->messages && found->ending == -GB_EBADFRAME)
			break;
		if (play.messages > found->messages && found->ending != -GB_ETOOLARGE)
			fail(&play, "in parts there are more messages");
	}
	if (play.messages < found->messages)
		fail(&play, "in parts there are fewer messages");
	free(play.state);
}

/* However it is cut, the same messages, the same end, the same rest. Returns how it went. */
static struct play play_every_way(const struct play *given, uint32_t seed)
{
	static const size_t most[] = { 1, 3, 40 };
	const struct play first = play_in_pieces(given, 0, seed);

	for (size_t i = 0; i < sizeof(most) / sizeof(*most); i++) {
		const struct play other = play_in_pieces(given, most[i], seed);

		if (other.messages != first.messages || other.digest != first.digest ||
			other.ending != first.ending || other.start != first.start)
			fail(&other, "cut in another way it decodes to something else");
	}
	return first;
}

/* The stream falls into messages at random, is encoded and decoded. */
static void play_there_and_back(const struct play *given, uint32_t seed)
{
	struct gb_bytes messages[PIECES_MAX], from = given->stream;
	unsigned char *out = malloc(from.size + (size_t)PIECES_MAX * FUZZ_OVERHEAD);
	struct play encoded = *given, end;
	size_t used = 0, count = 0;

	if (!out)
		abort();
	for (unsigned i = 0; i < PIECES_MAX; i++) {
		size_t most = from.size < given->max_message ? from.size : given->max_message;
		struct gb_bytes piece = { from.data, next_random(&seed) % (most < 100 ? most + 1 : 101) };
		size_t written = fuzz_codec.encode(
			given->options, piece, given->max_message, out + used, &messages[count]);

		count += written > 0;
		used += written;
		from.data += piece.size;
		from.size -= piece.size;
	}
	if (count == 0) { /* an empty stream of messages above the maximum is refused as well */
		free(out);
		return;
	}
	encoded.stream = (struct gb_bytes){ out, used };
	encoded.expected = messages;
	end = play_in_pieces(&encoded, 0, seed);
	if (end.ending || end.messages != count || end.start != used)
		fail(&end, "what was encoded is not decoded whole");
	end = play_in_pieces(&encoded, 50, seed);
	if (end.ending || end.messages != count || end.start != used)
		fail(&end, "what was encoded is not decoded in pieces");
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_source source = { data, size };
	struct play play = { 0 }, found;
	uint32_t seed;

	whole = (struct gb_bytes){ data, size };
	play.max_message = take_max_message(&source);
	seed = (uint32_t)fuzz_take_number(&source, 4) | 1u << 31; /* never 0 */
	play.options = fuzz_codec.choose(&source);
	play.stream = (struct gb_bytes){ source.data, source.size < STREAM_MAX ? source.size : STREAM_MAX };
	found = play_every_way(&play, seed);
	play_in_parts(&play, &found, SIZE_MAX, seed);
	play_in_parts(&play, &found, 1 + seed % 90, seed);
	play_there_and_back(&play, seed);
	return 0;
}
