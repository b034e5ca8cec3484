/** Uploads: handlers that take messages in parts and answer each by one line, and peers that send them. The pool is the test. */
#ifndef TESTS_NET_PARTS_DRIVER_H
#define TESTS_NET_PARTS_DRIVER_H

#include "rig.h"

#include "base/macros.h"
#include "net/task.h"

#define BODY_MAX 40000u

/* Of a connection. */
struct upload {
	uint64_t passed;
	uint32_t digest;
	bool within;
};

static unsigned parts, cuts, errors, ends; /* calls so far */
static int cut_reason;
static size_t part_max; /* of the limit that the rig has */
static bool pauses;
static struct gb_conn *paused;

static inline uint32_t digest(uint32_t so_far, const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		so_far = (so_far ^ data[i]) * 16777619u;
	return so_far;
}

static inline void take_whole(struct gb_conn *conn, struct gb_bytes message)
{
	const struct upload *upload = gb_conn_state(conn);

	CHECK(!upload->within && message.size <= part_max);
	gb_conn_printf(conn, "whole %zu %x\n", message.size, digest(1, message.data, message.size));
}

/* What holds of any part. Returns whether it was the last. */
static inline bool take_part(struct upload *upload, const struct gb_part *part)
{
	parts++;
	CHECK(part->first != upload->within);
	if (part->first)
		*upload = (struct upload){ .within = true, .digest = 1 };
	CHECK_INT(part->offset, upload->passed);
	CHECK(part->bytes.size <= part_max + 2 && (part->last || part->bytes.size > 0));
	CHECK(!part->first || part->last || part->bytes.size >= gb__min(part_max, GB_PART_HEAD));
	upload->passed += part->bytes.size;
	upload->digest = digest(upload->digest, part->bytes.data, part->bytes.size);
	CHECK(part->last ? part->total == upload->passed : part->total > upload->passed);
	upload->within = !part->last;
	return part->last;
}

static inline void on_part(struct gb_conn *conn, const struct gb_part *part)
{
	struct upload *upload = gb_conn_state(conn);

	CHECK(gb_conn_user(conn));
	if (take_part(upload, part))
		gb_conn_printf(conn, "parts %llu %x\n", (unsigned long long)upload->passed, upload->digest);
	if (pauses) {
		gb_conn_pause(conn);
		paused = conn;
	}
}

static inline void on_cut(struct gb_conn *conn, int reason)
{
	struct upload *upload = gb_conn_state(conn);

	CHECK(upload->within && ends == 0 && errors == 0);
	upload->within = false;
	cuts++;
	cut_reason = reason;
}

static inline void on_error(struct gb_conn *conn, int reason)
{
	(void)reason;
	errors++;
	gb_conn_send(conn, "error\n", 6);
}

static inline void on_close(struct gb_conn *conn, int reason)
{
	CHECK(!((struct upload *)gb_conn_state(conn))->within);
	count_close(conn, reason);
}

static const struct gb_delimiter_options bang = { "ab!", 3, 0 };
static const struct gb_fixed_options fixed_size = { 5000 };

/* A body that has whatever may look like an end, and none. */
static inline void fill(unsigned char *body, size_t size)
{
	for (size_t i = 0; i < size; i++)
		body[i] = (unsigned char)"ab\rab-cab"[pattern_at(i) % 9];
	if (size > 0)
		body[size - 1] = 'z';
}

/* Write a message of so many bytes as its codec has it. Returns the bytes that takes. */
static inline size_t frame(const struct gb_service *service, unsigned char *out, size_t size)
{
	size_t head = 0, tail = 0;

	if (service->codec == &gb_codec_length) {
		for (unsigned shift = 32; shift > 0; shift -= 8)
			out[head++] = (unsigned char)(size >> (shift - 8));
	} else if (service->codec == &gb_codec_varint) {
		size_t left = size;

		for (; left > 0x7f; left >>= 7)
			out[head++] = (unsigned char)(left | 0x80);
		out[head++] = (unsigned char)left;
	}
	fill(out + head, size);
	if (service->codec == &gb_codec_line)
		memcpy(out + head + size, "\r\n", tail = 2);
	else if (service->codec == &gb_codec_delimiter)
		memcpy(out + head + size, "ab!", tail = 3);
	return head + size + tail;
}

