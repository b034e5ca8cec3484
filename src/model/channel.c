/*
 * Passing connections to worker processes. Both ends of every pair stay open in the chief, so that what
 * was passed to a worker that crashes is not lost: others get it, or the one that replaces it.
 */
#include "model/channel.h"

#include "base/alloc.h"
#include "model/crew.h"
#include "os/fdpass.h"
#include "os/limit.h"
#include "os/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define RETRY_MS 2u    /* while all channels are full */
#define TAKE_MAX 16u   /* connections taken in a row */
#define BACK_MAX 1024u /* taken back from the channel of one that has ended; more than it holds */

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

/* What was passed through a pair and not received; what the kernel dropped for want of a descriptor counts. */
static bool take_back(struct gb__crew *crew, unsigned pair, struct gb__handed *ret)
{
	while ((ret->fd = gb__fdpass_recv(crew->channels.pairs[pair][1], &ret->binding)) == -EMFILE)
		gb__worker_refuse(crew->chief, *ret, GB_CLOSE_DESCRIPTOR_LIMIT);
	return ret->fd >= 0;
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
	gb_timer_stop(&crew->channels.retry);
	gb__worker_accept_start(crew->chief); /* who is in the backlog is refused as well */
}

static void channel_finish(struct gb__crew *crew)
{
	struct gb__channels *channels = &crew->channels;
	struct gb__handed handed;

	refuse_waiting(crew);
	for (unsigned i = 0; i < channels->count; i++) {
		while (take_back(crew, i, &handed))
			gb__worker_refuse(crew->chief, handed, GB_CLOSE_DRAIN);
		gb__socket_close(channels->pairs[i][0]);
		gb__socket_close(channels->pairs[i][1]);
	}
	gb__free(channels->pairs);
}

/* Returns whether it found room somewhere. A connection that cannot be passed at all is closed. */
static bool pass(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__seat *seat = pulled(crew) ? &crew->seats[0] : gb__place(crew, handed);
	struct gb__channels *channels = &crew->channels;
	unsigned at = 0;
	int result = -EAGAIN;

	for (unsigned i = 0; i < channels->count && result == -EAGAIN; i++) {
		at = (seat->id + i) % channels->count;
		result = gb__fdpass_send(channels->pairs[at][0], handed.fd, handed.binding);
	}
	if (result == -EAGAIN)
		return false;
	if (result < 0) {
		gb__worker_refuse(crew->chief, handed, GB_CLOSE_KERNEL_ERROR);
	} else {
		crew->seats[at].given++;
		gb__socket_close(handed.fd);
	}
	return true;
}

static void retry(struct gb_timer *timer, void *arg)
{
	struct gb__crew *crew = arg;
	struct gb__channels *channels = &crew->channels;
	unsigned passed = 0;

	while (passed < channels->waiting_count && pass(crew, channels->waiting[passed]))
		passed++;
	channels->waiting_count -= passed;
	memmove(channels->waiting, channels->waiting + passed,
		channels->waiting_count * sizeof(*channels->waiting));
	if (channels->waiting_count > 0)
		gb_timer_start(crew->chief, timer, RETRY_MS, retry, crew);
	else
		gb__worker_accept_start(crew->chief);
}

static void channel_give(struct gb__crew *crew, struct gb__handed handed)
{
	struct gb__channels *channels = &crew->channels;

	if (channels->waiting_count == 0 && pass(crew, handed))
		return;
	if (channels->waiting_count == GB__CHANNEL_WAITING_MAX) {
		gb__worker_refuse(crew->chief, handed, GB_CLOSE_OVER_LIMIT);
		return;
	}
	channels->waiting[channels->waiting_count++] = handed;
	gb__worker_accept_stop(crew->chief);
	if (!channels->retry.place)
		gb_timer_start(crew->chief, &channels->retry, RETRY_MS, retry, crew);
}

/* The replacement may be long in coming: whoever lives serves those who were passed to the dead. */
static void channel_ended(struct gb__crew *crew, struct gb__seat *seat)
{
	struct gb__channels *channels = &crew->channels;
	struct gb__handed handed;

	if (pulled(crew) || crew->alive == 0)
		return;
	/* Those that find no room elsewhere come back into the same channel: there is an end to it. */
	for (unsigned i = 0; i < BACK_MAX && channels->waiting_count == 0; i++) {
		if (!take_back(crew, seat->id, &handed))
			return;
		channel_give(crew, handed);
	}
}

static bool busy(const struct gb_worker *worker)
{
	return worker->net.connections > 0 && (worker->loop.engine->ops->caps & GB__ENGINE_ONE_STREAM);
}

/* Told to end while others pull from the same channel: what waits is for them. */
static bool leaves(const struct gb_worker *worker)
{
	return worker->channel.shared && atomic_load(&worker->slot->away);
}

/* Passed, but this process has no descriptor left for it: it is closed on the way. */
static void lost(struct gb_worker *worker)
{
	struct gb_stats *stats = &worker->slot->counters.stats;
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

/* Take what is there, as far as the worker can serve it. Returns whether there was something. */
static bool take(struct gb_worker *worker)
{
	bool took = false;

	for (unsigned i = 0; i < TAKE_MAX && !busy(worker) && !leaves(worker); i++) {
		struct gb__handed handed;

		handed.fd = gb__fdpass_recv(worker->channel.endpoint.fd, &handed.binding);
		if (handed.fd == -EMFILE) {
			lost(worker);
			continue;
		}
		if (handed.fd < 0)
			break;
		took = true;
		gb__worker_adopt(worker, handed);
	}
	return took;
}

static void want(struct gb_worker *worker)
{
	struct gb__engine *engine = worker->loop.engine;

	if (worker->channel.attached)
		engine->ops->watch(
			engine, &worker->channel.endpoint, busy(worker) || leaves(worker) ? 0 : GB__READY_IN);
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
	return engine->ops->watch(engine, &worker->channel.endpoint, GB__READY_IN);
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
	.ended = channel_ended,
	.join = channel_join,
};
