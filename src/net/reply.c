#include "net/reply.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "buffer/text.h"
#include "net/packet.h"
#include "net/produce.h"
#include "net/task.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define BLOCK 32u /* places that are made, or go to a net, at once */

struct gb__places_block {
	struct gb__places_block *next;
	struct gb__place places[BLOCK];
};

void gb__places_init(struct gb__places *places)
{
	*places = (struct gb__places){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

void gb__places_finish(struct gb__places *places)
{
	while (places->blocks) {
		struct gb__places_block *block = places->blocks;

		places->blocks = block->next;
		gb__free(block);
	}
	places->free = NULL;
	pthread_mutex_destroy(&places->lock);
}

static bool grow(struct gb__places *places)
{
	struct gb__places_block *block = gb__alloc_zero(sizeof(*block));

	if (!block)
		return false;
	block->next = places->blocks;
	places->blocks = block;
	for (unsigned i = 0; i < BLOCK; i++) {
		block->places[i].next = places->free;
		places->free = &block->places[i];
	}
	return true;
}

/* Up to `count` free ones. Thread: any. */
static struct gb__place *fetch(struct gb__places *places, unsigned count)
{
	struct gb__place *first = NULL;

	pthread_mutex_lock(&places->lock);
	while (count-- > 0 && (places->free || grow(places))) {
		struct gb__place *place = places->free;

		places->free = place->next;
		place->next = first;
		first = place;
	}
	pthread_mutex_unlock(&places->lock);
	return first;
}

static void give_back(struct gb__places *places, struct gb__place *place)
{
	pthread_mutex_lock(&places->lock);
	place->next = places->free;
	places->free = place;
	pthread_mutex_unlock(&places->lock);
}

static struct gb__place *take(struct gb__net *net)
{
	struct gb__place *place = net->places_free;

	if (gb__unlikely(!place)) {
		place = net->places ? fetch(net->places, BLOCK) : NULL;
		if (!place)
			return NULL;
	}
	net->places_free = place->next;
	return place;
}

static bool is_claimed(uint64_t serial)
{
	return serial & 1;
}

/* Nobody else finishes it from here on. Thread: any. */
static bool claim(struct gb_reply reply)
{
	uint64_t serial = reply.serial;

	return reply.place && !is_claimed(serial) &&
		atomic_compare_exchange_strong(&reply.place->serial, &serial, serial + 1);
}

/* It is claimed, by who calls, and nowhere in order: replies that name it are stale. */
static void set_free(struct gb__net *net, struct gb__place *place)
{
	gb__output_clear(&place->output, &net->engine->pool);
	gb__output_clear(&place->behind, &net->engine->pool);
	place->conn = NULL;
	atomic_fetch_add(&place->serial, 1);
	place->next = net->places_free;
	net->places_free = place;
}

void gb__replies_finish(struct gb__net *net)
{
	while (net->places_free) {
		struct gb__place *place = net->places_free;

		net->places_free = place->next;
		give_back(net->places, place);
	}
}

bool gb__replies_many(const struct gb_conn *conn)
{
	const struct gb__terms *terms = conn->terms;

	return (conn->flags & GB__CONN_REPLIES) && terms->replies.open > terms->limits->replies_max / 2;
}

static void append(struct gb__replies *replies, struct gb__place *place)
{
	place->next = NULL;
	if (replies->last)
		replies->last->next = place;
	else
		replies->first = place;
	replies->last = place;
	replies->open++;
}

int gb_conn_defer(struct gb_conn *conn, struct gb_reply *ret)
{
	struct gb__net *net = conn->net;
	const bool is_task = gb__conn_is_task(conn);
	struct gb__replies *replies;
	struct gb__place *place;

	if (gb__conn_ended(conn))
		return -EPIPE;
	if (is_task && gb__task_of(conn)->cancelled_there)
		return -EOPNOTSUPP;
	if (is_task) {
		replies = &gb__task_of(conn)->replies;
		if (replies->open >= gb__task_of(conn)->replies_max)
			return -GB_ELIMIT;
		place = net->places ? fetch(net->places, 1) : NULL;
	} else {
		struct gb__terms *terms;
		int result;

		gb__conn_mine(conn);
		if (conn->terms->peer)
			return -EBUSY;
		if (conn->terms->replies.open >= conn->terms->limits->replies_max)
			return -GB_ELIMIT;
		result = gb__conn_spill(conn);
		if (result < 0)
			return result;
		terms = gb__terms_own(conn);
		replies = terms ? &terms->replies : NULL;
		place = terms ? take(net) : NULL;
	}
	if (!place)
		return -ENOMEM;
	place->net = net;
	place->loop = net->loop;
	place->places = net->places;
	place->conn = is_task ? gb__task_of(conn)->conn : conn;
	place->reason = -1;
	place->finished = place->streams = false;
	place->placed = !is_task;
	append(replies, place);
	conn->flags |= GB__CONN_REPLIES;
	if (!is_task) {
		if (replies->open == 1)
			gb__conn_hold(conn, 1);
		if (replies->open >= conn->terms->limits->replies_max)
			conn->flags |= GB__CONN_HIGH;
	}
	*ret = (struct gb_reply){ place, atomic_load_explicit(&place->serial, memory_order_relaxed) };
	return 0;
}

/* Bytes of a place have their turn. */
static void move(struct gb_conn *conn, struct gb__output *from)
{
	if (gb__output_empty(from))
		return;
	conn->terms->replies.waiting -= from->bytes;
	gb__output_splice(gb__conn_sink(conn), from);
}

/* Out of the order. It is claimed. */
static void leave(struct gb_conn *conn, struct gb__place *place, struct gb__place *before)
{
	struct gb__replies *replies = &conn->terms->replies;

	if (before)
		before->next = place->next;
	else
		replies->first = place->next;
	if (!place->next)
		replies->last = before;
	replies->open--;
	set_free(conn->net, place);
	if (gb__unlikely(conn->terms->producers))
		gb__producers_cut(conn); /* one whose reply somebody else has finished */
}

/* The order is empty: what is sent leaves at once. */
static void all_finished(struct gb_conn *conn)
{
	conn->flags &= (uint16_t)~GB__CONN_REPLIES;
	gb__conn_hold(conn, -1);
}

static void fail(struct gb_conn *conn, struct gb__place *place)
{
	const int reason = place->reason;
	const bool cut = place->streams, closing = gb__conn_closing(conn);

	gb__replies_cancel(conn);
	if (cut) {
		conn->flags |= GB__CONN_RESET;
		gb__conn_end(conn, reason, 0);
	} else if (closing) {
		conn->reason = (uint8_t)reason; /* what is before it leaves; the turn half-closes */
	} else {
		gb__conn_hold(conn, -1);
		gb__conn_close(conn, reason);
	}
}

/* Whoever comes first and is finished leaves; the next one's bytes need no longer wait. */
static void advance(struct gb_conn *conn)
{
	struct gb__replies *replies = &conn->terms->replies;
	struct gb__place *place;

	while ((place = replies->first)) {
		if (place->finished && place->reason >= 0) {
			fail(conn, place);
			return;
		}
		place->streams |= !gb__output_empty(&place->output);
		move(conn, &place->output);
		if (!place->finished)
			return;
		move(conn, &place->behind);
		leave(conn, place, NULL);
	}
	all_finished(conn);
}

/* It is finished, and need not wait for those before it. */
static void leave_loose(struct gb_conn *conn, struct gb__place *place)
{
	struct gb__replies *replies = &conn->terms->replies;
	struct gb__place *before = NULL;

	if (place->reason >= 0) {
		fail(conn, place);
		return;
	}
	if (replies->first != place)
		for (before = replies->first; before->next != place;)
			before = before->next;
	move(conn, &place->output);
	leave(conn, place, before);
	if (!replies->first)
		all_finished(conn);
}

/* Of those that need not wait. */
static void leave_finished(struct gb_conn *conn)
{
	struct gb__place *place = conn->terms->replies.first, *next;

	for (; place && (conn->flags & GB__CONN_REPLIES); place = next) {
		next = place->next;
		if (place->finished)
			leave_loose(conn, place);
	}
}

/* It is claimed, and its connection there. */
static void finished(struct gb__place *place)
{
	struct gb_conn *conn = place->conn;

	place->finished = true;
	if (!place->placed || conn->state >= GB__CONN_ENDED)
		return;
	if (conn->terms->replies.loose)
		leave_loose(conn, place);
	else if (conn->terms->replies.first == place)
		advance(conn);
	else
		return;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
}

/* To one of the outputs that its bytes go by: as a packet, where there are packets. */
static int put(struct gb_conn *conn, struct gb__output *output, const void *data, size_t size)
{
	struct gb__pool *pool = &conn->net->engine->pool;

	if (gb__unlikely(gb__conn_has_packets(conn)))
		return gb__output_append_packet(output, pool, data, size, NULL);
	return gb__output_append(output, pool, data, size);
}

/* Bytes of a reply, on its loop's thread. */
static int add(struct gb__place *place, const void *data, size_t size)
{
	struct gb_conn *conn = place->conn;
	struct gb__replies *replies = &conn->terms->replies;
	size_t queued = size;
	int result;

	if (gb__unlikely(gb__conn_has_packets(conn))) {
		result = gb__packet_check(size);
		if (result < 0)
			return result;
		queued += GB__PACKET_HEADER;
	}
	if (!place->placed)
		return put(conn, &place->output, data, size);
	if (replies->first == place && !replies->loose) {
		place->streams = true;
		return gb__conn_queued(conn, put(conn, gb__conn_sink(conn), data, size), queued);
	}
	result = put(conn, &place->output, data, size);
	if (result == 0)
		replies->waiting += queued;
	return gb__conn_queued(conn, result, queued);
}

/* What another thread says of a reply. */
struct word {
	struct gb__post post;
	struct gb_reply reply;
	bool finishes;
	size_t size;
	unsigned char data[];
};

/* A claimed place whose loop has ended, or whose connection has. */
static void bury(struct gb__place *place)
{
	place->conn = NULL;
	atomic_fetch_add(&place->serial, 1);
	give_back(place->places, place);
}

static bool is_there(const struct gb__place *place)
{
	return place->conn && place->conn->state < GB__CONN_ENDED;
}

static void finish_claimed(struct gb__place *place, bool alive)
{
	if (!alive)
		bury(place);
	else if (place->conn)
		finished(place);
	else
		set_free(place->net, place);
}

/* Nobody is there any more to be told that it is no packet: an answer that is missing must not go unnoticed. */
static void arrived(struct gb__place *place, int result)
{
	if (result == -EMSGSIZE)
		gb__conn_end(place->conn, GB_CLOSE_MESSAGE_TOO_LARGE, EMSGSIZE);
}

static void word_arrives(struct gb__post *post, bool alive)
{
	struct word *word = gb__container_of(post, struct word, post);
	struct gb__place *place = word->reply.place;
	const uint64_t serial = atomic_load(&place->serial);

	if (alive && (serial == word->reply.serial || serial == word->reply.serial + 1) && is_there(place))
		arrived(place, add(place, word->data, word->size));
	/* That may have ended the connection, which its turn sees to. */
	if (word->finishes)
		finish_claimed(place, alive);
	gb__free(word);
}

static void finish_arrives(struct gb__post *post, bool alive)
{
	finish_claimed(gb__container_of(post, struct gb__place, done), alive);
}

static struct word *say(struct gb_reply reply, const void *data, size_t size)
{
	struct word *word = gb__alloc(sizeof(*word) + size);

	if (!word)
		return NULL;
	*word = (struct word){ { .run = word_arrives }, .reply = reply, .size = size };
	if (size > 0)
		memcpy(word->data, data, size);
	return word;
}

bool gb_reply_open(struct gb_reply reply)
{
	return reply.place && !is_claimed(reply.serial) && atomic_load(&reply.place->serial) == reply.serial;
}

static bool is_here(struct gb_reply reply)
{
	return gb__loop_here(reply.place->loop);
}

int gb_reply_send(struct gb_reply reply, const void *data, size_t size)
{
	struct word *word;

	if (!gb_reply_open(reply))
		return -ESTALE;
	if (is_here(reply))
		return is_there(reply.place) ? add(reply.place, data, size) : -ESTALE;
	word = say(reply, data, size);
	if (!word)
		return -ENOMEM;
	if (gb__loop_post(reply.place->loop, &word->post) == 0)
		return 0;
	gb__free(word);
	return -ESTALE;
}

static int finish_here(struct gb_reply reply, const void *data, size_t size, int reason)
{
	struct gb__place *place = reply.place;
	int result = is_there(place) ? 0 : -ESTALE;

	if (result == 0 && size > 0)
		result = add(place, data, size);
	if (result < 0)
		return result;
	if (!claim(reply))
		return -ESTALE;
	place->reason = reason;
	finished(place);
	return 0;
}

static int finish(struct gb_reply reply, const void *data, size_t size, int reason)
{
	struct gb__place *place = reply.place;
	struct word *word = NULL;

	if (!gb_reply_open(reply))
		return -ESTALE;
	if (is_here(reply))
		return finish_here(reply, data, size, reason);
	if (size > 0) {
		word = say(reply, data, size);
		if (!word)
			return -ENOMEM;
		word->finishes = true;
	}
	if (claim(reply)) {
		place->reason = reason;
		place->done.run = finish_arrives;
		if (gb__loop_post(place->loop, word ? &word->post : &place->done) == 0)
			return 0;
		bury(place);
	}
	gb__free(word);
	return -ESTALE;
}

int gb_reply_finish(struct gb_reply reply, const void *data, size_t size)
{
	return finish(reply, data, size, -1);
}

int gb_reply_fail(struct gb_reply reply, int reason)
{
	gb__assert(reason >= 0 && reason < GB_CLOSE_REASON_COUNT);
	return finish(reply, NULL, 0, reason);
}

int gb_reply_printf(struct gb_reply reply, const char *format, ...)
{
	struct gb__pool pool = { 0 }; /* of this call: it may come from any thread */
	struct gb__text text;
	va_list arguments;
	int result;

	if (!gb_reply_open(reply))
		return -ESTALE;
	va_start(arguments, format);
	result = gb__text_format(&text, &pool, format, arguments);
	va_end(arguments);
	if (result == 0) {
		result = gb_reply_send(reply, text.data, text.size);
		gb__text_give(&text, &pool);
	}
	gb__pool_finish(&pool);
	return result;
}

/* A claimed place is freed by who has claimed it, whose word is on its way. */
void gb__replies_drop(struct gb_conn *conn, struct gb__replies *replies)
{
	struct gb__net *net = conn->net;
	struct gb__place *place = replies->first, *next;

	for (; place; place = next) {
		struct gb_reply reply = { place, atomic_load(&place->serial) & ~(uint64_t)1 };

		next = place->next;
		if (place->finished || claim(reply)) {
			set_free(net, place);
			continue;
		}
		gb__output_clear(&place->output, &net->engine->pool);
		gb__output_clear(&place->behind, &net->engine->pool);
		place->conn = NULL;
	}
	*replies = (struct gb__replies){ .loose = replies->loose };
	gb__producers_cut(conn);
}

void gb__replies_cancel(struct gb_conn *conn)
{
	conn->flags &= (uint16_t)~GB__CONN_REPLIES;
	conn->net->tally.bytes_out -= conn->terms->replies.waiting; /* modulo 2^64, as sums are */
	gb__replies_drop(conn, &conn->terms->replies);
	gb__sendings_cut(conn);
}

void gb__replies_place(struct gb_conn *conn, struct gb__replies *from)
{
	struct gb__place *place = from->first, *next;
	struct gb__replies *replies;
	struct gb__terms *terms;

	if (!place)
		return;
	terms = gb__terms_own(conn);
	if (!terms) {
		gb__replies_drop(conn, from);
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return;
	}
	replies = &terms->replies;
	if (!(conn->flags & GB__CONN_REPLIES)) {
		conn->flags |= GB__CONN_REPLIES;
		gb__conn_hold(conn, 1);
	}
	for (; place; place = next) {
		const size_t size = place->output.bytes + place->behind.bytes;

		next = place->next;
		append(replies, place);
		place->placed = true;
		replies->waiting += size;
		conn->net->tally.bytes_out += size;
	}
	*from = (struct gb__replies){ 0 };
	if (replies->open >= terms->limits->replies_max)
		conn->flags |= GB__CONN_HIGH;
	if (replies->loose)
		leave_finished(conn);
	else
		advance(conn);
	gb__conn_queued(conn, 0, 0);
}
