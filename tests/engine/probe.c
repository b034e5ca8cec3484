#include "probe.h"
#include "base/macros.h"

#include "engine/poller/poller.h"

#include <errno.h>

/* Every engine call goes through here, so that a callback from inside one is noticed. */
#define CALL(rig, expression) \
	({ \
		(rig)->inside++; \
		__typeof__(expression) call_result = (expression); \
		(rig)->inside--; \
		call_result; \
	})
#define CALL_VOID(rig, expression) \
	do { \
		(rig)->inside++; \
		expression; \
		(rig)->inside--; \
	} while (0)

static void check_callback(const struct rig *rig)
{
	CHECK(rig->waiting);
	CHECK_INT(rig->inside, 0);
}

/* ---- streams ---- */

static void probe_free(struct probe *probe)
{
	struct rig *rig = probe->rig;

	gb__output_clear(&probe->stream.output, &rig->engine->pool);
	if (probe->ret_gone)
		*probe->ret_gone = true;
	rig->probes--;
	free(probe->got.data);
	free(probe);
}

static void then(struct probe *probe)
{
	if (probe->then && !probe->detaching)
		probe->then(probe);
}

static void on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct probe *probe = (struct probe *)stream;

	check_callback(probe->rig);
	CHECK(size >= 1);
	CHECK_INT(probe->ends, 0);
	CHECK(!probe->detached);
	probe->inputs++;
	bytes_append(&probe->got, data, size);
	if (probe->echo && !probe->detaching && !probe->output_error) {
		CHECK_INT(gb__output_append(&stream->output, &probe->rig->engine->pool, data, size), 0);
		probe_flush(probe);
	}
	/* What is in front may be overwritten. */
	memset(data - GB__INPUT_HEADROOM, 0xa5, GB__INPUT_HEADROOM);
	then(probe);
}

static void on_end(struct gb__stream *stream, int error)
{
	struct probe *probe = (struct probe *)stream;

	check_callback(probe->rig);
	CHECK(error <= 0 && error != -EAGAIN && error != -EINTR && error != -ENOBUFS && error != -ECANCELED);
	CHECK(!probe->detached);
	probe->ends++;
	probe->end_error = error;
	CHECK_INT(probe->ends, 1);
	if (error < 0)
		probe->flush_pending = false;
	then(probe);
}

static void on_output(struct gb__stream *stream, int error)
{
	struct probe *probe = (struct probe *)stream;

	check_callback(probe->rig);
	CHECK(error <= 0 && error != -EAGAIN && error != -EINTR && error != -ECANCELED);
	CHECK(probe->flush_pending);
	CHECK_INT(probe->output_error, 0);
	CHECK(!probe->detached);
	probe->outputs++;
	probe->output_error = error;
	if (error < 0 || gb__output_empty(&stream->output))
		probe->flush_pending = false;
	then(probe);
}

static void on_connected(struct gb__stream *stream, int error)
{
	struct probe *probe = (struct probe *)stream;

	check_callback(probe->rig);
	CHECK(error <= 0);
	CHECK(!probe->detached);
	probe->connecteds++;
	CHECK_INT(probe->connecteds, 1);
	probe->connect_error = error;
	then(probe);
}

static void detach_done(struct probe *probe)
{
	struct rig *rig = probe->rig;

	probe->detached = true;
	if (!probe->leaving)
		return;
	gb__engine_close(rig->engine, probe->stream.endpoint.fd);
	probe_free(probe);
}

static void on_detached(struct gb__endpoint *endpoint)
{
	struct probe *probe = (struct probe *)endpoint;

	check_callback(probe->rig);
	CHECK(probe->detaching);
	CHECK(!probe->detached);
	detach_done(probe);
}

static const struct gb__endpoint_ops probe_ops = {
	.on_input = on_input,
	.on_end = on_end,
	.on_output = on_output,
	.on_connected = on_connected,
	.on_detached = on_detached,
};

static struct probe *open_kind(struct rig *rig, int fd, int kind)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	CHECK(probe);
	probe->stream.endpoint = (struct gb__endpoint){ .ops = &probe_ops, .fd = fd, .kind = (uint8_t)kind };
	probe->rig = rig;
	CHECK_INT(CALL(rig, rig->engine->ops->attach(rig->engine, &probe->stream.endpoint)), 0);
	rig->probes++;
	return probe;
}

