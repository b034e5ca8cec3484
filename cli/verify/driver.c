/*
 * A talk is a player while it is on: it works its steps off, reads whatever comes unless it holds, and is
 * over when the client has seen the end and the server has noted its reason. Each client has an address of
 * its own in 127.0.0.0/8, by which the server's notes find it.
 */
#include "verify/driver.h"

#include "verify/wrap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 65536u
#define SEGMENT 1400             /* loopback's own would be larger than the buffers */
#define FIRST_CLIENT 0x7f010001u /* 127.1.0.1 */
#define READS_MAX 4u             /* in a row: a step may be due meanwhile */
#define CONNECT_MS 1000          /* for the kernel alone to establish a connection */
#define EXCESS 65536u            /* bytes beyond those wanted, after which nobody reads on */

struct player {
	const struct verify_talk *talk; /* NULL: not begun */
	struct verify_transcript *transcript;
	int fd; /* -1 when closed */
	size_t step, sent;
	uint64_t moved_ms; /* the last progress */
	uint64_t step_ms;  /* since the step is tried */
	unsigned hold_ms;
	bool connecting; /* not established */
	bool holding;    /* reads nothing */
	bool full;       /* the kernel takes no more for now */
	bool fin;        /* the server's has come */
	bool met;        /* may go on from the meeting */
	bool nameless;   /* its server could not tell its address */
	bool over;
};

struct playing {
	struct verify_drive *drive;
	struct player *players;
	struct pollfd *polls; /* the notes, then players that are on */
	size_t *polled;       /* which player each is */
	size_t begun, active;
	uint64_t now_ms;
	bool stopping; /* the server was told to */
	bool gone;     /* all of its processes are */
	unsigned char buffer[READ_SIZE];
};

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void hang_up(struct player *player, enum verify_ending ending)
{
	if (player->fd >= 0)
		close(player->fd);
	player->fd = -1;
	if (player->transcript->ending == VERIFY_UNENDED)
		player->transcript->ending = ending;
}

static void give_up(struct player *player, const char *what, int error)
{
	snprintf(player->transcript->trouble, sizeof(player->transcript->trouble), "%s%s%s", what,
		error ? ": " : "", error ? gb_strerror(error) : "");
	hang_up(player, VERIFY_BY_CLIENT);
}

/* Of sending, receiving or connecting: a reset is an ending, anything else is in the way of the talk. */
static void broke(struct player *player, const char *what, int error)
{
	if (error == ECONNRESET || error == EPIPE)
		hang_up(player, VERIFY_BY_RESET);
	else
		give_up(player, what, error);
}

static int open_client(const struct player *player, uint32_t address)
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
static bool send_up_to(struct playing *playing, struct player *player, size_t end)
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
		player->moved_ms = playing->now_ms;
	}
	return player->sent >= end;
}

/* Whether nobody else can come to the meeting of a conversation before somebody who is there leaves it. */
static bool all_have_met(const struct playing *playing, const char *conversation)
{
	const struct verify_drive *drive = playing->drive;
	bool more = false;

	for (size_t i = 0; i < playing->begun; i++) {
		const struct player *player = &playing->players[i];

		if (player->fd < 0 || player->met || player->talk->conversation != conversation)
			continue;
		if (player->connecting || player->talk->steps[player->step].kind != VERIFY_MEET)
			return false;
	}
	for (size_t i = playing->begun; i < drive->count && !more; i++)
		more = drive->talks[i]->conversation == conversation && !drive->talks[i]->late;
	return !more || playing->active >= drive->capacity;
}

static void meet(struct playing *playing, const char *conversation)
{
	for (size_t i = 0; i < playing->begun; i++)
		if (playing->players[i].talk->conversation == conversation)
			playing->players[i].met = true;
}

static void reset(struct player *player)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(player->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	hang_up(player, VERIFY_BY_CLIENT);
}

