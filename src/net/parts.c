#include "net/parts.h"

#include "base/macros.h"
#include "net/route.h"
#include "net/sequential.h"
#include "net/task.h"

bool gb__service_takes_parts(const struct gb_service *service)
{
	if (!service->routes)
		return service->on_part;
	for (const struct gb_route *row = service->routes->table; row->name; row++)
		if (row->on_part)
			return true;
	return false;
}

const char *gb__parts_objection(const struct gb_service *service)
{
	if (!service->codec)
		return ".on_part is set and .codec is not: without one bytes come as they are, and have no end";
	if (!service->codec->decode_part)
		return ".on_part is set, and the codec has no .decode_part";
	return NULL;
}

struct gb__parts *gb__parts_of(struct gb_conn *conn)
{
	if (conn->terms->sequential)
		return conn->net->sequential->parts(conn);
	return gb__conn_codec_state(conn);
}

void gb__parts_forget(struct gb_conn *conn, struct gb__parts *parts)
{
	parts->progress = (struct gb_progress){ 0 };
	conn->further &= (uint8_t)~GB__CONN_FURTHER_PARTS;
}

/* The part that the codec has found is taken. */
static void take(struct gb_conn *conn, struct gb__parts *parts, const struct gb_progress *progress,
	struct gb_frame *frame)
{
	struct gb__net *net = conn->net;

	net->message.part = (struct gb_part){ .offset = progress->passed,
		.total = progress->total,
		.first = !progress->begun,
		.last = progress->last };
	if (progress->begun)
		frame->key = parts->key;
	if (progress->last) {
		gb__parts_forget(conn, parts);
		return;
	}
	parts->key = frame->key;
	parts->progress = *progress;
	parts->progress.begun = true;
	parts->progress.passed += frame->size;
	parts->since_ms = gb__net_now(net);
	conn->further = (uint8_t)((conn->further | GB__CONN_FURTHER_PARTS) & ~GB__CONN_FURTHER_LATE);
	gb__conn_deadline_within(conn, conn->terms->limits->read_timeout_ms);
	net->tally.messages--; /* who hands it over counts one: a message is one with its last part */
}

static int decode_part(struct gb_conn *conn, struct gb__parts *parts, void *state, struct gb_bytes input,
	size_t max_part, struct gb_frame *ret)
{
	const struct gb_service *service = conn->terms->service;
	const uint64_t body_max = conn->terms->limits->body_bytes_max;
	struct gb_progress progress = parts->progress;
	int found =
		service->codec->decode_part(service->codec_options, state, input, max_part, &progress, ret);

	if (found < 0)
		return found;
	/* As soon as it is known, before its bytes are there. */
	if (body_max > 0 &&
		((progress.total > body_max && progress.total != GB_TOTAL_UNKNOWN) ||
			(found > 0 && progress.passed + ret->size > body_max))) {
		ret->problem = "it is larger than max-body";
		return -GB_ETOOLARGE;
	}
	if (found > 0 && !progress.begun && !progress.last && ret->size < gb__min(max_part, GB_PART_HEAD))
		return 0;
	if (found > 0)
		take(conn, parts, &progress, ret);
	return found;
}

int gb__parts_decode(struct gb_conn *conn, struct gb__parts *parts, bool whole, void *state,
	struct gb_bytes input, size_t max_message, uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_service *service = conn->terms->service;

	if (whole && !parts->progress.begun) {
		int found = service->codec->decode(
			service->codec_options, state, input, max_message, scanned, ret);

		if (found > 0)
			conn->net->message.part =
				(struct gb_part){ .total = ret->size, .first = true, .last = true };
		if (found != -GB_ETOOLARGE || !service->codec->decode_part)
			return found;
		*scanned = 0;
	}
	return decode_part(conn, parts, state, input, max_message, ret);
}

static int decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	struct gb_conn *conn = (struct gb_conn *)state - 1;
	const struct gb_service *service = conn->terms->service;
	struct gb__parts *parts = state;

	(void)options;
	return gb__parts_decode(conn, parts, service->on_message || service->routes, parts + 1, input,
		max_message, scanned, ret);
}

