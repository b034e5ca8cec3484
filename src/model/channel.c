/*
 * Passing connections to worker processes. Both ends of every pair stay open in the chief, so that what
 * was passed to a worker that crashes is not lost: others get it, or the one that replaces it.
 */
#include "model/channel.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "model/crew.h"
#include "os/fdpass.h"
#include "os/limit.h"
#include "os/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TAKE_MAX 16u   /* connections after which no further message is taken in a row */
#define BACK_MAX 1024u /* messages taken back from the channel of one that has ended; more than it holds */

static bool pulled(const struct gb__crew *crew)
{
	return crew->server->model.engine == GB__ENGINE_BLOCKING;
}

static int channel_init(struct gb__crew *crew)
{
	struct gb__channels *channels = &crew->channels;
	unsigned count = pulled(crew) ? 1 : crew->seats_count;

	channels->pairs = gb__alloc(count * sizeof(*channels->pairs));
	if (!channels->pairs)
		return -ENOMEM;
	for (; channels->count < count; channels->count++) {
		int result = gb__fdpass_pair(channels->pairs[channels->count]);

		if (result < 0)
			return result;
	}
	return 0;
}

/* A message that was passed through a pair and not received: its connections wait again, which none does yet.
 * What the kernel dropped for want of a descriptor counts. Returns whether there was a message. */
static bool take_back(struct gb__crew *crew, unsigned pair)
{
	struct gb__channels *channels = &crew->channels;
	uint32_t bindings[GB__FDPASS_MAX];
	int fds[GB__FDPASS_MAX];
	int count = gb__fdpass_recv(channels->pairs[pair][1], fds, bindings);

	for (int i = 0; i < count; i++) {
		struct gb__handed handed = { fds[i], bindings[i] };

		if (handed.fd < 0)
			gb__worker_refuse(crew->chief, handed, GB_CLOSE_DESCRIPTOR_LIMIT);
		else
			channels->waiting[channels->waiting_count++] = handed;
	}
	return count > 0;
}

static void refuse_waiting(struct gb__crew *crew)
{
	struct gb__channels *channels = &crew->channels;

	for (unsigned i = 0; i < channels->waiting_count; i++)
		gb__worker_refuse(crew->chief, channels->waiting[i], GB_CLOSE_DRAIN);
	channels->waiting_count = 0;
}

void gb__channels_desert(struct gb__crew *crew)
{
	if (crew->channels.waiting_count == 0)
		return;
	refuse_waiting(crew);
	gb__acceptance_clear(
		&crew->chief->acceptance, GB__BAR_CHANNEL); /* who is in the backlog is refused as well */
}

static void channel_finish(struct gb__crew *crew)
{
	struct gb__channels *channels = &crew->channels;

	refuse_waiting(crew);
	for (unsigned i = 0; i < channels->count; i++) {
		while (take_back(crew, i))
			refuse_waiting(crew);
		gb__socket_close(channels->pairs[i][0]);
		gb__socket_close(channels->pairs[i][1]);
	}
	gb__free(channels->pairs);
}

/* Pass connections that were placed on one seat: to it, or to the next one with room. Returns whether there was
 * room. Those that cannot be passed at all are closed. */
static bool pass(struct gb__crew *crew, struct gb__seat *seat, const int *fds, const uint32_t *bindings,
	unsigned count)
{
	struct gb__channels *channels = &crew->channels;
	unsigned at = 0;
	int result = -EAGAIN;

	for (unsigned i = 0; i < channels->count && result == -EAGAIN; i++) {
		at = (seat->id + i) % channels->count;
		result = gb__fdpass_send(channels->pairs[at][0], fds, bindings, count);
	}
	if (result == -EAGAIN)
		return false;
	seat->given -= count;
	if (result == 0)
		crew->seats[at].given += count;
	for (unsigned i = 0; i < count; i++)
		if (result == 0)
			gb__socket_close(fds[i]);
		else
			gb__worker_refuse(crew->chief, (struct gb__handed){ fds[i], bindings[i] },
				GB_CLOSE_KERNEL_ERROR);
	return true;
}

/* Pass the first one that waits from there on together with others of its seat. The seats of those passed become
 * NULL. Returns as `pass` does. */
