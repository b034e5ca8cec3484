/* Sockets of packets on a reactor: one receive and one send for each, which the kernel does whole or not at all. */
#include "base/assert.h"
#include "engine/reactor.h"

#include <errno.h>

int gb__reactor_send_packets(struct reactor *reactor, struct gb__stream *stream)
{
	struct gb__output *output = &stream->output;
	struct gb__os *os = reactor->engine.os;

	while (!gb__output_empty(output)) {
		struct iovec parts[GB__PACKET_PARTS];
		size_t size;
		const unsigned count = gb__output_packet(output, parts, &size);
		const ssize_t sent = os->ops->sendv(os, stream->endpoint.fd, parts, count);

		reactor->engine.stats.sends++;
		if (sent == -EINTR)
			continue;
		if (sent == -EAGAIN) {
			reactor->engine.stats.again++;
			return 1;
		}
		if (sent != (ssize_t)size)
			return sent < 0 ? (int)sent : -EIO;
		gb__output_consume(output, &reactor->engine.pool, GB__PACKET_HEADER + size);
	}
	return 0;
}

void gb__reactor_packet_ready(struct reactor *reactor, struct gb__stream *stream)
{
	ssize_t size;

	gb__assert(reactor->input_size >= GB__PACKET_MAX);
	size = gb__os_recv_packet(reactor->engine.os, stream->endpoint.fd, reactor->input, GB__PACKET_MAX);
	reactor->engine.stats.receives++;
	if (size > 0)
		gb__stream_tell_packet(stream, reactor->input, size);
	else
		gb__reactor_received_nothing(reactor, stream, size);
}