struct probe *probe_open(struct rig *rig, int fd)
{
	return open_kind(rig, fd, GB__ENDPOINT_STREAM);
}

struct probe *probe_packets(struct rig *rig, struct rig_peer **ret_peer)
{
	struct probe *probe;
	int fd;

	*ret_peer = rig_packets(rig, &fd);
	probe = open_kind(rig, fd, GB__ENDPOINT_PACKET);
	probe_start(probe);
	return probe;
}

void probe_queue_packet(struct probe *probe, size_t size)
{
	unsigned char *data = malloc(size);

	CHECK(data);
	pattern_fill(data, size, probe->queued);
	CHECK_INT(
		gb__output_append_packet(&probe->stream.output, &probe->rig->engine->pool, data, size, NULL),
		0);
	probe->queued += size;
	free(data);
}

struct probe *probe_pair(struct rig *rig, struct rig_peer **ret_peer)
{
	struct probe *probe;
	int fd;

	*ret_peer = rig_pair(rig, &fd);
	probe = probe_open(rig, fd);
	probe_start(probe);
	return probe;
}

void probe_start(struct probe *probe)
{
	struct rig *rig = probe->rig;

	CHECK_INT(CALL(rig, rig->engine->ops->input_start(rig->engine, &probe->stream.endpoint)), 0);
	probe->reading = true;
}

void probe_stop(struct probe *probe)
{
	struct rig *rig = probe->rig;

	CALL_VOID(rig, rig->engine->ops->input_stop(rig->engine, &probe->stream.endpoint));
	probe->reading = false;
}

void probe_queue(struct probe *probe, size_t size)
{
	unsigned char data[4096];

	while (size) {
		size_t part = gb__min(size, sizeof(data));

		pattern_fill(data, part, probe->queued);
		CHECK_INT(gb__output_append(&probe->stream.output, &probe->rig->engine->pool, data, part), 0);
		probe->queued += part;
		size -= part;
	}
}

int probe_flush(struct probe *probe)
{
	struct rig *rig = probe->rig;
	int result = CALL(rig, rig->engine->ops->flush(rig->engine, &probe->stream));

	CHECK(result <= 1);
	if (result == 0)
		CHECK(gb__output_empty(&probe->stream.output));
	if (result < 0)
		probe->output_error = result;
	probe->flush_pending = result == 1;
	return result;
}

void probe_send(struct probe *probe, size_t size)
{
	probe_queue(probe, size);
	CHECK(probe_flush(probe) >= 0);
}

bool probe_detach(struct probe *probe)
{
	struct rig *rig = probe->rig;
	int result;

	CHECK(!probe->detaching);
	probe->detaching = true;
	result = CALL(rig, rig->engine->ops->detach(rig->engine, &probe->stream.endpoint));
	CHECK(result == 0 || result == 1);
	if (result == 0)
		detach_done(probe);
	return result == 0;
}

void probe_leave(struct probe *probe)
{
	probe->leaving = true;
	if (!probe->detaching) {
		probe->stream.endpoint.wants |= GB__WANT_CLOSE;
		probe_detach(probe);
	} else if (probe->detached) {
		detach_done(probe);
	}
}

void probe_close(struct probe *probe)
{
	struct rig *rig = probe->rig;
	bool gone = false;

	probe->ret_gone = &gone;
	probe_leave(probe);
	UNTIL(rig, gone);
}

int probe_release(struct probe *probe)
{
	int fd = probe->stream.endpoint.fd;

	CHECK(probe->detached);
	probe_free(probe);
	return fd;
}

/* ---- listeners ---- */

static void listener_free(struct listener *listener);

static void on_accept(struct gb__endpoint *endpoint, int fd)
{
	struct listener *listener = (struct listener *)endpoint;

	check_callback(listener->rig);
	if (fd >= 0) {
		CHECK(listener->count < gb__countof(listener->accepted));
		listener->accepted[listener->count++] = fd;
	} else if (gb__accept_verdict(fd) != GB__ACCEPT_BROKEN) {
		listener->exhausted++;
		if (!listener->detaching && listener->started) {
			listener_stop(listener);
			listener->resting = true;
		}
	} else {
		listener->broken = fd;
	}
	if (listener->then && !listener->detaching)
		listener->then(listener);
}

