#include "codec/codec_test_driver.h"

#include "harness.h"

#include <gearbox/error.h>

#define ONE_CUT_MAX 4096 /* longer input is not cut at every byte: too slow */
#define TWO_CUTS_MAX 64
#define RANDOM_SCHEDULES 100
#define FUSED 3

/* One way to cut: arrivals end at each cut and at the end of the input. */
struct schedule {
	const size_t *cuts; /* ascending */
	size_t count;
};

/* One run of a conversation. */
struct run {
	const struct codec_conversation *conversation;
	const struct schedule *schedule;
	void *state;
	size_t start, arrived; /* what is buffered of the input */
	size_t messages;       /* decoded so far */
	uint32_t scanned;
	int ending;
	size_t max_part; /* 0: messages are taken whole */
	struct gb_progress progress;
};

static _Noreturn void fail(const struct run *run, const char *what)
{
	char cuts[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < run->schedule->count && used + 24 < sizeof(cuts); i++)
		used += (size_t)snprintf(cuts + used, sizeof(cuts) - used, " %zu", run->schedule->cuts[i]);
	test_fail(__FILE__, __LINE__, "%s: %s: message %zu, with bytes %zu to %zu buffered, %zu cuts:%s",
		run->conversation->ops->name, what, run->messages, run->start, run->arrived,
		run->schedule->count, cuts);
}

/* The codec found a message in `input`, which is what is buffered. */
static void take_message(struct run *run, struct gb_bytes input, const struct gb_frame *frame)
{
	const struct gb_bytes *expected = &run->conversation->messages[run->messages];

	if (frame->consumed == 0 || frame->consumed > input.size)
		fail(run, "consumed is outside of the input");
	if (frame->offset > input.size || frame->size > input.size - frame->offset)
		fail(run, "the message is outside of the input");
	if (run->messages == run->conversation->message_count)
		fail(run, "one message too many");
	if (frame->size != expected->size ||
		memcmp(input.data + frame->offset, expected->data, frame->size) != 0)
		fail(run, "the message is not the expected one");
	run->messages++;
	run->start += frame->consumed;
	run->scanned = 0;
}

/* A part of it, of which the expected message is the sum. */
static void take_part(struct run *run, struct gb_bytes input, const struct gb_frame *frame)
{
	const struct codec_conversation *conversation = run->conversation;
	struct gb_progress *progress = &run->progress;
	const bool incomplete = run->messages == conversation->message_count;
	const struct gb_bytes *expected = &conversation->messages[run->messages];

	if (frame->consumed == 0 || frame->consumed > input.size)
		fail(run, "consumed is outside of the input");
	if (frame->offset > frame->consumed || frame->size > frame->consumed - frame->offset)
		fail(run, "the part is outside of what was consumed");
	if (frame->size == 0 && !progress->last)
		fail(run, "an empty part that is not the last");
	if (incomplete && (progress->last || conversation->rest == 0))
		fail(run, "one message too many");
	if (!incomplete &&
		(frame->size > expected->size - progress->passed ||
			memcmp(input.data + frame->offset, expected->data + progress->passed, frame->size) !=
				0))
		fail(run, "the part is not of the expected message");
	progress->passed += frame->size;
	progress->begun = true;
	if (!incomplete && progress->total != GB_TOTAL_UNKNOWN && progress->total != expected->size)
		fail(run, "the total is not the message's");
	run->start += frame->consumed;
	if (!progress->last)
		return;
	if (progress->passed != expected->size || progress->total != expected->size)
		fail(run, "the last part does not complete the message");
	run->messages++;
	*progress = (struct gb_progress){ 0 };
}

/* Either way. Returns what the codec says of the input. */
static int decode_front(struct run *run, struct gb_bytes input)
{
	const struct codec_conversation *conversation = run->conversation;
	struct gb_progress progress = run->progress;
	struct gb_frame frame;
	int result;

	if (!run->max_part) {
		result = conversation->ops->decode(conversation->options, run->state, input,
			conversation->max_message, &run->scanned, &frame);
		if (result == 0 && run->scanned > input.size)
			fail(run, "scanned is outside of the input");
		if (result == 1)
			take_message(run, input, &frame);
		return result;
	}
	result = conversation->ops->decode_part(
		conversation->options, run->state, input, run->max_part, &progress, &frame);
	if (result == 1) {
		run->progress = progress;
		take_part(run, input, &frame);
	}
	return result;
}

