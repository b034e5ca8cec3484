#include "verify/player.h"

#include "clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536u
#define SEGMENT 1400    /* loopback's own would be larger than the buffers */
#define READS_MAX 4u    /* in a row: a step may be due meanwhile */
#define CONNECT_MS 1000 /* for the kernel alone to establish a connection */
#define EXCESS 65536u   /* bytes beyond those wanted, after which nobody reads on */

static void hang_up(struct verify_player *player, enum verify_ending ending)
{
	if (player->fd >= 0)
		close(player->fd);
	player->fd = -1;
	if (player->transcript->ending == VERIFY_UNENDED)
		player->transcript->ending = ending;
}

void gb__verify_player_give_up(struct verify_player *player, const char *what, int error)
{
	snprintf(player->transcript->trouble, sizeof(player->transcript->trouble), "%s%s%s", what,
		error ? ": " : "", error ? gb_strerror(error) : "");
	hang_up(player, VERIFY_BY_CLIENT);
}

/* Of sending, receiving or connecting: a reset is an ending, anything else is in the way of the talk. */
static void broke(struct verify_player *player, const char *what, int error)
{
	if (error == ECONNRESET || error == EPIPE)
		hang_up(player, VERIFY_BY_RESET);
	else
		gb__verify_player_give_up(player, what, error);
}

static int open_client(const struct verify_player *player, uint32_t address)
{
	const int yes = 1, segment = SEGMENT;
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
	if (player->talk->receive_buffer)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &player->talk->receive_buffer,
			sizeof(player->talk->receive_buffer));
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

/* Whether everything up to `end` is sent. */
static bool send_up_to(struct verify_player *player, size_t end)
{
	const struct verify_talk *talk = player->talk;

	while (player->sent < end && !player->full) {
		ssize_t sent =
			send(player->fd, talk->sent.data + player->sent, end - player->sent, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			player->full = errno == EAGAIN;
			if (!player->full)
				broke(player, "cannot send", errno);
			return false;
		}
		player->sent += (size_t)sent;
		player->moved_ms = player->now_ms;
	}
	return player->sent >= end;
}

static void reset(struct verify_player *player)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(player->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	hang_up(player, VERIFY_BY_CLIENT);
}

/* Whether the step is done. */
static bool try_step(struct verify_player *player, const struct verify_step *step)
{
	switch (step->kind) {
	case VERIFY_SEND:
		return send_up_to(player, step->amount);
	case VERIFY_FILL:
		return send_up_to(player, player->talk->sent.size) ||
			player->now_ms - player->moved_ms >= step->amount;
	case VERIFY_AWAIT:
		return player->fin || player->transcript->got.size >= step->amount;
	case VERIFY_PAUSE:
		return player->now_ms - player->step_ms >= step->amount;
	case VERIFY_HOLD:
		player->holding = true;
		player->hold_ms = (unsigned)step->amount;
		return true;
	case VERIFY_MEET:
		return player->met;
	case VERIFY_FIN:
		if (shutdown(player->fd, SHUT_WR) < 0 && errno != ENOTCONN)
			broke(player, "cannot half-close", errno);
		return true;
	case VERIFY_LEAVE:
		hang_up(player, VERIFY_BY_CLIENT);
		return true;
	case VERIFY_RESET:
		reset(player);
		return true;
	case VERIFY_LINGER:
		return player->fin && player->transcript->closed > 0;
	}
	return true;
}

/* Read what is there. */
static void listen_to(struct verify_player *player)
{
	struct verify_bytes *got = &player->transcript->got;
	unsigned char buffer[READ_SIZE];

	for (unsigned i = 0; i < READS_MAX && player->fd >= 0 && !player->fin; i++) {
		ssize_t size = recv(player->fd, buffer, sizeof(buffer), 0);

		if (size < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				broke(player, "cannot receive", errno);
			return;
		}
		player->moved_ms = player->now_ms;
		player->fin = size == 0;
		gb__verify_bytes_append(got, buffer, (size_t)size);
		if (got->size > player->talk->wanted.size + EXCESS)
			gb__verify_player_give_up(player, "the server sends on and on", 0);
		if ((size_t)size < sizeof(buffer))
			return;
	}
}

