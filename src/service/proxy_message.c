/*
 * Forwards messages: as `proxy` does, but that it looks at each. Every message of a client is answered by one message of its
 * upstream, so that it knows where an answer belongs: those whose first word is refused are answered here, those that are
 * offloaded go to other upstreams (or to the same ones) by a connection of their own, and a slow one does not hold up those
 * behind it at the upstream. The answers leave in the order of the messages, whichever is there first.
 *
 * A session is a client and its two lanes: the connection that most messages take, and the one of what is offloaded, which
 * is made when it is first needed. Each remembers the replies that are to come, in order.
 *
 * The ways out: an upstream that ends with answers to come, or says nothing for too long, has its client reset, since what is
 * missing must not look like an end; so has one that cannot be reached. Whatever is to be answered is bounded by max-replies, and messages that do not
 * leave hold up their client.
 */
#include "proxy.h"
#include "services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH_SIZE 4u

struct message_settings {
	struct proxy_settings proxy; /* first */
	char *refuse, *refusal, *offload, *offload_to;
	uint64_t answer_timeout_ms;
	struct proxy_group aside; /* of what is offloaded, with offload_to */
};

static const struct gb_setting message_settings[] = {
	PROXY_SETTINGS,
	{ "refuse", GB_SETTING_TEXT, offsetof(struct message_settings, refuse), .argument = "WORD[,WORD...]",
		.summary = "messages that begin with one of these are answered by the refusal" },
	{ "refusal", GB_SETTING_TEXT, offsetof(struct message_settings, refusal), .fallback = "refused",
		.argument = "TEXT", .summary = "what refused messages are answered" },
	{ "offload", GB_SETTING_TEXT, offsetof(struct message_settings, offload),
		.argument = "WORD[,WORD...]",
		.summary =
			"messages that begin with one of these take a connection of their own, and hold up no "
			"others there" },
	{ "offload-to", GB_SETTING_TEXT, offsetof(struct message_settings, offload_to),
		.argument = "HOST:PORT[,HOST:PORT...]",
		.summary = "where offloaded messages are forwarded to; without it to `upstream` as well" },
	{ "answer-timeout", GB_SETTING_DURATION, offsetof(struct message_settings, answer_timeout_ms),
		.fallback = "60s", .max = 7 * PROXY_DAY_MS, .argument = "TIME",
		.summary =
			"an upstream that owes an answer, and says nothing for so long, is given up; 0: never" },
	{ NULL },
};

enum { FORWARD, REFUSE, OFFLOAD };

struct lane {
	struct proxy_link link; /* first */
	struct session *session;
	struct gb_conn *conn;      /* NULL: not yet, or no more */
	bool connecting;           /* `link` is under way */
	struct gb_reply *replies;  /* to come, a ring */
	size_t first, count, room; /* of it; `room` is a power of two */
	unsigned char *waiting;    /* a message that has to wait, or NULL; the client is paused then */
	size_t waiting_size;
};

struct session {
	struct gb_conn *client; /* NULL: it has gone */
	struct lane lanes[2];   /* of FORWARD, of OFFLOAD */
	unsigned users;         /* the client, connections and links */
};

/* What an upstream's connection has. */
struct message_far {
	struct proxy_far far; /* first */
	struct lane *lane;
};

static struct session *session_of(struct gb_conn *client)
{
	return *(struct session **)gb_conn_state(client);
}

static void session_leave(struct session *session)
{
	if (--session->users > 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		free(session->lanes[i].replies);
		free(session->lanes[i].waiting);
	}
	free(session);
}

/* Words. */

/* Whether a list has it; ASCII letters are the same in both cases. */
static bool has_word(const char *list, const unsigned char *word, size_t size)
{
	while (list && *list) {
		const size_t length = strcspn(list, ",");

		if (length == size && strncasecmp(list, (const char *)word, size) == 0)
			return true;
		list += length + (list[length] == ',');
	}
	return false;
}

static uint64_t choose(struct gb_conn *conn, struct gb_bytes message, size_t header)
{
	const struct message_settings *settings = gb_conn_user(conn);
	const unsigned char *word = message.data + header;
	size_t size = 0;

	while (size < message.size - header && word[size] > ' ')
		size++;
	if (has_word(settings->refuse, word, size))
		return REFUSE;
	return has_word(settings->offload, word, size) ? OFFLOAD : FORWARD;
}

static uint64_t choose_line(struct gb_conn *conn, const struct gb_frame *frame, struct gb_bytes message)
{
	(void)frame;
	return choose(conn, message, 0);
}

