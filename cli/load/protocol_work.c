/*
 * Requests behind their length (src/service/work.c has the format): an id, how long to compute and to block, a payload; a
 * reply has the id and the payload. Replies may come in any order: the id says which request is answered.
 */
#include "load/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH 4u
#define REQUEST_HEADER 12u /* behind the length: id, microseconds to compute, microseconds to block */
#define REPLY_HEADER 8u    /* the length included */
#define PERIOD_WANTED (1u << 18)
#define REQUESTS_MIN 64u

struct work_state {
	uint64_t offset; /* bytes checked */
	uint64_t first;  /* the id of request 0 */
	uint64_t number; /* the request that the current reply is to, once its header has arrived */
	size_t of_reply; /* bytes of it that have arrived */
	unsigned char header[REPLY_HEADER]; /* as far as it has arrived */
};

static void put(unsigned char *to, uint64_t number)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (unsigned char)(number >> (24 - 8 * i));
}

static uint32_t get(const unsigned char *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* `size` is that of a request with its length; ids are the places in the period, more than a connection ever awaits. */
static int work_prepare(const struct load_request *request, struct traffic *ret)
{
	size_t least = LENGTH + REQUEST_HEADER, size = request->size < least ? least : request->size;
	size_t count = PERIOD_WANTED / size, wanted = 8 * (size_t)request->depth;
	uint64_t random = 0x9e3779b97f4a7c15u;
	unsigned char *data;

	count = count < REQUESTS_MIN ? REQUESTS_MIN : count;
	count = count < wanted ? wanted : count;
	data = malloc(count * size);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		unsigned char *one = data + i * size;

		put(one, size - LENGTH);
		put(one + 4, i);
		put(one + 8, request->compute_us);
		put(one + 12, request->block_us);
		for (size_t k = least; k < size; k++) {
			random = random * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
			one[k] = (unsigned char)(random >> 56);
		}
	}
	*ret = (struct traffic){ .data = data,
		.size = count * size,
		.period = count * size,
		.request_size = size,
		.reply_size = size - REQUEST_HEADER + REPLY_HEADER - LENGTH };
	return 0;
}

static size_t work_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	struct work_state *work = state;
	size_t count = traffic->period / traffic->request_size;

	*work = (struct work_state){ .first = number % count };
	return (size_t)work->first * traffic->request_size;
}

/* Which of the requests since `oldest` has this id: there is one in each period. */
static uint64_t number_of(
	const struct traffic *traffic, const struct work_state *work, uint64_t oldest, uint32_t id)
{
	uint64_t count = traffic->period / traffic->request_size, of_oldest = (work->first + oldest) % count;

	return oldest + (id + count - of_oldest) % count;
}

/* The header of a reply is there: look which it is. Returns 0 or -GB_EBADFRAME. */
static int64_t check_header(const struct traffic *traffic, struct work_state *work, uint64_t oldest,
	uint64_t next, struct gb_error *error)
{
	unsigned char length[LENGTH];
	uint32_t id = get(work->header + 4);
	int64_t rc;

	put(length, traffic->reply_size - LENGTH);
	rc = gb__protocol_compare(length, work->header, LENGTH, work->offset - REPLY_HEADER, error);
	if (rc < 0)
		return rc;
	if (id < traffic->period / traffic->request_size)
		work->number = number_of(traffic, work, oldest, id);
	if (id < traffic->period / traffic->request_size && work->number < next)
		return 0;
	return gb_error_set(error, -GB_EBADFRAME,
		"byte %llu of the replies begins id %u, which no unanswered request has",
		(unsigned long long)(work->offset - LENGTH), id);
}

static int64_t take_header(const struct traffic *traffic, struct work_state *work, uint64_t oldest,
	uint64_t next, struct gb_bytes bytes, struct gb_error *error)
{
	size_t left = REPLY_HEADER - work->of_reply, size = bytes.size < left ? bytes.size : left;
	int64_t rc;

	memcpy(work->header + work->of_reply, bytes.data, size);
	work->of_reply += size;
	work->offset += size;
	rc = work->of_reply == REPLY_HEADER ? check_header(traffic, work, oldest, next, error) : 0;
	return rc < 0 ? rc : (int64_t)size;
}

static int64_t take_payload(
	const struct traffic *traffic, struct work_state *work, struct gb_bytes bytes, struct gb_error *error)
{
	uint64_t count = traffic->period / traffic->request_size;
	const unsigned char *request =
		traffic->data + (work->first + work->number) % count * traffic->request_size;
	size_t at = work->of_reply - REPLY_HEADER, left = traffic->reply_size - work->of_reply;
	size_t size = bytes.size < left ? bytes.size : left;
	int64_t rc = gb__protocol_compare(
		request + LENGTH + REQUEST_HEADER + at, bytes.data, size, work->offset, error);

	work->of_reply += size;
	work->offset += size;
	return rc < 0 ? rc : (int64_t)size;
}

static int64_t work_check_one(const struct traffic *traffic, void *state, uint64_t oldest, uint64_t next,
	struct gb_bytes bytes, uint64_t *ret_number, struct gb_error *error)
{
	struct work_state *work = state;
	int64_t taken;

	if (oldest == next)
		return gb__protocol_surplus(work->offset, error);
	taken = work->of_reply < REPLY_HEADER ? take_header(traffic, work, oldest, next, bytes, error)
					      : take_payload(traffic, work, bytes, error);
	if (taken < 0 || work->of_reply < traffic->reply_size)
		return taken;
	work->of_reply = 0;
	*ret_number = work->number;
	return taken;
}

const struct protocol gb__protocol_work = {
	.name = "work",
	.state_size = sizeof(struct work_state),
	.prepare = work_prepare,
	.begin = work_begin,
	.check_one = work_check_one,
};