static bool connected(struct verify_player *player)
{
	socklen_t size = sizeof(int);
	int error = 0;

	player->connecting = false;
	getsockopt(player->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error)
		broke(player, "cannot connect", error);
	return !error;
}

/* A reset may be lost where the client's buffers are full: the server's own word that it has closed will do. */
static bool hold_is_over(const struct verify_player *player, short events)
{
	if ((events & (POLLERR | POLLHUP)) || player->transcript->closed > 0)
		return true;
	return player->hold_ms && player->now_ms - player->moved_ms >= player->hold_ms;
}

void gb__verify_player_go_on(struct verify_player *player, short events, uint64_t now_ms)
{
	const struct verify_talk *talk = player->talk;

	player->now_ms = now_ms;
	if (player->connecting && (!events || !connected(player)))
		return;
	if (events & POLLOUT)
		player->full = false;
	if (player->holding && hold_is_over(player, events)) {
		player->holding = false;
		events |= POLLIN;
	}
	if (!player->holding && (events & (POLLIN | POLLERR | POLLHUP)))
		listen_to(player);
	while (player->fd >= 0 && player->step < talk->steps_count) {
		if (!try_step(player, &talk->steps[player->step]))
			break;
		player->step++;
		player->step_ms = player->moved_ms = player->now_ms;
	}
	if (player->fd >= 0 && player->fin && player->step == talk->steps_count)
		hang_up(player, VERIFY_BY_FIN);
}

void gb__verify_player_begin(struct verify_player *player, const struct verify_talk *talk,
	struct verify_transcript *transcript, in_addr_t own, uint16_t port)
{
	const struct sockaddr_in server = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int fd;

	*player = (struct verify_player){ .talk = talk, .transcript = transcript };
	transcript->played = true;
	player->now_ms = player->moved_ms = player->step_ms = gb__clock_ms();
	player->fd = fd = open_client(player, own);
	if (fd < 0) {
		gb__verify_player_give_up(player, "no client socket", -fd);
		return;
	}
	if (connect(fd, (const struct sockaddr *)&server, sizeof(server)) == 0) {
		gb__verify_player_go_on(player, 0, player->now_ms);
	} else if (errno == EINPROGRESS) {
		struct pollfd established = { .fd = fd, .events = POLLOUT };

		player->connecting = true;
		/* Its server is halted: the kernel does it alone, at once. */
		if (talk->late && poll(&established, 1, CONNECT_MS) == 1)
			gb__verify_player_go_on(player, POLLOUT, gb__clock_ms());
	} else {
		broke(player, "cannot connect", errno);
	}
}

short gb__verify_player_interest(const struct verify_player *player)
{
	short events = 0;

	if (player->connecting || player->full)
		events |= POLLOUT;
	if (!player->holding && !player->fin)
		events |= POLLIN;
	return events;
}

int gb__verify_player_wait_ms(const struct verify_player *player, int most)
{
	uint64_t until_ms = player->now_ms + (unsigned)most;

	if (player->step < player->talk->steps_count && !player->connecting) {
		const struct verify_step *step = &player->talk->steps[player->step];

		if (step->kind == VERIFY_PAUSE)
			until_ms = player->step_ms + step->amount;
		else if (step->kind == VERIFY_FILL)
			until_ms = player->moved_ms + step->amount;
		else if (step->kind == VERIFY_MEET && player->met)
			return 0;
	}
	if (player->holding && player->hold_ms && player->moved_ms + player->hold_ms < until_ms)
		until_ms = player->moved_ms + player->hold_ms;
	return until_ms > player->now_ms ? (int)(until_ms - player->now_ms) : 0;
}

const char *gb__verify_player_wait(const struct verify_player *player)
{
	if (player->fd < 0)
		return "for the server's close reason";
	if (player->connecting)
		return "to be connected";
	if (player->step == player->talk->steps_count)
		return "for the server's end";
	switch (player->talk->steps[player->step].kind) {
	case VERIFY_SEND:
	case VERIFY_FILL:
		return "to send";
	case VERIFY_AWAIT:
		return "for answers";
	case VERIFY_MEET:
		return "for the others";
	case VERIFY_LINGER:
		return "for the server to close";
	default:
		return "for nothing";
	}
}
