/*
 * Connections that stay: each keeps `depth` messages in flight; a reply makes room for the next message.
 * Messages that may go at the same time go in one send. Idle connections are opened beside them.
 *
 * In an open loop the schedule decides instead, and connections take turns: message k of it is the
 * (k / connections)-th of connection k % connections. Its latency counts from when it was due, so that a server
 * that keeps the client waiting pays for all that should have been sent meanwhile (no coordinated omission).
 */
#include "load.h"

#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	BUFFER_SIZE = 32 * 1024,
	BUFFERS = 256, /* a power of two */
	GROUP = 0,
	CONNECT_BATCH = 256, /* far below any backlog */
	GREETING = 64,       /* bytes echoed once before anything is measured; of lines, one */
	GREETING_MAX = LINE_SIZE_MAX,
	PORTS_AN_ADDRESS = 25000, /* of the 28,232 that Linux hands out by default */
};

enum operation { RECV, SEND };

struct flow {
	int fd;
	uint32_t send_at, recv_at; /* in the pattern */
	uint32_t size_left;        /* of the reply that comes in just now */
	bool sending, dead;
	unsigned in_flight; /* messages */
	unsigned first;     /* the oldest one's place among asked_at */
	uint64_t owed;      /* bytes to send */
	uint64_t *asked_at; /* depth of them, a ring; none in an open loop */
	uint64_t answered;  /* messages, of an open loop */
};

static struct flow *flows; /* the idle ones last */
static struct io_uring_buf_ring *buffer_ring;
static unsigned char *buffers;

static void send_owed(struct load *load, struct flow *flow)
{
	struct io_uring_sqe *sqe = load_sqe(load, 1);
	size_t size = flow->owed < PATTERN_STRETCH ? flow->owed : PATTERN_STRETCH;

	io_uring_prep_send(sqe, flow->fd, load_pattern + flow->send_at, size, MSG_NOSIGNAL);
	sqe->user_data = (uint64_t)SEND << 32 | (uint64_t)(flow - flows);
	flow->sending = true;
}

