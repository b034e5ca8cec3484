/*
 * Connect, one echo, close, again: each slot has one connection at a time. Connect, send and receive are
 * one chain of which only the last succeeds with a completion, so that a connection costs one.
 */
#include "load.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum operation { ECHO, CLOSE };

struct slot {
	int fd;
	uint32_t at; /* in the pattern */
	uint64_t asked_at;
	unsigned char *reply;
};

static struct slot *slots;
static unsigned connected; /* so far, over all slots */

static void slot_start(struct load *load, struct slot *slot)
{
	struct io_uring_sqe *sqe;

	if (!load_ask(load))
		return;
	/* Each connection leaves its port waiting for a minute: many addresses have many ports. */
	slot->fd = load_socket(connected);
	slot->at = pattern_start(load, connected++);
	slot->asked_at = load->now;

	sqe = load_sqe(load, 3);
	io_uring_prep_connect(
		sqe, slot->fd, (struct sockaddr *)&load->options.server, sizeof load->options.server);
	sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)ECHO << 32 | (uint64_t)(slot - slots);
	sqe = load_sqe(load, 1);
	io_uring_prep_send(
		sqe, slot->fd, load_pattern + slot->at, load->options.size, MSG_NOSIGNAL | MSG_WAITALL);
	sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)ECHO << 32 | (uint64_t)(slot - slots);
	sqe = load_sqe(load, 1);
	io_uring_prep_recv(sqe, slot->fd, slot->reply, load->options.size, MSG_WAITALL);
	sqe->user_data = (uint64_t)ECHO << 32 | (uint64_t)(slot - slots);
}

static void slot_close(struct load *load, struct slot *slot)
{
	struct io_uring_sqe *sqe = load_sqe(load, 1);

	io_uring_prep_close(sqe, slot->fd);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)CLOSE << 32 | (uint64_t)(slot - slots);
	slot->fd = -1;
}

void once_on_completion(struct load *load, const struct io_uring_cqe *cqe)
{
	struct slot *slot = &slots[(uint32_t)cqe->user_data];

	if (cqe->user_data >> 32 == CLOSE)
		errx(1, "close: %s", strerror(-cqe->res));
	/* A chain that fails has one completion, too: that of what failed. */
	if (cqe->res == (int)load->options.size &&
		memcmp(slot->reply, load_pattern + slot->at, load->options.size) == 0) {
		load_answer(load, slot->asked_at);
	} else {
		load_error(load, "a connection failed: %s",
			cqe->res < 0 ? strerror(-cqe->res) : "a wrong or incomplete reply");
		load->lost++;
	}
	slot_close(load, slot);
	slot_start(load, slot);
}

void once_prepare(struct load *load)
{
	slots = calloc(load->options.connections, sizeof *slots);
	if (!slots)
		err(1, "calloc");
	for (unsigned i = 0; i < load->options.connections; i++) {
		slots[i].reply = malloc(load->options.size);
		if (!slots[i].reply)
			err(1, "malloc");
	}
}

void once_start(struct load *load)
{
	for (unsigned i = 0; i < load->options.connections; i++)
		slot_start(load, &slots[i]);
}
