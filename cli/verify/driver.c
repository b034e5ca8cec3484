/*
 * A talk is a player while it is on: it works its steps off, reads whatever comes unless it holds, and is
 * over when the client has seen the end and the server has noted its reason. Each client has an address of
 * its own in 127.0.0.0/8, by which the server's notes find it.
 */
#include "verify/driver.h"

#include "clock.h"
#include "verify/wrap.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 1000             /* at most, before patience is looked at */
#define FIRST_CLIENT 0x7f010001u /* 127.1.0.1 */

struct playing {
	struct verify_drive *drive;
	struct verify_player *players;
	struct pollfd *polls; /* the notes, then players that are on */
	size_t *polled;       /* which player each is */
	size_t begun, active;
	uint64_t now_ms;
	bool stopping; /* the server was told to */
	bool gone;     /* all of its processes are */
};

/* Whether nobody else can come to the meeting of a conversation before somebody who is there leaves it. */
static bool all_have_met(const struct playing *playing, const char *conversation)
{
	const struct verify_drive *drive = playing->drive;
	bool more = false;

	for (size_t i = 0; i < playing->begun; i++) {
		const struct verify_player *player = &playing->players[i];

		if (player->fd < 0 || player->met || player->talk->conversation != conversation)
			continue;
		if (player->shaking && player->talk->queues)
			continue; /* the server has no room for it yet */
		if (player->connecting || player->shaking ||
			player->talk->steps[player->step].kind != VERIFY_MEET)
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

/*
 * Whose address it is. Who reset before the server accepted has none: such notes go to those who may have
 * sent them, whose talks all end alike.
 */
static struct verify_player *player_of(struct playing *playing, const struct verify_note *note)
{
	uint32_t at = note->peer - FIRST_CLIENT - playing->drive->first;
	bool opened = note->kind == VERIFY_NOTE_OPENED;

	if (note->peer != 0)
		return at < playing->begun ? &playing->players[at] : NULL;
	for (size_t i = 0; i < playing->begun; i++) {
		struct verify_player *player = &playing->players[i];
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
		struct verify_player *player = player_of(playing, &note);

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
		struct verify_player *player = &playing->players[i];

		if (player->over || player->transcript->closed > 0)
			continue;
		gb__verify_player_give_up(player, "the server is gone and gave no close reason", 0);
		playing->drive->hung = true;
	}
	if (!playing->stopping)
		playing->drive->hung = true;
}

static void check_patience(struct playing *playing, struct verify_player *player)
{
	struct verify_drive *drive = playing->drive;

	if (player->over || playing->now_ms - player->moved_ms < drive->patience_ms)
		return;
	snprintf(player->transcript->trouble, sizeof(player->transcript->trouble),
		"hangs: waits %s with %zu bytes sent and %zu of %zu come", gb__verify_player_wait(player),
		player->sent, player->transcript->got.size, player->talk->wanted.size);
	drive->hung = true;
}

static void begin(struct playing *playing, size_t at)
{
	const struct verify_drive *drive = playing->drive;
	const struct verify_talk *talk = drive->talks[at];

	gb__verify_player_begin(&playing->players[at], talk, &drive->transcripts[at],
		FIRST_CLIENT + drive->first + (uint32_t)at, drive->subject->ports[talk->address], drive->tls);
	playing->active++;
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
		struct verify_player *player = &playing->players[playing->begun];

		if (player->over) { /* left out */
			playing->begun++;
			continue;
		}
		begin(playing, playing->begun++);
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
	gb__verify_subject_halt(drive->subject, true);
	begin_all(playing);
	gb__verify_subject_stop(drive->subject);
	gb__verify_subject_halt(drive->subject, false);
}

/* Behind a stop nobody is served who has to wait: room is for some who are late, then for others. */
static void leave_out(struct playing *playing)
{
	const struct verify_drive *drive = playing->drive;
	size_t late = drive->capacity / 2 + 1, others;

	for (size_t i = 0; i < drive->count; i++)
		if (drive->talks[i]->late && (late == 0 || late-- == 0))
			playing->players[i] =
				(struct verify_player){ .talk = drive->talks[i], .fd = -1, .over = true };
	others = drive->capacity - (drive->capacity / 2 + 1 - late);
	for (size_t i = 0; i < drive->count; i++)
		if (!drive->talks[i]->late && (others == 0 || others-- == 0))
			playing->players[i] =
				(struct verify_player){ .talk = drive->talks[i], .fd = -1, .over = true };
}

/* What the next wait is for. Returns the milliseconds that it may take. */
static int gather(struct playing *playing, size_t *ret_count)
{
	int timeout = WAIT_MS;
	size_t count = 1;

	playing->polls[0] = (struct pollfd){ .fd = playing->gone ? -1 : playing->drive->subject->notes,
		.events = POLLIN };
	for (size_t i = 0; i < playing->begun; i++) {
		const struct verify_player *player = &playing->players[i];
		int own;

		if (player->over || player->fd < 0)
			continue;
		own = gb__verify_player_wait_ms(player, timeout);
		if (own < timeout)
			timeout = own;
		/* Behind the server's FIN only room to send is of interest. */
		playing->polls[count] = (struct pollfd){ .fd = player->fin && !player->full ? -1 : player->fd,
			.events = gb__verify_player_interest(player) };
		playing->polled[count++] = i;
	}
	*ret_count = count;
	return timeout;
}

static void play_on(struct playing *playing, size_t count)
{
	for (size_t i = 1; i < count; i++)
		gb__verify_player_go_on(
			&playing->players[playing->polled[i]], playing->polls[i].revents, playing->now_ms);
	for (size_t i = 0; i < playing->begun; i++) {
		struct verify_player *player = &playing->players[i];

		if (player->over)
			continue;
		if (player->fd >= 0 && !player->met && !player->connecting && !player->shaking &&
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

void gb__verify_drive_run(struct verify_drive *drive)
{
	struct playing *playing = gb__verify_grow(NULL, 1, sizeof(*playing));
	size_t room = drive->count + 1;

	*playing = (struct playing){ .drive = drive,
		.players = gb__verify_grow(NULL, room, sizeof(struct verify_player)),
		.polls = gb__verify_grow(NULL, room, sizeof(struct pollfd)),
		.polled = gb__verify_grow(NULL, room, sizeof(size_t)),
		.now_ms = gb__clock_ms() };
	drive->transcripts = gb__verify_grow(NULL, room, sizeof(*drive->transcripts));
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
		playing->now_ms = gb__clock_ms();
		read_notes(playing);
		play_on(playing, count);
		if (playing->polls[0].revents & POLLHUP)
			gone(playing);
	}
	for (size_t i = 0; i < playing->begun; i++)
		gb__verify_player_drop(&playing->players[i]);
	free(playing->players);
	free(playing->polls);
	free(playing->polled);
	free(playing);
}

void gb__verify_drive_finish(struct verify_drive *drive)
{
	for (size_t i = 0; drive->transcripts && i < drive->count; i++)
		gb__verify_bytes_finish(&drive->transcripts[i].got);
	free(drive->transcripts);
}
