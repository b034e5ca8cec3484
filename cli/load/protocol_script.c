#include "load/protocol_script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_STEP 61u /* lines between the beginnings of two connections */

int gb__script_append(struct script_bytes *bytes, const void *data, size_t size)
{
	if (bytes->room - bytes->size < size) {
		size_t room = 2 * bytes->room + size + 1024;
		unsigned char *grown = realloc(bytes->data, room);

		if (!grown)
			return -ENOMEM;
		bytes->data = grown;
		bytes->room = room;
	}
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
	return 0;
}

int gb__script_traffic(struct script_bytes *requests, struct script_bytes *replies,
	const struct script_line *lines, size_t count, struct traffic *ret)
{
	struct traffic traffic = { .data = requests->data,
		.size = requests->size,
		.period = requests->size,
		.sizes = calloc(count, sizeof(size_t)),
		.count = count,
		.reply_data = replies->data,
		.replies = calloc(count, sizeof(struct traffic_reply)) };
	const unsigned char *at = replies->data;

	*requests = *replies = (struct script_bytes){ 0 };
	if (!traffic.sizes || !traffic.replies) {
		gb__traffic_finish(&traffic);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		traffic.sizes[i] = lines[i].request;
		traffic.replies[i].right = (struct gb_bytes){ at, lines[i].reply };
		at += lines[i].reply;
		traffic.replies[i].other = (struct gb_bytes){ at, lines[i].other };
		at += lines[i].other;
	}
	*ret = traffic;
	return 0;
}

size_t gb__script_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	struct script_state *script = state;
	size_t place = 0;

	*script = (struct script_state){ 0 };
	if (!traffic->anywhere)
		return 0;
	script->turn = (size_t)(number % traffic->count * LINE_STEP % traffic->count);
	for (size_t i = 0; i < script->turn; i++)
		place += traffic->sizes[i];
	return place;
}

/* The reply is not the first right one, from `at` on: it may be the second. */
static bool may_be_other(
	const struct traffic_reply *reply, const struct script_state *script, struct gb_bytes bytes)
{
	size_t left = reply->other.size - script->of_reply, size = bytes.size < left ? bytes.size : left;

	return reply->other.size > script->of_reply && reply->right.size >= script->of_reply &&
		memcmp(reply->other.data, reply->right.data, script->of_reply) == 0 &&
		memcmp(reply->other.data + script->of_reply, bytes.data, size) == 0;
}

/* Takes bytes of the current reply. Returns how many, or -GB_EBADFRAME. */
static int64_t take(const struct traffic_reply *reply, struct script_state *script, struct gb_bytes bytes,
	struct gb_error *error)
{
	const struct gb_bytes *wanted = script->other ? &reply->other : &reply->right;
	size_t left = wanted->size - script->of_reply, size = bytes.size < left ? bytes.size : left;
	int64_t rc;

	if (memcmp(wanted->data + script->of_reply, bytes.data, size) != 0 && !script->other &&
		may_be_other(reply, script, bytes)) {
		script->other = true;
		return take(reply, script, bytes, error);
	}
	rc = gb__protocol_compare(wanted->data + script->of_reply, bytes.data, size, script->offset, error);
	script->of_reply += size;
	script->offset += size;
	return rc < 0 ? rc : (int64_t)size;
}

int64_t gb__script_check(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
	struct gb_error *error)
{
	struct script_state *script = state;
	uint64_t replies = 0;

	while (bytes.size > 0) {
		const struct traffic_reply *reply = &traffic->replies[script->turn];
		int64_t taken;

		if (replies == awaited)
			return gb__protocol_surplus(script->offset, error);
		taken = take(reply, script, bytes, error);
		if (taken < 0)
			return taken;
		bytes.data += taken;
		bytes.size -= (size_t)taken;
		if (script->of_reply < (script->other ? reply->other.size : reply->right.size))
			continue;
		script->of_reply = 0;
		script->other = false;
		script->turn = script->turn + 1 == traffic->count ? 0 : script->turn + 1;
		replies++;
	}
	return (int64_t)replies;
}
