/*
 * Services that answer later than their handler returns: from a timer, from a posted task, from another server. All
 * echo lines, so that nothing but the way differs. A program as users write them, with several services.
 */
#include "handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A line that waits for its answer; its connection is paused meanwhile, so that there is one at a time. */
struct waiting {
	struct gb_timer timer;
	struct gb_handle client; /* of the upstream's */
	struct gb_conn *upstream;
	char *line;
	size_t size;
};

static int keep(struct waiting *waiting, struct gb_bytes message)
{
	waiting->line = malloc(message.size + 1);
	if (!waiting->line)
		return -ENOMEM;
	memcpy(waiting->line, message.data, message.size);
	waiting->line[message.size] = '\n';
	waiting->size = message.size + 1;
	return 0;
}

static void answer(struct gb_conn *conn, struct waiting *waiting)
{
	gb_conn_send(conn, waiting->line, waiting->size);
	free(waiting->line);
	waiting->line = NULL;
	gb_conn_resume(conn);
}

static void on_expire(struct gb_timer *timer, void *arg)
{
	(void)timer;
	answer(arg, gb_conn_state(arg));
}

static void wait_a_moment(struct gb_conn *conn, struct gb_bytes message)
{
	struct waiting *waiting = gb_conn_state(conn);

	gb_conn_pause(conn);
	if (keep(waiting, message) < 0 ||
		gb_timer_start(gb_conn_worker(conn), &waiting->timer, 0, on_expire, conn) < 0)
		gb_conn_abort(conn);
}

static void stop_waiting(struct gb_conn *conn, int reason)
{
	struct waiting *waiting = gb_conn_state(conn);

	(void)reason;
	gb_timer_stop(&waiting->timer);
	free(waiting->line);
}

static const struct gb_service timed = {
	GB_SERVICE_INIT,
	.name = "timed",
	.summary = "answers each line from a timer",
	.codec = &gb_codec_line,
	.state = GB_STATE_WORKER, /* timers are a worker's */
	.traits = GB_TRAIT_STATE_APART,
	.conn_state_size = sizeof(struct waiting),
	.on_message = wait_a_moment,
	.on_close = stop_waiting,
};

static void on_posted(struct gb_conn *conn, int status, void *arg)
{
	struct waiting *waiting = arg;

	if (conn && status == 0)
		answer(conn, waiting);
	else
		free(waiting->line);
	free(waiting);
}

static void post_it(struct gb_conn *conn, struct gb_bytes message)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	gb_conn_pause(conn);
	if (waiting && keep(waiting, message) == 0 &&
		gb_handle_post(gb_conn_handle(conn), on_posted, waiting) == 0)
		return;
	if (waiting)
		free(waiting->line);
	free(waiting);
	gb_conn_abort(conn);
}

static const struct gb_service posted = {
	GB_SERVICE_INIT,
	.name = "posted",
	.summary = "answers each line from a task that is posted to its connection",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.on_message = post_it,
};

struct asked {
	char *upstream;
};

static const struct gb_setting settings[] = {
	{ "upstream", GB_SETTING_TEXT, offsetof(struct asked, upstream),
		.summary = "who answers, by echoing lines" },
	{ NULL },
};

static void on_reply(struct gb_conn *upstream, struct gb_bytes line)
{
	struct gb_conn *conn = gb_handle_conn(*(struct gb_handle *)gb_conn_state(upstream));

	if (!conn)
		return;
	gb_conn_send(conn, line.data, line.size);
	gb_conn_send(conn, "\n", 1);
	gb_conn_resume(conn);
}

static void upstream_gone(struct gb_conn *upstream, int reason)
{
	struct gb_conn *conn = gb_handle_conn(*(struct gb_handle *)gb_conn_state(upstream));

	(void)reason;
	if (conn)
		((struct waiting *)gb_conn_state(conn))->upstream = NULL;
}

static const struct gb_service upstream_service = {
	GB_SERVICE_INIT,
	.name = "upstream",
	.codec = &gb_codec_line,
	.conn_state_size = sizeof(struct gb_handle),
	.on_message = on_reply,
	.on_close = upstream_gone,
};

static void ask(struct gb_conn *conn, struct gb_bytes message)
{
	const struct asked *asked = gb_conn_user(conn);
	struct waiting *waiting = gb_conn_state(conn);
	struct gb_handle client = gb_conn_handle(conn);

	gb_conn_pause(conn);
	if (!waiting->upstream) {
		if (gb_connect(gb_conn_worker(conn), asked->upstream ? asked->upstream : "",
			    &upstream_service, NULL, &waiting->upstream, NULL) < 0) {
			gb_conn_abort(conn);
			return;
		}
		memcpy(gb_conn_state(waiting->upstream), &client, sizeof(client));
	}
	gb_conn_send(waiting->upstream, message.data, message.size);
	gb_conn_send(waiting->upstream, "\n", 1);
}

static void stop_asking(struct gb_conn *conn, int reason)
{
	struct waiting *waiting = gb_conn_state(conn);

	(void)reason;
	if (waiting->upstream)
		gb_conn_abort(waiting->upstream);
}

static const struct gb_service asking = {
	GB_SERVICE_INIT,
	.name = "asking",
	.summary = "has each line answered by another server",
	.codec = &gb_codec_line,
	.state = GB_STATE_WORKER,
	.traits = GB_TRAIT_STATE_APART,
	.settings = settings,
	.settings_size = sizeof(struct asked),
	.conn_state_size = sizeof(struct waiting),
	.on_message = ask,
	.on_close = stop_asking,
};

/* Until one more is reported than there was. */
static void hold_loop(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb_server *server = gb_worker_server(gb_conn_worker(conn));
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct gb_stall_stats before, now;

	gb_server_stall_stats(server, &before);
	do {
		nanosleep(&moment, NULL);
		gb_server_stall_stats(server, &now);
	} while (now.stalls == before.stalls);
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, "\n", 1);
}

static const struct gb_service stalling = {
	GB_SERVICE_INIT,
	.name = "stalling",
	.summary = "answers each line once it is reported that it holds its loop",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.on_message = hold_loop,
};

/* HANDLERS_BROKEN makes one of the services such as people write it by mistake. */
static struct gb_service broken;

int main(int argc, char **argv)
{
	static const struct gb_service *services[] = { &timed, &posted, &asking, &parting_service,
		&held_service, &ending_service, &relayed_service, &differing_service, &netstring_service,
		&stanza_service, &unknown_service, &curt_service, &until_service, &forwarded_service,
		&stalling, NULL };
	const char *how = getenv("HANDLERS_BROKEN");

	if (how) {
		broken = posted;
		if (strcmp(how, "init") == 0)
			broken.struct_size = broken.abi = 0;
		else
			broken.name = "";
		services[1] = &broken;
	}
	return gb_main_services(argc, argv, services);
}