static bool pass_together(struct gb__crew *crew, struct gb__seat **seats, unsigned first)
{
	const struct gb__channels *channels = &crew->channels;
	const unsigned max = pulled(crew) ? 1 : GB__FDPASS_MAX; /* who blocks serves one at a time */
	uint32_t bindings[GB__FDPASS_MAX];
	int fds[GB__FDPASS_MAX];
	struct gb__seat *seat = seats[first];
	unsigned count = 0, end = first;

	for (; end < channels->waiting_count && count < max; end++)
		if (seats[end] == seat) {
			fds[count] = channels->waiting[end].fd;
			bindings[count++] = channels->waiting[end].binding;
		}
	if (!pass(crew, seat, fds, bindings, count))
		return false;
	while (end-- > first)
		if (seats[end] == seat)
			seats[end] = NULL;
	return true;
}

/* Each counts as given to its seat at once, so that the next is placed as if it had been passed already. */
static void pass_waiting(struct gb__crew *crew)
{
	struct gb__channels *channels = &crew->channels;
	struct gb__seat *seats[GB__CHANNEL_WAITING_MAX] = { NULL };
	unsigned left = 0;
	bool room = true;

	for (unsigned i = 0; i < channels->waiting_count; i++) {
		seats[i] = pulled(crew) ? &crew->seats[0] : gb__crew_place(crew, channels->waiting[i]);
		seats[i]->given++;
	}
	for (unsigned i = 0; i < channels->waiting_count && room; i++)
		if (seats[i])
			room = pass_together(crew, seats, i);
	for (unsigned i = 0; i < channels->waiting_count; i++)
		if (seats[i]) {
			seats[i]->given--;
			channels->waiting[left++] = channels->waiting[i];
		}
	channels->waiting_count = left;
}

static void channel_flush(struct gb__crew *crew)
{
	struct gb__channels *channels = &crew->channels;
	struct gb__acceptance *acceptance = &crew->chief->acceptance;

	if (channels->waiting_count == 0)
		return;
	pass_waiting(crew);
	if (channels->waiting_count > 0)
		gb__acceptance_bar(acceptance, GB__BAR_CHANNEL);
	else if (acceptance->bars & GB__BAR_CHANNEL)
		gb__acceptance_clear(acceptance, GB__BAR_CHANNEL);
}

/* What comes in one turn is passed at its end, in one message for each worker: a message costs more than what is in
 * it. Those who pull get theirs at once. */
static void channel_give(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__channels *channels = &crew->channels;

	/* While some wait for room nobody else is accepted. */
	gb__assert(channels->waiting_count < GB__CHANNEL_WAITING_MAX);
	channels->waiting[channels->waiting_count++] = handed;
	if (pulled(crew) || channels->waiting_count >= GB__FDPASS_MAX)
		channel_flush(crew);
}

/* The replacement may be long in coming: whoever lives serves those who were passed to the dead. */
static void channel_ended(struct gb__crew *crew, struct gb__seat *seat)
{
	const struct gb__channels *channels = &crew->channels;

	if (pulled(crew) || crew->alive == 0)
		return;
	channel_flush(crew); /* it may be in the middle of a turn */
	/* Those that find no room elsewhere come back into the same channel: there is an end to it. */
	for (unsigned i = 0; i < BACK_MAX && channels->waiting_count == 0; i++) {
		if (!take_back(crew, seat->id))
			return;
		channel_flush(crew);
	}
}

/* Of those who pull from one channel, one is told of a connection: all others would find nothing. */
#define WANTED (GB__READY_IN | GB__READY_SHARED)

static bool busy(const struct gb_worker *worker)
{
	return gb__net_clients(&worker->net) > 0 && (worker->loop.engine->ops->caps & GB__ENGINE_ONE_STREAM);
}

/* Told to end while others pull from the same channel: what waits is for them. */
static bool leaves(const struct gb_worker *worker)
{
	return worker->channel.shared && atomic_load(&worker->record->away);
}