/* Whether the step is done. */
static bool try_step(struct playing *playing, struct player *player, const struct verify_step *step)
{
	switch (step->kind) {
	case VERIFY_SEND:
		return send_up_to(playing, player, step->amount);
	case VERIFY_FILL:
		return send_up_to(playing, player, player->talk->sent.size) ||
			playing->now_ms - player->moved_ms >= step->amount;
	case VERIFY_AWAIT:
		return player->fin || player->transcript->got.size >= step->amount;
	case VERIFY_PAUSE:
		return playing->now_ms - player->step_ms >= step->amount;
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
static void listen_to(struct playing *playing, struct player *player)
{
	struct verify_bytes *got = &player->transcript->got;

	for (unsigned i = 0; i < READS_MAX && player->fd >= 0 && !player->fin; i++) {
		ssize_t size = recv(player->fd, playing->buffer, sizeof(playing->buffer), 0);

		if (size < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				broke(player, "cannot receive", errno);
			return;
		}
		player->moved_ms = playing->now_ms;
		player->fin = size == 0;
		verify_bytes_append(got, playing->buffer, (size_t)size);
		if (got->size > player->talk->wanted.size + EXCESS)
			give_up(player, "the server sends on and on", 0);
		if ((size_t)size < sizeof(playing->buffer))
			return;
	}
}

static bool connected(struct player *player)
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
static bool hold_is_over(const struct playing *playing, const struct player *player, short events)
{
	if ((events & (POLLERR | POLLHUP)) || player->transcript->closed > 0)
		return true;
	return player->hold_ms && playing->now_ms - player->moved_ms >= player->hold_ms;
}

static void go_on(struct playing *playing, struct player *player, short events)
{
	const struct verify_talk *talk = player->talk;

	if (player->connecting && (!events || !connected(player)))
		return;
	if (events & POLLOUT)
		player->full = false;
	if (player->holding && hold_is_over(playing, player, events)) {
		player->holding = false;
		events |= POLLIN;
	}
	if (!player->holding && (events & (POLLIN | POLLERR | POLLHUP)))
		listen_to(playing, player);
	while (player->fd >= 0 && player->step < talk->steps_count) {
		if (!try_step(playing, player, &talk->steps[player->step]))
			break;
		player->step++;
		player->step_ms = player->moved_ms = playing->now_ms;
	}
	if (player->fd >= 0 && player->fin && player->step == talk->steps_count)
		hang_up(player, VERIFY_BY_FIN);
}

static void begin(struct playing *playing, size_t at)
{
	struct verify_drive *drive = playing->drive;
	struct player *player = &playing->players[at];
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	player->talk = drive->talks[at];
	player->transcript = &drive->transcripts[at];
	player->transcript->played = true;
	player->moved_ms = player->step_ms = playing->now_ms;
	player->fd = fd = open_client(player, FIRST_CLIENT + drive->first + (uint32_t)at);
	if (fd < 0) {
		give_up(player, "no client socket", -fd);
		return;
	}
	server.sin_port = htons(drive->subject->ports[player->talk->address]);
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0) {
		go_on(playing, player, 0);
	} else if (errno == EINPROGRESS) {
		struct pollfd established = { .fd = fd, .events = POLLOUT };

		player->connecting = true;
		if (player->talk->late && poll(&established, 1, CONNECT_MS) == 1)
			go_on(playing, player, POLLOUT);
	} else {
		broke(player, "cannot connect", errno);
	}
}

/* What this player waits for: the poll bits, and at most how many milliseconds. */
static short interest(const struct player *player)
{
	short events = 0;

	if (player->connecting || player->full)
		events |= POLLOUT;
	if (!player->holding && !player->fin)
		events |= POLLIN;
	return events;
}

static int patience(const struct playing *playing, const struct player *player)
{
	uint64_t until_ms = UINT64_MAX;

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
	if (until_ms == UINT64_MAX)
		return 1000;
	return until_ms > playing->now_ms ? (int)(until_ms - playing->now_ms) : 0;
}

/*
 * Whose address it is. Who reset before the server accepted has none: such notes go to those who may have
 * sent them, whose talks all end alike.
 */
static struct player *player_of(struct playing *playing, const struct verify_note *note)
{
	uint32_t at = note->peer - FIRST_CLIENT - playing->drive->first;
	bool opened = note->kind == VERIFY_NOTE_OPENED;

	if (note->peer != 0)
		return at < playing->begun ? &playing->players[at] : NULL;
	for (size_t i = 0; i < playing->begun; i++) {
		struct player *player = &playing->players[i];
		const struct verify_transcript *transcript = player->transcript;

		if (player->fd >= 0 || player->step == 0 ||
			player->talk->steps[player->step - 1].kind != VERIFY_RESET)
			continue;
		if (opened ? transcript->opened == 0 : player->nameless && transcript->closed == 0) {
			player->nameless = true;
			return player;
		}
	}
	return NULL;
}

static void take_note(
	struct verify_drive *drive, struct verify_transcript *transcript, const struct verify_note *note)
{
	if (note->kind == VERIFY_NOTE_OPENED)
		drive->noted.accepted++;
	else if (note->kind == VERIFY_NOTE_CLOSED)
		drive->noted.closed[note->reason]++;
	if (!transcript) {
		drive->strays++;
		drive->stray = note->peer;
		return;
	}
	switch (note->kind) {
	case VERIFY_NOTE_OPENED:
		transcript->opened++;
		break;
	case VERIFY_NOTE_CLOSED:
		transcript->closed++;
		transcript->reasons |= 1u << note->reason;
		break;
	default:
		transcript->overlapped++;
	}
}

static bool next_note(const struct verify_drive *drive, struct verify_note *ret)
{
	ssize_t got;

	do
		got = read(drive->subject->notes, ret, sizeof(*ret));
	while (got < 0 && errno == EINTR);
	return got == sizeof(*ret);
}

static void read_notes(struct playing *playing)
{
	struct verify_note note;

	while (next_note(playing->drive, &note)) {
		struct player *player = player_of(playing, &note);

		take_note(playing->drive, player ? player->transcript : NULL, &note);
		if (player)
			player->moved_ms = playing->now_ms;
	}
}

/* Nobody holds the other end of the notes any more. In order that is after a stop, with nothing left to note. */
static void gone(struct playing *playing)
{
	playing->gone = true;
	for (size_t i = 0; i < playing->begun; i++) {
		struct player *player = &playing->players[i];

		if (player->over || player->transcript->closed > 0)
			continue;
		give_up(player, "the server is gone and gave no close reason", 0);
		playing->drive->hung = true;
	}
	if (!playing->stopping)
		playing->drive->hung = true;
}

static void check_patience(struct playing *playing, struct player *player)
{
	struct verify_drive *drive = playing->drive;
	static const char *const waits[] = { [VERIFY_SEND] = "to send",
		[VERIFY_FILL] = "to send",
		[VERIFY_AWAIT] = "for answers",
		[VERIFY_PAUSE] = "",
		[VERIFY_HOLD] = "",
		[VERIFY_MEET] = "for the others",
		[VERIFY_FIN] = "",
		[VERIFY_LEAVE] = "",
		[VERIFY_RESET] = "",
		[VERIFY_LINGER] = "for the server to close" };
	const char *what = "for the server's end";

	if (player->over || playing->now_ms - player->moved_ms < drive->patience_ms)
		return;
	if (player->fd < 0)
		what = "for the server's close reason";
	else if (player->connecting)
		what = "to be connected";
	else if (player->step < player->talk->steps_count)
		what = waits[player->talk->steps[player->step].kind];
	snprintf(player->transcript->trouble, sizeof(player->transcript->trouble),
		"hangs: waits %s with %zu bytes sent and %zu of %zu come", what, player->sent,
		player->transcript->got.size, player->talk->wanted.size);
	drive->hung = true;
}

static bool begins_now(const struct playing *playing)
{
	const struct verify_drive *drive = playing->drive;
	const struct verify_talk *talk;

	if (playing->begun == drive->count)
		return false;
	talk = drive->talks[playing->begun];
	if (talk->late)
		return playing->stopping;
	return playing->active < drive->capacity || talk->queues;
}

static void begin_all(struct playing *playing)
{
	while (begins_now(playing)) {
		struct player *player = &playing->players[playing->begun];

		if (player->over) { /* left out */
			playing->begun++;
			continue;
		}
		begin(playing, playing->begun++);
		playing->active++;
	}
}

/* Whoever is late connects and sends while the server is halted: it finds them in its backlog with the stop. */
static void try_stop(struct playing *playing)
{
	const struct verify_drive *drive = playing->drive;

	if (!drive->stop || playing->stopping)
		return;
	for (size_t i = 0; i < drive->count; i++)
		if (!drive->talks[i]->late && !playing->players[i].met && !playing->players[i].over)
			return;
	playing->stopping = true;
	verify_subject_halt(drive->subject, true);
	begin_all(playing);
	verify_subject_stop(drive->subject);
	verify_subject_halt(drive->subject, false);
}

/* Behind a stop nobody is served who has to wait: room is for some who are late, then for others. */
static void leave_out(struct playing *playing)
{
	const struct verify_drive *drive = playing->drive;
	size_t late = drive->capacity / 2 + 1, others;

	for (size_t i = 0; i < drive->count; i++)
		if (drive->talks[i]->late && (late == 0 || late-- == 0))
			playing->players[i] =
				(struct player){ .talk = drive->talks[i], .fd = -1, .over = true };
	others = drive->capacity - (drive->capacity / 2 + 1 - late);
	for (size_t i = 0; i < drive->count; i++)
		if (!drive->talks[i]->late && (others == 0 || others-- == 0))
			playing->players[i] =
				(struct player){ .talk = drive->talks[i], .fd = -1, .over = true };
}

/* What the next wait is for. Returns the milliseconds that it may take. */
static int gather(struct playing *playing, size_t *ret_count)
{
	int timeout = 1000;
	size_t count = 1;

	playing->polls[0] = (struct pollfd){ .fd = playing->gone ? -1 : playing->drive->subject->notes,
		.events = POLLIN };
	for (size_t i = 0; i < playing->begun; i++) {
		const struct player *player = &playing->players[i];
		int own;

		if (player->over || player->fd < 0)
			continue;
		own = patience(playing, player);
		if (own < timeout)
			timeout = own;
		/* Behind the server's FIN only room to send is of interest. */
		playing->polls[count] = (struct pollfd){ .fd = player->fin && !player->full ? -1 : player->fd,
			.events = interest(player) };
		playing->polled[count++] = i;
	}
	*ret_count = count;
	return timeout;
}

static void play_on(struct playing *playing, size_t count)
{
	for (size_t i = 1; i < count; i++)
		go_on(playing, &playing->players[playing->polled[i]], playing->polls[i].revents);
	for (size_t i = 0; i < playing->begun; i++) {
		struct player *player = &playing->players[i];

		if (player->over)
			continue;
		if (player->fd >= 0 && !player->met && !player->connecting &&
			player->step < player->talk->steps_count &&
			player->talk->steps[player->step].kind == VERIFY_MEET &&
			all_have_met(playing, player->talk->conversation))
			meet(playing, player->talk->conversation);
		if (player->fd < 0 && (player->transcript->closed > 0 || *player->transcript->trouble)) {
			player->over = true;
			playing->active--;
		}
		check_patience(playing, player);
	}
}

void verify_drive_run(struct verify_drive *drive)
{
	struct playing *playing = verify_grow(NULL, 1, sizeof(*playing));
	size_t room = drive->count + 1;

	*playing = (struct playing){ .drive = drive,
		.players = verify_grow(NULL, room, sizeof(struct player)),
		.polls = verify_grow(NULL, room, sizeof(struct pollfd)),
		.polled = verify_grow(NULL, room, sizeof(size_t)),
		.now_ms = clock_ms() };
	drive->transcripts = verify_grow(NULL, room, sizeof(*drive->transcripts));
	memset(playing->players, 0, room * sizeof(*playing->players));
	memset(drive->transcripts, 0, room * sizeof(*drive->transcripts));
	if (drive->stop)
		leave_out(playing);
	while (!drive->hung) {
		size_t count;
		int timeout;

		begin_all(playing);
		try_stop(playing);
		if (playing->active == 0)
			break;
		timeout = gather(playing, &count);
		if (poll(playing->polls, count, timeout) < 0)
			continue;
		playing->now_ms = clock_ms();
		read_notes(playing);
		play_on(playing, count);
		if (playing->polls[0].revents & POLLHUP)
			gone(playing);
	}
	for (size_t i = 0; i < playing->begun; i++)
		if (playing->players[i].fd >= 0)
			close(playing->players[i].fd);
	free(playing->players);
	free(playing->polls);
	free(playing->polled);
	free(playing);
}

void verify_drive_finish(struct verify_drive *drive)
{
	for (size_t i = 0; drive->transcripts && i < drive->count; i++)
		verify_bytes_finish(&drive->transcripts[i].got);
	free(drive->transcripts);
}
