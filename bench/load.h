/**
 * The load generator's inside: what the two kinds of load share.
 *
 * Every connection sends its own stretch of one endless pattern and expects the same bytes back. The
 * pattern's period is a prime, so that a message lost, doubled or swapped shows as wrong bytes, and it
 * lies in memory once, so that sending copies nothing and checking is one memcmp. A pattern of lines has
 * the end of one where a message ends, and nowhere else; its period is a number of whole messages.
 */
#ifndef LOAD_H
#define LOAD_H

#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	PATTERN_PERIOD = 65521,
	PATTERN_STRETCH = 256 * 1024, /* so many bytes may be sent or compared at once, from any place */
	STALL_SECONDS = 10,           /* without any progress for so long, a run has failed */
	HISTOGRAM_BUCKETS = 64 * 32,
	LINE_SIZE_MAX = 4096,
	SCHEDULE_MAX = 100 * 1000 * 1000,
};

struct load_options {
	struct sockaddr_in server;
	unsigned connections, idle, depth;
	uint32_t size;
	double seconds;
	uint64_t messages; /* 0: as many as go into `seconds` */
	double rate;       /* messages a second, sent when they are due; 0: when replies make room */
	bool lines;        /* each message is a line */
	bool once;         /* connect, one echo, close, again */
	bool wait;         /* for the runner, before and after what is measured */
	bool spin;         /* never sleep: then the server never pays for waking this process */
};

struct histogram {
	uint64_t count;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

struct load {
	struct load_options options;
	struct io_uring ring;
	uint64_t now, deadline; /* nanoseconds; now: of this burst of completions */
	uint64_t started, finished;
	uint64_t asked, answered, lost, errors; /* lost: asked, and will not be answered */
	uint64_t *schedule; /* of an open loop: when each message is due, nanoseconds after `started` */
	uint64_t due;       /* the first that is not sent yet */
	struct histogram latency, lateness; /* lateness: of sending, behind the schedule */
};

extern const unsigned char *const load_pattern; /* its period and PATTERN_STRETCH bytes more */
extern uint32_t load_pattern_period;

/** Where the stretch of connection `number` begins. */
static inline uint32_t pattern_start(const struct load *load, uint64_t number)
{
	return (uint32_t)(number * 7919 * (load->options.lines ? load->options.size : 1) %
		load_pattern_period);
}

static inline uint32_t pattern_advance(uint32_t at, uint32_t size)
{
	return (at + size) % load_pattern_period;
}

void histogram_add(struct histogram *histogram, uint64_t ns);
/** The duration, in microseconds, that a part (0.99) of all were below. */
double histogram_us(const struct histogram *histogram, double part);

/** Make the schedule of an open loop, and set options.messages to its length. Exits on failure. */
void schedule_create(struct load *load);

/** One more message may be sent; counts it. */
bool load_ask(struct load *load);
/** A message came back, all of it right. */
void load_answer(struct load *load, uint64_t asked_at);
/** Count an error; the first ones are reported on stderr. */
void load_error(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A submission entry, never NULL; with room for `count` in a row, so that a chain is submitted whole. */
struct io_uring_sqe *load_sqe(struct load *load, unsigned count);
/** A socket bound to a loopback address that depends on `spread`, any port. Exits on failure. */
int load_socket(unsigned spread);

/** Connect, and have every connection echo once, so that the server is known to hold it. */
void steady_prepare(struct load *load);
void steady_start(struct load *load);
/** Open loop: send what is due, however many replies are missing. Returns whether anything was. */
bool steady_send_due(struct load *load);
void steady_on_completion(struct load *load, const struct io_uring_cqe *cqe);
/** The idle connections must still be there, and still echo. */
void steady_check_idle(struct load *load);

void once_prepare(struct load *load);
void once_start(struct load *load);
void once_on_completion(struct load *load, const struct io_uring_cqe *cqe);

#endif