static uint64_t choose_length(struct gb_conn *conn, const struct gb_frame *frame, struct gb_bytes message)
{
	(void)frame;
	return choose(conn, message, LENGTH_SIZE);
}

/* Lanes. */

/* A place for the reply to the message that is handled. Returns 0 or an error. */
static int expect_reply(struct lane *lane, struct gb_conn *client)
{
	if (lane->count == lane->room) {
		const size_t room = lane->room ? 2 * lane->room : 4;
		struct gb_reply *replies = calloc(room, sizeof(*replies));

		if (!replies)
			return -ENOMEM;
		for (size_t i = 0; i < lane->count; i++)
			replies[i] = lane->replies[(lane->first + i) & (lane->room - 1)];
		free(lane->replies);
		lane->replies = replies;
		lane->first = 0;
		lane->room = room;
	}
	return gb_conn_defer(client, &lane->replies[(lane->first + lane->count) & (lane->room - 1)]);
}

static int wait_with(struct lane *lane, struct gb_bytes message)
{
	lane->waiting = malloc(message.size);
	if (!lane->waiting)
		return -ENOMEM;
	memcpy(lane->waiting, message.data, message.size);
	lane->waiting_size = message.size;
	gb_conn_pause(lane->session->client);
	return 0;
}

static void on_linked(struct proxy_link *link, int result);

static int lane_connect(struct lane *lane)
{
	struct session *session = lane->session;
	struct message_settings *settings = gb_conn_user(session->client);
	struct proxy_group *group = lane == &session->lanes[1] && settings->aside.shared
		? &settings->aside
		: &settings->proxy.group;
	int result;

	proxy_group_probe(group, gb_conn_worker(session->client));
	result = proxy_link_begin(&lane->link, group, session->client, on_linked);
	if (result < 0)
		return result;
	lane->connecting = true;
	session->users++;
	return 0;
}

/* Send a message, or have it wait until there is a connection, and room. Returns 0 or an error. */
static int forward(struct lane *lane, struct gb_bytes message)
{
	int result = -EAGAIN;

	if (lane->conn)
		result = gb_conn_try_send(lane->conn, message.data, message.size);
	else if (!lane->connecting)
		result = lane_connect(lane) < 0 ? -EHOSTUNREACH : -EAGAIN;
	return result == -EAGAIN ? wait_with(lane, message) : result;
}

/* There is room, or a connection. */
static void go_on(struct lane *lane)
{
	unsigned char *waiting = lane->waiting;
	int result = 0;

	if (waiting)
		result = gb_conn_try_send(lane->conn, waiting, lane->waiting_size);
	if (result == -EAGAIN)
		return;
	lane->waiting = NULL;
	free(waiting);
	if (!lane->session->client)
		return;
	if (result < 0)
		gb_conn_abort(lane->session->client);
	else if (waiting)
		gb_conn_resume(lane->session->client);
}

/* A new connection, which is held while it owes no answer: else its idle timeout is that for answers. */
static void lane_settle(struct lane *lane)
{
	const struct message_settings *settings = gb_conn_user(lane->session->client);

	gb_conn_set(lane->conn, GB_LIMIT_IDLE_TIMEOUT, settings->answer_timeout_ms);
	if (lane->count == 0)
		gb_conn_hold(lane->conn);
}

static void on_linked(struct proxy_link *link, int result)
{
	struct lane *lane = (struct lane *)link;
	struct session *session = lane->session;

	lane->connecting = false;
	if (result == 0 && session->client) {
		lane->conn = link->connecting.conn;
		lane_settle(lane);
		((struct message_far *)gb_conn_state(lane->conn))->lane = lane;
		session->users++;
		go_on(lane);
	} else if (result == 0) {
		gb_conn_abort(link->connecting.conn);
	} else if (session->client) {
		gb_conn_abort(session->client);
	}
	session_leave(session);
}

/* Upstreams. */

static void far_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct lane *lane = ((struct message_far *)gb_conn_state(conn))->lane;
	struct gb_conn *client = lane ? lane->session->client : NULL;
	struct gb_reply reply;

	if (!client)
		return;
	if (lane->count == 0) { /* it was not asked */
		gb_conn_abort(client);
		return;
	}
	reply = lane->replies[lane->first];
	lane->first = (lane->first + 1) & (lane->room - 1);
	if (--lane->count == 0)
		gb_conn_hold(conn);
	if (gb_reply_finish(reply, message.data, message.size) == -ENOMEM)
		gb_conn_abort(client);
}

static void far_writable(struct gb_conn *conn)
{
	struct lane *lane = ((struct message_far *)gb_conn_state(conn))->lane;

	if (lane && lane->waiting)
		go_on(lane);
}

