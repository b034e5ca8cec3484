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

static void close_way(struct verify_player *player, bool quietly)
{
	gb__verify_way_close(&player->way, quietly);
	player->fd = -1;
}

void gb__verify_player_drop(struct verify_player *player)
{
	if (player->fd >= 0)
		close_way(player, true);
}

static void hang_up(struct verify_player *player, enum verify_ending ending)
{
	close_way(player, player->shaking);
	if (player->transcript->ending == VERIFY_UNENDED)
		player->transcript->ending = ending;
}

void gb__verify_player_give_up(struct verify_player *player, const char *what, int error)
{
	const char *problem = error == EPROTO ? gb__verify_way_problem(&player->way) : NULL;

	if (!problem && error)
		problem = gb_strerror(error);
	snprintf(player->transcript->trouble, sizeof(player->transcript->trouble), "%s%s%s", what,
		problem ? ": " : "", problem ? problem : "");
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

/* Whether the kernel has all that was sent. */
static bool flushed(struct verify_player *player)
{
	int result = gb__verify_way_flush(&player->way);

	player->full |= result == -EAGAIN;
	if (result < 0 && result != -EAGAIN)
		broke(player, "cannot send", -result);
	return result == 0;
}

/* Whether everything up to `end` is sent. */
static bool send_up_to(struct verify_player *player, size_t end)
{
	const struct verify_talk *talk = player->talk;

	while (player->sent < end && !player->full) {
		ssize_t sent =
			gb__verify_way_send(&player->way, talk->sent.data + player->sent, end - player->sent);

		if (sent < 0) {
			player->full = sent == -EAGAIN;
			if (!player->full)
				broke(player, "cannot send", (int)-sent);
			return false;
		}
		player->sent += (size_t)sent;
		player->moved_ms = player->now_ms;
	}
	return player->sent >= end && flushed(player);
}

/* Whether our end of the stream is said. */
static bool half_close(struct verify_player *player)
{
	int result = gb__verify_way_shut(&player->way);

	player->full = result == -EAGAIN;
	if (result < 0 && !player->full)
		broke(player, "cannot half-close", -result);
	return !player->full;
}

static void reset(struct verify_player *player)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(player->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close_way(player, true);
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
		return half_close(player);
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

	for (unsigned i = 0; i < READS_MAX && player->fd >= 0 && !player->fin; i++) {
		ssize_t size = gb__verify_way_receive(&player->way, got);

		if (size < 0) {
			if (size != -EAGAIN)
				broke(player, "cannot receive", (int)-size);
			return;
		}
		player->moved_ms = player->now_ms;
		player->fin = size == 0;
		if (player->fin && player->way.cut)
			gb__verify_player_give_up(player, "a FIN without close_notify before it", 0);
		if (got->size > player->talk->wanted.size + EXCESS)
			gb__verify_player_give_up(player, "the server sends on and on", 0);
	}
}

static bool connected(struct verify_player *player)
{
	socklen_t size = sizeof(int);
	int error = 0;

	player->connecting = false;
	getsockopt(player->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error == 0) {
		error = -gb__verify_way_begin(&player->way, player->tls);
		player->shaking = !player->way.shaken;
	}
	if (error)
		broke(player, "cannot connect", error);
	return !error;
}

/* Whether the handshake is done. */
static bool shaken(struct verify_player *player, short events)
{
	if (events & (POLLIN | POLLERR | POLLHUP))
		listen_to(player);
	player->full = player->fd >= 0 && !flushed(player);
	player->shaking = player->fd >= 0 && !player->way.shaken;
	return player->fd >= 0 && !player->shaking;
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
	if (player->shaking) {
		if (!shaken(player, events))
			return;
		player->step_ms = player->moved_ms = now_ms;
		events = 0;
	}
	if ((events & POLLOUT) && player->fd >= 0)
		player->full = !flushed(player);
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
	struct verify_transcript *transcript, in_addr_t own, uint16_t port, struct gb__tls *tls)
{
	const struct sockaddr_in server = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int fd;

	*player = (struct verify_player){
		.talk = talk, .transcript = transcript, .fd = -1, .tls = tls, .way.fd = -1
	};
	transcript->played = true;
	player->now_ms = player->moved_ms = player->step_ms = gb__clock_ms();
	player->fd = player->way.fd = fd = open_client(player, own);
	if (fd < 0) {
		gb__verify_player_give_up(player, "no client socket", -fd);
		return;
	}
	if (connect(fd, (const struct sockaddr *)&server, sizeof(server)) == 0) {
		player->connecting = true;
		gb__verify_player_go_on(player, POLLOUT, player->now_ms);
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

	if (player->step < player->talk->steps_count && !player->connecting && !player->shaking) {
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
	if (player->shaking)
		return "for TLS";
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