static void decode_buffered(struct run *run)
{
	const struct codec_conversation *conversation = run->conversation;
	size_t size = run->arrived - run->start, used = 0;
	/* A new place for each arrival and no byte more: a sanitizer sees kept pointers and steps too far. */
	unsigned char *memory = malloc(size ? size : 1);

	CHECK(memory != NULL);
	memcpy(memory, conversation->input.data + run->start, size);
	while (used < size) {
		size_t start = run->start;
		int rc = decode_front(run, (struct gb_bytes){ memory + used, size - used });

		if (rc < 0)
			run->ending = rc;
		else if (rc > 1)
			fail(run, "decode returned more than 1");
		if (rc <= 0)
			break;
		used += run->start - start;
	}
	free(memory);
}

static void play_parts(
	const struct codec_conversation *conversation, const size_t *cuts, size_t count, size_t max_part)
{
	const struct schedule schedule = { cuts, count };
	struct run run = { .conversation = conversation, .schedule = &schedule, .max_part = max_part };
	size_t state_size = conversation->ops->state_size;

	run.state = calloc(1, state_size ? state_size : 1);
	CHECK(run.state != NULL);
	for (size_t i = 0; i <= count && !run.ending; i++) {
		run.arrived = i < count ? cuts[i] : conversation->input.size;
		decode_buffered(&run);
	}
	/* Of almost 2^64 bytes, and what is before them: none can count those. */
	if (max_part && conversation->rest > 0 && run.ending == -GB_ETOOLARGE)
		run.ending = 0;
	if (run.ending != conversation->ending)
		fail(&run, run.ending ? "refused" : "not refused");
	if (run.messages != conversation->message_count)
		fail(&run, "messages are missing");
	if (!run.ending && !max_part && run.arrived - run.start != conversation->rest)
		fail(&run, "another rest is left");
	free(run.state);
}

/* Whole, and in parts as they come, and in small ones: of parts none is too large. */
static void play(const struct codec_conversation *conversation, const size_t *cuts, size_t count)
{
	play_parts(conversation, cuts, count, 0);
	if (conversation->ending == -GB_ETOOLARGE || !conversation->ops->decode_part)
		return;
	play_parts(conversation, cuts, count, SIZE_MAX);
	play_parts(conversation, cuts, count, 1 + (cuts ? cuts[0] : 0) % 4);
}

/* Every byte is a cut with one chance in `spacing`. */
static void play_random(const struct codec_conversation *conversation, size_t *cuts)
{
	uint64_t state = test_seed();

	for (unsigned i = 0; i < RANDOM_SCHEDULES; i++) {
		uint64_t spacing = (uint64_t)1 << test_random(&state) % 10;
		size_t count = 0;

		for (size_t at = 1; at < conversation->input.size; at++)
			if (test_random(&state) % spacing == 0)
				cuts[count++] = at;
		play(conversation, cuts, count);
	}
}

static void play_every_way(const struct codec_conversation *conversation)
{
	size_t size = conversation->input.size;
	size_t *cuts = malloc((size + 1) * sizeof(*cuts));

	CHECK(cuts != NULL);
	play(conversation, NULL, 0);
	for (cuts[0] = 1; cuts[0] < size && size <= ONE_CUT_MAX; cuts[0]++)
		play(conversation, cuts, 1);
	for (cuts[0] = 1; cuts[0] < size && size <= TWO_CUTS_MAX; cuts[0]++)
		for (cuts[1] = cuts[0] + 1; cuts[1] < size; cuts[1]++)
			play(conversation, cuts, 2);
	for (size_t i = 0; i + 1 < size; i++)
		cuts[i] = i + 1;
	if (size > 1 && size <= ONE_CUT_MAX)
		play(conversation, cuts, size - 1);
	play_random(conversation, cuts);
	free(cuts);
}

static void play_fused(const struct codec_conversation *conversation)
{
	struct codec_conversation fused = *conversation;
	size_t size = conversation->input.size, count = conversation->message_count;
	unsigned char *input = malloc(FUSED * size + 1);
	struct gb_bytes *messages = malloc((FUSED * count + 1) * sizeof(*messages));

	CHECK(input && messages);
	for (unsigned i = 0; i < FUSED; i++) {
		memcpy(input + i * size, conversation->input.data, size);
		for (size_t j = 0; j < count; j++)
			messages[i * count + j] = conversation->messages[j];
	}
	fused.input = (struct gb_bytes){ input, FUSED * size };
	fused.messages = messages;
	fused.message_count = FUSED * count;
	play_every_way(&fused);
	free(messages);
	free(input);
}

void codec_test(const struct codec_conversation *conversation)
{
	play_every_way(conversation);
	if (conversation->ending == 0 && conversation->rest == 0)
		play_fused(conversation);
}