/* It is closed in order from here on, for which it may take its time: its client does not wait for that. */
static void far_error(struct gb_conn *conn, int reason)
{
	const struct lane *lane = ((struct message_far *)gb_conn_state(conn))->lane;

	(void)reason;
	if (lane && lane->count > 0 && lane->session->client)
		gb_conn_abort(lane->session->client);
}

/* Whoever has nothing to say any more has its client end as well; on the second lane the next message finds another. */
static void far_close(struct gb_conn *conn, int reason)
{
	struct lane *lane = ((struct message_far *)gb_conn_state(conn))->lane;
	struct gb_conn *client;

	(void)reason;
	proxy_far_close(conn);
	if (!lane)
		return;
	lane->conn = NULL;
	client = lane->session->client;
	if (client && (lane->count > 0 || lane->waiting))
		gb_conn_abort(client);
	else if (client && lane == &lane->session->lanes[0])
		gb_conn_close(client);
	session_leave(lane->session);
}

/* A route of its own keeps it on its worker's thread, also beside a pool. */
static const struct gb_route far_table[] = {
	{ "answer", .otherwise = true, .on_message = far_message },
	{ NULL },
};
static const struct gb_routes far_routes = { .by = GB_ROUTE_BY_BYTE, .table = far_table };

/* Of an upstream's connection: the timeout for answers bounds all. */
static const struct gb_limit far_limits[] = { { GB_LIMIT_READ_TIMEOUT, 0 }, { GB_LIMIT_WRITE_TIMEOUT, 0 },
	{ GB_LIMIT_NONE, 0 } };

#define FAR_SERVICE(codec_of, options_of) \
	{ \
		GB_SERVICE_INIT, .name = "upstream", .codec = &(codec_of), .codec_options = &(options_of), \
				 .state = GB_STATE_NONE, .conn_state_size = sizeof(struct message_far), \
				 .limits = far_limits, .routes = &far_routes, .on_writable = far_writable, \
				 .on_error = far_error, .on_close = far_close, \
	}

static const struct gb_line_options line_options = { .keep_end = 1 };
static const struct gb_length_options length_options = { .width = LENGTH_SIZE, .keep_header = 1 };
static const struct gb_service far_line = FAR_SERVICE(gb_codec_line, line_options);
static const struct gb_service far_length = FAR_SERVICE(gb_codec_length, length_options);

/* Clients. */

static int client_open(struct gb_conn *client)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->client = client;
	session->users = 1;
	session->lanes[0].session = session->lanes[1].session = session;
	*(struct session **)gb_conn_state(client) = session;
	if (lane_connect(&session->lanes[0]) < 0)
		gb_conn_abort(client);
	return 0;
}

static void take(struct gb_conn *client, struct lane *lane, struct gb_bytes message)
{
	if (expect_reply(lane, client) < 0) {
		gb_conn_abort(client);
		return;
	}
	if (lane->count++ == 0 && lane->conn)
		gb_conn_release(lane->conn);
	if (forward(lane, message) < 0)
		gb_conn_abort(client);
}

static void take_forward(struct gb_conn *client, struct gb_bytes message)
{
	take(client, &session_of(client)->lanes[0], message);
}

static void take_offload(struct gb_conn *client, struct gb_bytes message)
{
	take(client, &session_of(client)->lanes[1], message);
}

/* Behind the answers that are to come. */
static void refuse_line(struct gb_conn *client, struct gb_bytes message)
{
	const struct message_settings *settings = gb_conn_user(client);

	(void)message;
	gb_conn_send(client, settings->refusal, strlen(settings->refusal));
	gb_conn_send(client, "\n", 1);
}

static void refuse_length(struct gb_conn *client, struct gb_bytes message)
{
	const struct message_settings *settings = gb_conn_user(client);
	const size_t size = strlen(settings->refusal);
	const unsigned char header[LENGTH_SIZE] = { (unsigned char)(size >> 24), (unsigned char)(size >> 16),
		(unsigned char)(size >> 8), (unsigned char)size };

	(void)message;
	gb_conn_send(client, header, sizeof(header));
	gb_conn_send(client, settings->refusal, size);
}

static void client_close(struct gb_conn *client, int reason)
{
	struct session *session = session_of(client);

	(void)reason;
	if (!session)
		return;
	session->client = NULL;
	for (size_t i = 0; i < 2; i++) {
		struct lane *lane = &session->lanes[i];

		if (lane->connecting)
			proxy_link_cancel(&lane->link);
		else if (lane->conn && lane->count > 0)
			gb_conn_abort(lane->conn); /* nobody hears the answers */
		else if (lane->conn)
			gb_conn_close(lane->conn);
	}
	session_leave(session);
}

