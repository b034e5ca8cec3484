/* Sockets of packets: each that comes is told by itself, each that is queued leaves by itself, whatever else happens. */
#include "base/macros.h"
#include "probe.h"

#include <errno.h>

/* What lies there in a row are packets of these sizes, of the pattern. Returns the bytes they have in all. */
static size_t check_packets(const struct bytes *bytes, const size_t *sizes, size_t count)
{
	size_t at = 0, offset = 0;
	uint32_t size;

	for (size_t i = 0; i < count; i++) {
		CHECK(bytes->size - at >= sizeof(size));
		memcpy(&size, bytes->data + at, sizeof(size));
		CHECK_INT(size, sizes[i]);
		at += sizeof(size);
		CHECK(bytes->size - at >= size);
		CHECK_PATTERN(bytes->data + at, size, offset);
		at += size;
		offset += size;
	}
	CHECK_INT(bytes->size, at);
	return at;
}

static size_t in_queue(const size_t *sizes, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += GB__PACKET_HEADER + sizes[i];
	return bytes;
}

/* Small ones and large ones; those of a page and more lie in several chunks of a queue. */
static size_t any_size(struct rig *rig)
{
	switch (rig_random(rig, 8)) {
	case 0:
		return 1 + rig_random(rig, GB__PACKET_MAX);
	case 1:
		return 1 + rig_random(rig, 4);
	default:
		return 1 + rig_random(rig, 900);
	}
}

ENGINE_TEST(packets_are_told_one_by_one_and_sent_one_by_one)
{
	enum { PACKETS = 60 };
	size_t sizes[PACKETS], sent = 0;
	struct rig_peer *peer;
	struct probe *probe = probe_packets(rig, &peer);

	probe->echo = true;
	for (unsigned i = 0; i < PACKETS; i++)
		sizes[i] = any_size(rig);
	sizes[7] = GB__PACKET_MAX;
	while (sent < PACKETS)
		if (!peer_send_packet(peer, sizes[sent]) || (++sent, rig_random(rig, 4) == 0))
			rig_step(rig);
	UNTIL(rig, peer->got.size == in_queue(sizes, PACKETS));
	check_packets(&probe->got, sizes, PACKETS);
	check_packets(&peer->got, sizes, PACKETS);
	CHECK_INT(probe->inputs, PACKETS);
	CHECK_INT(probe->ends, 0);
	CHECK_INT(probe->output_error, 0);
	rig_rest(rig);
	probe_close(probe);
}

/* A peer that reads late; what is queued meanwhile is not put together, nor cut, whatever the kernel takes. */
ENGINE_TEST(packets_keep_their_boundaries_under_back_pressure)
{
	enum { PACKETS = 120 };
	size_t sizes[PACKETS], left = 0;
	struct rig_peer *peer;
	struct probe *probe = probe_packets(rig, &peer);

	peer->read_max = 1;
	for (unsigned i = 0; i < PACKETS; i++) {
		sizes[i] = i % 10 ? any_size(rig) : GB__PACKET_MAX;
		probe_queue_packet(probe, sizes[i]);
		if (rig_random(rig, 3) == 0)
			CHECK(probe_flush(probe) >= 0);
		if (rig_random(rig, 6) == 0)
			rig_step(rig);
	}
	CHECK(probe_flush(probe) >= 0);
	while (left != probe->stream.output.bytes) {
		left = probe->stream.output.bytes;
		rig_settle(rig); /* a ring sends one a turn */
	}
	rig_rest(rig);
	CHECK_INT(probe->stream.output.bytes, left);
	CHECK(left > 0);
	peer->read_max = SIZE_MAX;
	UNTIL(rig, peer->got.size == in_queue(sizes, PACKETS));
	UNTIL(rig, !probe->flush_pending);
	CHECK(gb__output_empty(&probe->stream.output));
	check_packets(&peer->got, sizes, PACKETS);
	probe_close(probe);
}