struct talk {
	unsigned char *sent;
	size_t sent_size, count;
	char wanted[2048];
	size_t wanted_size;
};

static const size_t sizes[] = { 0, 5000, 1, 99, 100, 101, 102, 4096, 0, 8191, 8192, 8193, 30000, 7 };

static inline void talk_make(struct talk *talk, const struct gb_service *service)
{
	static unsigned char body[BODY_MAX];
	const bool fixed = service->codec == &gb_codec_fixed;

	*talk = (struct talk){ .sent = malloc(4 * BODY_MAX) };
	CHECK(talk->sent);
	for (size_t i = 0; i < gb__countof(sizes); i++) {
		const size_t size = fixed ? fixed_size.size : sizes[i];
		const bool whole = (service->on_message || service->serve) && size <= part_max;

		talk->sent_size += frame(service, talk->sent + talk->sent_size, size);
		fill(body, size);
		talk->wanted_size += (size_t)sprintf(talk->wanted + talk->wanted_size, "%s %zu %x\n",
			whole ? "whole" : "parts", size, digest(1, body, size));
		talk->count++;
	}
}

static inline struct peer *upload_begin(struct rig *rig, const struct gb_service *service, size_t message_max)
{
	parts = cuts = errors = ends = 0;
	cut_reason = -1;
	pauses = false;
	rig->limits.message_bytes_max = part_max = message_max;
	return rig_peer(rig, service);
}

/* All of it, in pieces of any size, each at its own time. */
static inline void talk_hold(struct rig *rig, struct peer *peer, const struct talk *talk)
{
	for (size_t sent = 0; sent < talk->sent_size;) {
		size_t size = test_random(&rig->random) % (test_random(&rig->random) % 3 ? 40 : 9000) + 1;

		size = gb__min(size, talk->sent_size - sent);
		peer_send(peer, talk->sent + sent, size);
		sent += size;
		if (test_random(&rig->random) % 2)
			rig_step(rig, peer);
	}
	UNTIL(rig, peer, peer->got_size >= talk->wanted_size);
	CHECK_INT(peer->got_size, talk->wanted_size);
	CHECK(memcmp(peer->got, talk->wanted, talk->wanted_size) == 0);
}

static inline void talk_over(struct rig *rig, struct peer *peer, const struct talk *talk)
{
	const unsigned before = rig->closed;

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == before + 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	CHECK_INT(rig->counters.stats.bytes_in, talk->sent_size);
	CHECK_INT(rig->counters.stats.messages, talk->count);
	CHECK_INT(cuts, 0);
	peer_close(peer);
	free(talk->sent);
}

/* Send the front of a message of 20,000 bytes, until parts of it have come. */
static inline struct peer *half_sent(struct rig *rig, const struct gb_service *service)
{
	static unsigned char all[BODY_MAX];
	struct peer *peer = upload_begin(rig, service, 1000);

	frame(service, all, 20000);
	peer_send(peer, all, 9000);
	UNTIL(rig, peer, parts >= 8);
	return peer;
}

static inline void check_cut(struct rig *rig, int reason)
{
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(cuts, 1);
	CHECK_INT(cut_reason, reason);
}

/* Nothing comes any more, until it is closed for that. */
static inline void late(struct rig *rig, struct peer *peer)
{
	for (unsigned i = 0; i < 50 && !peer->at_end; i++) {
		rig_pass(rig, 200);
		rig_step(rig, peer);
	}
	CHECK(peer->at_end);
}

static struct gb__job *held[8];
static unsigned held_count;

static inline void hold(void *arg, struct gb__job *job)
{
	(void)arg;
	CHECK(held_count < gb__countof(held));
	held[held_count++] = job;
}

static inline void run_held(void)
{
	const unsigned count = held_count;
	struct gb__job *jobs[gb__countof(held)];

	memcpy(jobs, held, sizeof(jobs));
	held_count = 0;
	for (unsigned i = 0; i < count; i++)
		gb__task_run(jobs[i]);
}

#endif
