/** What a generator has counted. */
#ifndef LOAD_TOTALS_H
#define LOAD_TOTALS_H

#include "load/histogram.h"

#include <stdbool.h>

#define TOTALS_TEXT_MAX 256

/** What connections have agreed on: of all that were established, whenever that was. */
struct handshakes {
	char version[16], cipher[64],
		alpn[64]; /* of the first connection; "": there was none, or it has none */
	/** From the begin of connecting to the end of the handshake. */
	struct histogram full_ns, resumed_ns;
};

/** Of requests that were due in the measured time, but for connections and errors. */
struct totals {
	uint64_t opened;      /* connections that were established */
	uint64_t sent;        /* requests */
	uint64_t messages;    /* right replies */
	uint64_t bytes;       /* of them */
	uint64_t bytes_heard; /* right or wrong, at any time */
	uint64_t begin_ns;    /* the measured time: from when the first request could be due … */
	uint64_t end_ns;      /* … to the last reply */

	struct histogram response_ns; /* from when a request was due to its reply */
	struct histogram
		service_ns; /* from when it was sent; empty in a closed loop, where that is the same */
	struct histogram
		late_ns; /* of an open loop: from when it was due to when it was sent, with a connection free */
	struct handshakes handshakes; /* of TLS */
	uint64_t cpu_ns;              /* CPU time of the generators' threads in the measured time */
	uint64_t lasted_ns;           /* while that was taken */
	uint64_t busiest_ns;          /* of the thread that took most */

	/* errors */
	uint64_t connect_failed; /* connections that were not established */
	uint64_t closed_early;   /* that ended although replies or requests were left */
	uint64_t wrong_replies;  /* that were dropped for a wrong byte */
	uint64_t unsent;         /* requests that were due and never sent; of the timeouts */
	uint64_t
		timeouts; /* requests that were given up, which the histograms have with what they had waited */
	char connect_text[TOTALS_TEXT_MAX], closed_text[TOTALS_TEXT_MAX],
		wrong_text[TOTALS_TEXT_MAX]; /* what the first of each kind was */

	bool stalled;        /* ended because nothing moved any more */
	uint64_t stalled_ms; /* for so long */
	bool interrupted;    /* ended by a signal */
};

void gb__totals_init(struct totals *totals);
/** Add another generator's. */
void gb__totals_merge(struct totals *totals, const struct totals *other);
/** Keep `what` in one of the texts, if it is the first. */
void gb__totals_note(char *text, const char *what);
/** Requests that were not answered rightly. */
uint64_t gb__totals_unanswered(const struct totals *totals);
/** Whether every request was answered rightly on connections that held. */
bool gb__totals_right(const struct totals *totals);
/** The measured time. */
double gb__totals_seconds(const struct totals *totals);

#endif