/* Input is stopped and started between packets: none is lost, and none is told twice or in another's. */
ENGINE_TEST(packets_wait_while_input_is_stopped)
{
	enum { PACKETS = 40 };
	size_t sizes[PACKETS], sent = 0;
	struct rig_peer *peer;
	struct probe *probe = probe_packets(rig, &peer);

	for (unsigned i = 0; i < PACKETS; i++)
		sizes[i] = 1 + rig_random(rig, 500);
	while (sent < PACKETS) {
		if (peer_send_packet(peer, sizes[sent]))
			sent++;
		if (rig_random(rig, 3) == 0)
			probe_stop(probe);
		if (rig_random(rig, 3) == 0)
			rig_step(rig);
		if (rig_random(rig, 2) == 0)
			probe_start(probe);
	}
	probe_stop(probe);
	rig_settle(rig);
	sent = probe->inputs;
	rig_rest(rig);
	CHECK_INT(probe->inputs, sent);
	probe_start(probe);
	UNTIL(rig, probe->got.size == in_queue(sizes, PACKETS));
	check_packets(&probe->got, sizes, PACKETS);
	CHECK_INT(probe->inputs, PACKETS);
	probe_close(probe);
}

/* Nothing of one that is too large is told but that it was; what follows is whole. */
ENGINE_TEST(a_packet_that_is_too_large_is_told_as_cut)
{
	const uint32_t cut = GB__PACKET_CUT, small = 5;
	struct rig_peer *peer;
	struct probe *probe = probe_packets(rig, &peer);
	uint32_t told;

	UNTIL(rig, peer_send_packet(peer, GB__PACKET_MAX + 1));
	UNTIL(rig, peer_send_packet(peer, small));
	UNTIL(rig, probe->inputs == 2);
	CHECK_INT(probe->got.size, 2 * GB__PACKET_HEADER + small);
	memcpy(&told, probe->got.data, sizeof(told));
	CHECK(told == cut);
	memcpy(&told, probe->got.data + sizeof(told), sizeof(told));
	CHECK(told == small);
	CHECK_PATTERN(probe->got.data + 2 * sizeof(told), small, GB__PACKET_MAX + 1);
	probe_close(probe);
}

/* The end comes behind the last packet, and what is sent after it still arrives. */
ENGINE_TEST(packets_can_be_half_closed)
{
	const size_t sizes[] = { 3, 700, 1 }, answers[] = { 12, 1 };
	struct rig_peer *peer;
	struct probe *probe = probe_packets(rig, &peer);

	for (unsigned i = 0; i < gb__countof(sizes); i++)
		UNTIL(rig, peer_send_packet(peer, sizes[i]));
	peer_shutdown(peer);
	UNTIL(rig, probe->ends == 1);
	CHECK_INT(probe->end_error, 0);
	check_packets(&probe->got, sizes, gb__countof(sizes));
	for (unsigned i = 0; i < gb__countof(answers); i++)
		probe_queue_packet(probe, answers[i]);
	CHECK(probe_flush(probe) >= 0);
	UNTIL(rig, peer->got.size == in_queue(answers, gb__countof(answers)));
	UNTIL(rig, !probe->flush_pending);
	check_packets(&peer->got, answers, gb__countof(answers));
	probe_close(probe);
}

/* What does not leave any more stays as it was queued: whole packets. */
ENGINE_TEST(packets_that_were_not_sent_stay_whole)
{
	enum { PACKETS = 80 };
	const size_t size = 9000;
	struct rig_peer *peer;
	struct probe *probe = probe_packets(rig, &peer);
	size_t left;

	peer->read_max = 1;
	for (unsigned i = 0; i < PACKETS; i++)
		probe_queue_packet(probe, size);
	CHECK(probe_flush(probe) >= 0);
	rig_settle(rig);
	if (!probe_detach(probe))
		UNTIL(rig, probe->detached);
	left = probe->stream.output.bytes;
	CHECK(left > 0);
	CHECK_INT(left % (GB__PACKET_HEADER + size), 0);
	rig->os->ops->close(rig->os, probe_release(probe));
}
