/**
 * What a simulated kernel does to the code above it: how often each fault happens, how small its
 * buffers are, and what a test has scripted for one descriptor.
 *
 * Every decision comes from one seeded sequence (splitmix64), asked for in a fixed order: the same
 * seed, profile and test give the same run. A probability of 0 draws nothing.
 */
#ifndef SIM_PROFILE_H
#define SIM_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Probabilities are in thousandths, each time the question comes up. */
struct sim_profile {
	/* sockets */
	size_t rx_max, tx_max; /* bytes a new socket holds in each direction */
	unsigned eagain;       /* accept, recv, send: -EAGAIN though it could */
	unsigned eintr;        /* accept, recv, send: -EINTR */
	unsigned recv_partial; /* fewer bytes than there are */
	unsigned send_partial; /* fewer bytes than fit */
	unsigned wire_slow;    /* a link moves nothing, or only a part, in this turn */
	unsigned connect_now;  /* connect is decided at once instead of -EINPROGRESS */
	/* accepting */
	unsigned accept_emfile, accept_enfile; /* nothing is taken from the queue */
	unsigned accept_aborted;               /* -ECONNABORTED: the connection is gone */
	unsigned accept_eproto;                /* -EPROTO: the same */
	/* waiting */
	unsigned interrupted; /* a wait returns early with nothing */
	unsigned spurious;    /* a descriptor is reported readable though it is not */
	unsigned few_events;  /* a wait returns fewer events than there are */
	bool shuffle;         /* events come in any order */
	unsigned copied; /* a stream that is closed has a copy elsewhere, which is closed some turns later */
	unsigned copied_max; /* at most so many */
	/* ring */
	unsigned held;          /* a completion is kept back for some turns */
	unsigned held_max;      /* at most so many */
	unsigned multishot_end; /* a multishot operation ends early, without MORE */
	unsigned starved;       /* -ENOBUFS though there are buffers */
	unsigned cancel_late;   /* cancel answers -EALREADY; the target may still succeed */
	unsigned stray;         /* a completion for an operation of a descriptor long closed */
	unsigned busy;          /* preparing answers -EBUSY while completions wait */
	unsigned bulk_refused;  /* there are no large buffers */
	/* files */
	unsigned file_slow;    /* ring: it is not done in this turn */
	unsigned file_partial; /* fewer bytes than asked for are read or written */
	unsigned file_eintr, file_eio, file_enospc;
};

/** No faults at all, buffers of 64 KiB, everything moves in the turn it can. */
extern const struct sim_profile sim_profile_calm;

/** Every field drawn from `*state`: some runs have many faults of a kind, some none. */
void sim_profile_draw(struct sim_profile *profile, uint64_t *state);
/** Likewise those of files, which it leaves out: the tests without any have their runs without them. */
void sim_profile_draw_files(struct sim_profile *profile, uint64_t *state);

enum sim_call { SIM_ACCEPT, SIM_RECV, SIM_SEND, SIM_CONNECT, SIM_FILE_CALL, SIM_CALLS };

/** What one call, or one completion, does. */
struct sim_outcome {
	int result;    /* 0: as it comes; > 0: at most so many bytes; < 0: this errno instead */
	unsigned held; /* ring: turns the completion is kept back */
	bool last;     /* ring: a multishot operation ends with this one */
};

#endif
