/** A connection's place in the load: which requests it has sent, since when they have been due, which are answered. */
#ifndef LOAD_SESSION_H
#define LOAD_SESSION_H

#include <gearbox/conn.h>

#include <stdbool.h>
#include <stdint.h>

/** When a request was due and when it was sent; 0: answered. */
struct awaited {
	uint64_t due_ns, sent_ns;
};

struct session {
	struct gb_conn *conn; /* NULL: none */
	uint64_t begun_ns;    /* when it began to connect */
	uint64_t share;       /* requests left to it */
	uint64_t owed;        /* bytes of requests not queued yet */
	size_t at;            /* where in the traffic they lie */
	size_t turn;          /* which request comes next */
	size_t unsent;        /* which is queued next, as a packet */
	struct awaited *ring; /* a power of two of them; request n is at n & mask */
	uint64_t oldest,
		next; /* requests, from 0 on this connection: the oldest unanswered one, and the next */
	uint32_t mask;
	uint32_t
		awaited; /* requests without a reply: as many as lie between, unless replies come in any order */
	bool seen;       /* it, or one before it in this place, was established */
	bool open;       /* established */
	bool done;       /* it closes by our will */
	bool timed_out; /* by ours, since it did not answer */
	bool queued;    /* it waits for requests that become due */
	void *state;    /* the protocol's */
};

/** How many more requests may go out: `depth` unanswered ones at most, which the ring must hold. */
static inline uint32_t session_room(const struct session *session, uint32_t depth)
{
	uint64_t free = session->mask + UINT64_C(1) - (session->next - session->oldest);
	uint32_t room = depth - session->awaited;

	return room < free ? room : (uint32_t)free;
}

/** Request `next` goes out. */
static inline void session_await(struct session *session, uint64_t due_ns, uint64_t sent_ns)
{
	session->ring[session->next++ & session->mask] = (struct awaited){ due_ns, sent_ns };
	session->awaited++;
}

/** The oldest is answered. */
static inline struct awaited session_answer(struct session *session)
{
	session->awaited--;
	return session->ring[session->oldest++ & session->mask];
}

/** Any of them is: `number` is one of those since the oldest. Returns zeros when it was answered before. */
static inline struct awaited session_answer_one(struct session *session, uint64_t number)
{
	struct awaited *place = &session->ring[number & session->mask], answered = *place;

	if (answered.due_ns == 0)
		return answered;
	*place = (struct awaited){ 0, 0 };
	session->awaited--;
	while (session->oldest < session->next && session->ring[session->oldest & session->mask].due_ns == 0)
		session->oldest++;
	return answered;
}

#endif