static const struct gb_codec_ops codec = { .name = "parts", .decode = decode };

/* To whichever of the two handlers it is for. */
static void hand(struct gb_conn *conn, const struct gb_part *part,
	void (*on_message)(struct gb_conn *conn, struct gb_bytes message),
	void (*on_part)(struct gb_conn *conn, const struct gb_part *part))
{
	if (part->first && part->last && on_message)
		on_message(conn, part->bytes);
	else
		on_part(conn, part);
}

/* On a pool's thread, or wherever else the task runs. */
static void in_task(struct gb_conn *facade, struct gb_bytes bytes)
{
	const struct gb_service *service = facade->terms->service;
	struct gb__task *task = gb__task_of(facade);
	const struct gb_route *route = task->route;
	struct gb_part part = task->part;

	part.bytes = bytes;
	task->part_told = true;
	if (route)
		hand(facade, &part, route->on_message, route->on_part);
	else
		hand(facade, &part, service->on_message, service->on_part);
}

static void refuse(struct gb_conn *conn)
{
	gb__parts_forget(conn, gb__conn_codec_state(conn));
	gb__conn_refuse_input(
		conn, -GB_ETOOLARGE, "its route takes no message that is larger than max-message");
}

/* By the route of its first part. A whole message is for on_message, if the route has one. */
static void to_route(struct gb_conn *conn, const struct gb_part *part)
{
	struct gb__parts *parts = gb__conn_codec_state(conn);
	struct gb__terms *terms = conn->terms;
	const bool whole = part->first && part->last;
	const struct gb_route *row;

	if (part->first) {
		parts->route = gb__route_find(terms, conn, &conn->net->message.frame, part->bytes);
		gb__count(terms->route_counts[parts->route->index], 1);
	}
	terms->route = parts->route;
	row = terms->route->row;
	if (!row || (whole && row->on_message)) {
		if (!row)
			gb__parts_forget(conn, parts);
		terms->route->on_message(conn, part->bytes);
	} else if (!row->on_part) {
		refuse(conn);
	} else if (terms->route->pooled && conn->net->submit && terms->apart >= 0) {
		gb__task_submit_routed(conn, part->bytes, row);
	} else {
		parts->told = !part->last;
		row->on_part(conn, part);
	}
}

static void on_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	const struct gb_service *service = conn->terms->service;
	struct gb_part part;

	if (gb__conn_is_task(conn)) {
		in_task(conn, bytes);
		return;
	}
	part = conn->net->message.part;
	part.bytes = bytes;
	if (conn->terms->router) {
		to_route(conn, &part);
		return;
	}
	((struct gb__parts *)gb__conn_codec_state(conn))->told = !part.last;
	hand(conn, &part, service->on_message, service->on_part);
}

void gb__parts_task_back(struct gb_conn *conn, const struct gb__task *task)
{
	/* A whole message is none of the one in parts: it may come back while a part is in the pool. */
	if (task->part.first && task->part.last)
		return;
	conn->terms->part_away = false;
	if (task->part_told)
		((struct gb__parts *)gb__conn_codec_state(conn))->told = !task->part.last;
}

void gb__parts_cut(struct gb_conn *conn, int reason)
{
	struct gb__parts *parts = gb__conn_codec_state(conn);

	if (!conn->terms->parts || conn->terms->relayed || !parts->told)
		return;
	parts->told = false;
	if (conn->terms->service->on_cut)
		conn->terms->service->on_cut(conn, reason);
}

void gb__parts_on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	const unsigned elsewhere = conn->further & GB__CONN_FURTHER_ELSEWHERE;

	gb__conn_on_coded_input(stream, data, size);
	/* That a part is not answered says nothing of where its message's answer comes from. */
	if ((conn->further & GB__CONN_FURTHER_PARTS) && !elsewhere)
		conn->further &= (uint8_t)~GB__CONN_FURTHER_ELSEWHERE;
}

void gb__parts_adapt(struct gb__terms *terms)
{
	terms->codec = &codec;
	terms->codec_options = NULL;
	terms->on_message = on_message;
	terms->parts = true;
	terms->state_offset = (uint16_t)(terms->state_offset + sizeof(struct gb__parts));
}