static void on_listener_detached(struct gb__endpoint *endpoint)
{
	struct listener *listener = (struct listener *)endpoint;

	check_callback(listener->rig);
	CHECK(listener->detaching);
	listener->detacheds++;
	CHECK_INT(listener->detacheds, 1);
	if (listener->leaving)
		listener_free(listener);
}

static const struct gb__endpoint_ops listener_ops = {
	.on_accept = on_accept,
	.on_detached = on_listener_detached,
};

struct listener *listener_open(struct rig *rig, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	CHECK(listener);
	listener->endpoint =
		(struct gb__endpoint){ .ops = &listener_ops, .fd = fd, .kind = GB__ENDPOINT_LISTENER };
	listener->rig = rig;
	CHECK_INT(CALL(rig, rig->engine->ops->attach(rig->engine, &listener->endpoint)), 0);
	return listener;
}

void listener_start(struct listener *listener)
{
	struct rig *rig = listener->rig;

	listener->started = true;
	listener->resting = false;
	CHECK_INT(CALL(rig, rig->engine->ops->input_start(rig->engine, &listener->endpoint)), 0);
}

void listener_stop(struct listener *listener)
{
	struct rig *rig = listener->rig;

	listener->started = listener->resting = false;
	CALL_VOID(rig, rig->engine->ops->input_stop(rig->engine, &listener->endpoint));
}

unsigned listener_waiting(struct listener *listener)
{
	if (listener->resting)
		listener_start(listener);
	return listener->count;
}

int listener_take(struct listener *listener)
{
	int fd = listener->accepted[0];

	CHECK(listener->count > 0);
	memmove(listener->accepted, listener->accepted + 1, --listener->count * sizeof(int));
	return fd;
}

static void listener_free(struct listener *listener)
{
	struct gb__os *os = listener->rig->os;

	while (listener->count)
		CHECK_INT(os->ops->close(os, listener_take(listener)), 0);
	CHECK_INT(os->ops->close(os, listener->endpoint.fd), 0);
	if (listener->ret_gone)
		*listener->ret_gone = true;
	free(listener);
}

void listener_leave(struct listener *listener)
{
	struct rig *rig = listener->rig;

	listener->detaching = listener->leaving = true;
	if (CALL(rig, rig->engine->ops->detach(rig->engine, &listener->endpoint)) == 0)
		listener_free(listener);
}

void listener_close(struct listener *listener)
{
	struct rig *rig = listener->rig;
	bool gone = false;

	listener->ret_gone = &gone;
	listener_leave(listener);
	UNTIL(rig, gone);
}

/* ---- watches ---- */

static void watch_free(struct watch *watch)
{
	if (watch->ret_gone)
		*watch->ret_gone = true;
	free(watch);
}

static void on_ready(struct gb__endpoint *endpoint, unsigned ready)
{
	struct watch *watch = (struct watch *)endpoint;

	check_callback(watch->rig);
	CHECK(ready);
	CHECK(!watch->leaving);
	watch->readies++;
	watch->ready_last = ready;
	if (watch->then)
		watch->then(watch);
}

static void on_watch_detached(struct gb__endpoint *endpoint)
{
	struct watch *watch = (struct watch *)endpoint;

	check_callback(watch->rig);
	CHECK(watch->leaving);
	watch_free(watch);
}

static const struct gb__endpoint_ops watch_ops = {
	.on_ready = on_ready,
	.on_detached = on_watch_detached,
};

struct watch *watch_open(struct rig *rig, int fd)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	CHECK(watch);
	watch->endpoint = (struct gb__endpoint){ .ops = &watch_ops, .fd = fd, .kind = GB__ENDPOINT_WATCH };
	watch->rig = rig;
	CHECK_INT(CALL(rig, rig->engine->ops->attach(rig->engine, &watch->endpoint)), 0);
	return watch;
}

void watch_for(struct watch *watch, unsigned ready)
{
	struct rig *rig = watch->rig;

	CHECK_INT(CALL(rig, rig->engine->ops->watch(rig->engine, &watch->endpoint, ready)), 0);
}

void watch_leave(struct watch *watch)
{
	struct rig *rig = watch->rig;

	watch->leaving = true;
	if (CALL(rig, rig->engine->ops->detach(rig->engine, &watch->endpoint)) == 0)
		watch_free(watch);
}

void watch_close(struct watch *watch)
{
	struct rig *rig = watch->rig;
	bool gone = false;

	watch->ret_gone = &gone;
	watch_leave(watch);
	UNTIL(rig, gone);
}