/* Passed, but this process has no descriptor left for it: it is closed on the way. */
static void lost(struct gb_worker *worker)
{
	struct gb_stats *stats = &worker->record->counters.stats;
	uint64_t held;
	char hint[128];

	gb__count(stats->accepted, 1);
	gb__count(stats->closed[GB_CLOSE_DESCRIPTOR_LIMIT], 1);
	if (gb__log_allowed(&worker->channel.log_limit, gb__loop_now_ms(&worker->loop), &held))
		gb__log(GB__LOG_WARNING,
			"worker %u has no descriptor for a connection (%" PRIu64
			" more since the last report)%s",
			worker->id, held, gb__limit_hint(-EMFILE, hint, sizeof(hint)));
}

/* Serve what came with one message. Returns whether there was anything but what is lost. */
static bool adopt(struct gb_worker *worker, const int *fds, const uint32_t *bindings, unsigned count)
{
	bool some = false;

	for (unsigned i = 0; i < count; i++) {
		atomic_store_explicit(&worker->record->received, count - i - 1, memory_order_relaxed);
		if (fds[i] < 0) {
			lost(worker);
			continue;
		}
		some = true;
		gb__worker_adopt(worker, (struct gb__handed){ fds[i], bindings[i] });
	}
	return some;
}

/* Take what is there, as far as the worker can serve it. Returns whether there was something. */
static bool take(struct gb_worker *worker)
{
	uint32_t bindings[GB__FDPASS_MAX];
	int fds[GB__FDPASS_MAX];
	bool took = false;

	for (unsigned taken = 0; taken < TAKE_MAX && !busy(worker) && !leaves(worker);) {
		int count = gb__fdpass_recv(worker->channel.endpoint.fd, fds, bindings);

		if (count < 0)
			break;
		gb__assert(count == 1 || !worker->channel.shared);
		took |= adopt(worker, fds, bindings, (unsigned)count);
		taken += (unsigned)count;
	}
	return took;
}

static void want(struct gb_worker *worker)
{
	struct gb__engine *engine = worker->loop.engine;

	if (worker->channel.attached)
		engine->ops->watch(
			engine, &worker->channel.endpoint, busy(worker) || leaves(worker) ? 0 : WANTED);
}

static void on_ready(struct gb__endpoint *watch, unsigned ready)
{
	struct gb_worker *worker = ((struct gb__channel *)watch)->worker;

	take(worker);
	want(worker);
}

static void on_detached(struct gb__endpoint *watch)
{
	((struct gb__channel *)watch)->gone = true;
}

static const struct gb__endpoint_ops channel_ops = { .on_ready = on_ready, .on_detached = on_detached };

static int channel_join(struct gb__seat *seat, struct gb_worker *worker)
{
	struct gb__channels *channels = &seat->crew->channels;
	unsigned mine = pulled(seat->crew) ? 0 : seat->id;
	struct gb__engine *engine = worker->loop.engine;
	int result;

	for (unsigned i = 0; i < channels->waiting_count; i++)
		gb__socket_close(channels->waiting[i].fd); /* the chief's, at the time of the fork */
	for (unsigned i = 0; i < channels->count; i++) {
		gb__socket_close(channels->pairs[i][0]);
		if (i != mine)
			gb__socket_close(channels->pairs[i][1]);
	}
	worker->channel = (struct gb__channel){
		.endpoint = { .ops = &channel_ops,
			.fd = channels->pairs[mine][1],
			.kind = GB__ENDPOINT_WATCH },
		.worker = worker,
		.shared = pulled(seat->crew),
	};
	worker->on_idle = want;
	worker->take = take;
	result = engine->ops->attach(engine, &worker->channel.endpoint);
	if (result < 0)
		return result;
	worker->channel.attached = true;
	return engine->ops->watch(engine, &worker->channel.endpoint, WANTED);
}

void gb__channel_finish(struct gb__channel *channel)
{
	struct gb__loop *loop = channel->worker ? &channel->worker->loop : NULL;

	if (!channel->attached)
		return;
	channel->attached = false;
	if (loop->engine->ops->detach(loop->engine, &channel->endpoint) == 0)
		return;
	while (!channel->gone)
		gb__worker_turn(channel->worker, -1);
}

const struct gb__handover_ops gb__handover_channel = {
	.init = channel_init,
	.finish = channel_finish,
	.give = channel_give,
	.flush = channel_flush,
	.ended = channel_ended,
	.join = channel_join,
};