/* The server. */

/* Words with commas between them, of which `others` has none. */
static int check_words(const char *key, const char *list, const char *others, struct gb_error *error)
{
	for (const char *word = list; word; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
		const int size = (int)strcspn(word, ",");

		for (int i = 0; i < size; i++)
			if ((unsigned char)word[i] <= ' ')
				return gb_error_set(
					error, -GB_EUSAGE, "set %s: '%.*s' is no word", key, size, word);
		if (size == 0 && *list)
			return gb_error_set(error, -GB_EUSAGE, "set %s: a word is empty", key);
		if (size > 0 && has_word(others, (const unsigned char *)word, (size_t)size))
			return gb_error_set(
				error, -GB_EUSAGE, "set %s: '%.*s' is refused already", key, size, word);
	}
	return 0;
}

static int message_prepare(
	struct gb_server *server, void *user, const struct gb_service *far_service, struct gb_error *error)
{
	struct message_settings *settings = user;
	const bool aside = settings->offload_to && *settings->offload_to;
	int result = check_words("refuse", settings->refuse, NULL, error);

	if (result == 0)
		result = check_words("offload", settings->offload, settings->refuse, error);
	if (result == 0 && aside && !(settings->offload && *settings->offload))
		result = gb_error_set(error, -GB_EUSAGE,
			"set offload-to: nothing is offloaded: --set offload=WORD[,WORD...]");
	if (result == 0)
		result = proxy_prepare_first(server, &settings->proxy, far_service, error);
	if (result <= 0 || !aside)
		return result < 0 ? result : 0;
	settings->aside = settings->proxy.group;
	settings->aside.shared = NULL;
	result = proxy_group_create(
		&settings->aside, "offload-to", settings->offload_to, gb_server_workers(server), error);
	if (result < 0)
		proxy_release_last(&settings->proxy);
	return result;
}

static int prepare_line(struct gb_server *server, void *user, struct gb_error *error)
{
	return message_prepare(server, user, &far_line, error);
}

static int prepare_length(struct gb_server *server, void *user, struct gb_error *error)
{
	return message_prepare(server, user, &far_length, error);
}

static void message_release(void *user)
{
	struct message_settings *settings = user;

	if (proxy_release_last(&settings->proxy) && settings->aside.shared)
		proxy_group_destroy(&settings->aside);
}

static int message_start(struct gb_worker *worker, void *user)
{
	struct message_settings *settings = user;

	proxy_group_start(&settings->proxy.group, worker);
	if (settings->aside.shared)
		proxy_group_start(&settings->aside, worker);
	return 0;
}

static int message_summary(void *user, char *text, size_t size)
{
	struct message_settings *settings = user;

	return proxy_summarize(
		&settings->proxy, settings->aside.shared ? &settings->aside : NULL, text, size);
}

#define TABLE(refuse_by) \
	{ \
		{ "forward", .key = FORWARD, .on_message = take_forward }, \
			{ "refuse", .key = REFUSE, .on_message = (refuse_by) }, \
			{ "offload", .key = OFFLOAD, .on_message = take_offload }, { NULL }, \
	}

static const struct gb_route line_table[] = TABLE(refuse_line);
static const struct gb_route length_table[] = TABLE(refuse_length);
static const struct gb_routes line_routes = {
	.by = GB_ROUTE_BY_FUNCTION, .choose = choose_line, .table = line_table
};
static const struct gb_routes length_routes = {
	.by = GB_ROUTE_BY_FUNCTION, .choose = choose_length, .table = length_table
};

#define SERVICE(word, text, codec_of, options_of, routes_of, prepare_by) \
	{ \
		GB_SERVICE_INIT, \
			.name = word, .summary = text, .codec = &(codec_of), .codec_options = &(options_of), \
			.state = GB_STATE_NONE, .traits = GB_TRAIT_THREAD_SAFE, \
			.conn_state_size = sizeof(struct session *), .settings = message_settings, \
			.settings_size = sizeof(struct message_settings), .routes = &(routes_of), \
			.on_prepare = (prepare_by), .on_release = message_release, \
			.on_summary = message_summary, .on_start = message_start, .on_open = client_open, \
			.on_close = client_close, \
	}

const struct gb_service gb_service_proxy_line =
	SERVICE("proxy-line", "forwards lines, each answered by a line; refuses or offloads some",
		gb_codec_line, line_options, line_routes, prepare_line);
const struct gb_service gb_service_proxy_length = SERVICE("proxy-length",
	"forwards messages behind their length, each answered by one; refuses or offloads some",
	gb_codec_length, length_options, length_routes, prepare_length);
