/** One client that plays a talk over a non-blocking socket, a step at a time. Nobody waits in here. */
#ifndef CLI_VERIFY_PLAYER_H
#define CLI_VERIFY_PLAYER_H

#include "verify/secure.h"
#include "verify/talk.h"

#include <netinet/in.h>

/** What came of a talk. */
struct verify_transcript {
	struct verify_bytes got;
	enum verify_ending ending;
	uint32_t reasons;                    /* that the server gave: bits by enum gb_close_reason */
	unsigned opened, closed, overlapped; /* notes */
	bool played;
	char trouble[128]; /* why it could not be played to its end; else "" */
};

struct verify_player {
	const struct verify_talk *talk; /* NULL: not begun */
	struct verify_transcript *transcript;
	int fd;            /* -1 when closed */
	size_t step, sent; /* of the talk, done so far */
	uint64_t now_ms;   /* as of the last call */
	uint64_t moved_ms; /* the last progress */
	uint64_t step_ms;  /* since the step is tried */
	unsigned hold_ms;
	struct gb__tls *tls; /* to be spoken; NULL: none */
	struct verify_way way;
	bool connecting; /* not established */
	bool shaking;    /* TLS is not */
	bool holding;    /* reads nothing */
	bool full;       /* the kernel takes no more for now */
	bool fin;        /* the server's has come */
	bool met;        /* may go on from the meeting */
	bool nameless;   /* its server could not tell its address */
	bool over;       /* both sides have ended */
};

/** `tls`: to be spoken, or NULL. Connect from `own` to the port on 127.0.0.1 and go on as far as that is possible. */
void gb__verify_player_begin(struct verify_player *player, const struct verify_talk *talk,
	struct verify_transcript *transcript, in_addr_t own, uint16_t port, struct gb__tls *tls);
/** It is over, whatever it was at. */
void gb__verify_player_drop(struct verify_player *player);
/** Go on: `events` are those of poll(2). */
void gb__verify_player_go_on(struct verify_player *player, short events, uint64_t now_ms);
/** The talk cannot go on. `error`: an errno, or 0. */
void gb__verify_player_give_up(struct verify_player *player, const char *what, int error);

/** The events it waits for. */
short gb__verify_player_interest(const struct verify_player *player);
/** How many milliseconds it may wait for them; `most` when no step is bound to the time. */
int gb__verify_player_wait_ms(const struct verify_player *player, int most);
/** "to send" and the like: what it waits for. */
const char *gb__verify_player_wait(const struct verify_player *player);

#endif