static void arm_recv(struct load *load, struct flow *flow)
{
	struct io_uring_sqe *sqe = load_sqe(load, 1);

	io_uring_prep_recv_multishot(sqe, flow->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = (uint64_t)RECV << 32 | (uint64_t)(flow - flows);
}

static void ask(struct load *load, struct flow *flow)
{
	unsigned depth = load->options.depth;

	if (load->schedule)
		return;
	while (flow->in_flight < depth && load_ask(load)) {
		flow->asked_at[(flow->first + flow->in_flight) % depth] = load->now;
		flow->in_flight++;
		flow->owed += load->options.size;
	}
	if (flow->owed && !flow->sending)
		send_owed(load, flow);
}

static uint64_t due_at(const struct load *load, uint64_t message)
{
	return load->started + load->schedule[message];
}

bool steady_send_due(struct load *load)
{
	uint64_t before = load->due;

	for (; load->due < load->options.messages && due_at(load, load->due) <= load->now; load->due++) {
		struct flow *flow = &flows[load->due % load->options.connections];

		if (flow->dead) {
			load->lost++;
			continue;
		}
		histogram_add(&load->lateness, load->now - due_at(load, load->due));
		flow->in_flight++;
		flow->owed += load->options.size;
		if (!flow->sending)
			send_owed(load, flow);
	}
	return load->due > before;
}

static void take_answer(struct load *load, struct flow *flow)
{
	uint64_t asked_at;

	if (load->schedule) {
		uint64_t message = flow->answered++ * load->options.connections + (uint64_t)(flow - flows);

		asked_at = due_at(load, message);
	} else {
		asked_at = flow->asked_at[flow->first];
		flow->first = (flow->first + 1) % load->options.depth;
	}
	load_answer(load, asked_at);
	flow->in_flight--;
}

static void die(struct load *load, struct flow *flow, const char *why)
{
	if (flow->dead)
		return;
	flow->dead = true;
	load_error(load, "connection %td: %s", flow - flows, why);
	load->lost += flow->in_flight;
	shutdown(flow->fd, SHUT_RDWR);
}

static void on_bytes(struct load *load, struct flow *flow, const unsigned char *bytes, uint32_t size)
{
	if (memcmp(bytes, load_pattern + flow->recv_at, size) != 0) {
		die(load, flow, "a wrong byte");
		return;
	}
	flow->recv_at = pattern_advance(flow->recv_at, size);
	while (size >= flow->size_left) {
		if (!flow->in_flight)
			break;
		size -= flow->size_left;
		flow->size_left = load->options.size;
		take_answer(load, flow);
	}
	if (size && !flow->in_flight) {
		die(load, flow, "more bytes than were sent");
		return;
	}
	flow->size_left -= size;
	ask(load, flow);
}

static void on_recv(struct load *load, struct flow *flow, const struct io_uring_cqe *cqe)
{
	if (cqe->res > 0) {
		unsigned index = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		unsigned char *bytes = buffers + (size_t)index * BUFFER_SIZE;

		if (!flow->dead)
			on_bytes(load, flow, bytes, (uint32_t)cqe->res);
		io_uring_buf_ring_add(buffer_ring, bytes, BUFFER_SIZE, (uint16_t)index, BUFFERS - 1, 0);
		io_uring_buf_ring_advance(buffer_ring, 1);
	} else if (cqe->res != -ENOBUFS) {
		die(load, flow, cqe->res ? strerror(-cqe->res) : "closed by the server");
	}
	if (!(cqe->flags & IORING_CQE_F_MORE) && !flow->dead)
		arm_recv(load, flow);
}

static void on_send(struct load *load, struct flow *flow, int result)
{
	flow->sending = false;
	if (flow->dead)
		return;
	if (result < 0) {
		die(load, flow, strerror(-result));
		return;
	}
	flow->owed -= (uint32_t)result;
	flow->send_at = pattern_advance(flow->send_at, (uint32_t)result);
	if (flow->owed)
		send_owed(load, flow);
}

void steady_on_completion(struct load *load, const struct io_uring_cqe *cqe)
{
	struct flow *flow = &flows[(uint32_t)cqe->user_data];

	if (cqe->user_data >> 32 == SEND)
		on_send(load, flow, cqe->res);
	else
		on_recv(load, flow, cqe);
}

/* The greetings are done by plain blocking calls, all sent before the first is received. */
static bool greet(struct load *load, unsigned begin, unsigned end)
{
	unsigned char reply[GREETING_MAX];
	uint32_t greeting = load->options.lines ? load->options.size : GREETING;

	for (unsigned i = begin; i < end; i++) {
		if (send(flows[i].fd, load_pattern + flows[i].send_at, greeting, MSG_NOSIGNAL) != greeting) {
			load_error(load, "connection %u: cannot send: %s", i, strerror(errno));
			return false;
		}
		flows[i].send_at = pattern_advance(flows[i].send_at, greeting);
	}
	for (unsigned i = begin; i < end; i++) {
		ssize_t size = recv(flows[i].fd, reply, greeting, MSG_WAITALL);

		if (size != greeting || memcmp(reply, load_pattern + flows[i].recv_at, greeting) != 0) {
			load_error(load, "connection %u: the first echo is wrong or missing", i);
			return false;
		}
		flows[i].recv_at = pattern_advance(flows[i].recv_at, greeting);
	}
	return true;
}

static void flow_init(struct load *load, unsigned number)
{
	struct timeval patience = { .tv_sec = STALL_SECONDS };
	struct flow *flow = &flows[number];
	int on = 1;

	flow->fd = load_socket(number / PORTS_AN_ADDRESS);
	flow->send_at = flow->recv_at = pattern_start(load, number);
	flow->size_left = load->options.size;
	if (setsockopt(flow->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
		setsockopt(flow->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
		setsockopt(flow->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		err(1, "setsockopt");
	if (connect(flow->fd, (struct sockaddr *)&load->options.server, sizeof load->options.server) < 0)
		err(1, "connection %u", number);
	if (number < load->options.connections && !load->schedule) {
		flow->asked_at = calloc(load->options.depth, sizeof *flow->asked_at);
		if (!flow->asked_at)
			err(1, "calloc");
	}
}

static void create_buffers(struct load *load)
{
	struct io_uring_buf_reg registration = { .ring_entries = BUFFERS, .bgid = GROUP };
	int result;

	buffer_ring = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
	buffers = aligned_alloc(4096, (size_t)BUFFERS * BUFFER_SIZE);
	if (!buffer_ring || !buffers)
		err(1, "aligned_alloc");
	io_uring_buf_ring_init(buffer_ring);
	registration.ring_addr = (uint64_t)(uintptr_t)buffer_ring;
	result = io_uring_register_buf_ring(&load->ring, &registration, 0);
	if (result < 0)
		errx(1, "provided buffers: %s", strerror(-result));
	for (unsigned i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(buffer_ring, buffers + (size_t)i * BUFFER_SIZE, BUFFER_SIZE,
			(uint16_t)i, BUFFERS - 1, (int)i);
	io_uring_buf_ring_advance(buffer_ring, BUFFERS);
}

void steady_prepare(struct load *load)
{
	unsigned count = load->options.connections + load->options.idle;

	flows = calloc(count, sizeof *flows);
	if (!flows)
		err(1, "calloc");
	for (unsigned i = 0; i < count; i += CONNECT_BATCH) {
		unsigned end = i + CONNECT_BATCH < count ? i + CONNECT_BATCH : count;

		for (unsigned number = i; number < end; number++)
			flow_init(load, number);
		if (!greet(load, i, end))
			exit(1);
	}
	create_buffers(load);
	for (unsigned i = 0; i < load->options.connections; i++)
		arm_recv(load, &flows[i]);
	io_uring_submit(&load->ring);
}

void steady_start(struct load *load)
{
	if (load->schedule)
		load->asked = load->options.messages;
	for (unsigned i = 0; i < load->options.connections; i++)
		ask(load, &flows[i]);
}

void steady_check_idle(struct load *load)
{
	unsigned count = load->options.connections + load->options.idle;

	for (unsigned i = load->options.connections; i < count; i += CONNECT_BATCH)
		if (!greet(load, i, i + CONNECT_BATCH < count ? i + CONNECT_BATCH : count))
			return;
}
