/* A server in a loop of libuv's, beside whatever else that loop has. */
#include <gearbox/gearbox.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <uv.h>

static struct gb_server *server;
static uv_poll_t poller;      /* on the server's descriptor */
static uv_timer_t timer;      /* what it may wait for at most */
static uv_prepare_t prepare;  /* before each wait of the loop */
static uv_signal_t terminate; /* the loop's own business, as is the next */
static uv_timer_t heart;
static uint64_t beats;

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_printf(conn, "%.*s at beat %" PRIu64 "\n", (int)line.size, (const char *)line.data, beats);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "embed", .codec = &gb_codec_line,
	.state = GB_STATE_ADDRESS_SPACE, .on_message = on_message };

static void step(void)
{
	uv_handle_t *const handles[] = { (uv_handle_t *)&poller, (uv_handle_t *)&timer,
		(uv_handle_t *)&prepare, (uv_handle_t *)&terminate, (uv_handle_t *)&heart };

	if (gb_server_step(server))
		return;
	for (size_t i = 0; i < sizeof(handles) / sizeof(*handles); i++)
		if (!uv_is_closing(handles[i]))
			uv_close(handles[i], NULL); /* the loop ends with its last handle */
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	step();
}

static void on_time(uv_timer_t *handle)
{
	step();
}

static void on_prepare(uv_prepare_t *handle)
{
	int ms = gb_server_timeout_ms(server);

	if (ms >= 0)
		uv_timer_start(&timer, on_time, (uint64_t)ms, 0);
	else
		uv_timer_stop(&timer);
}

static void on_terminate(uv_signal_t *handle, int number)
{
	gb_server_stop(server);
}

static void on_beat(uv_timer_t *handle)
{
	beats++;
}

static void loop(void)
{
	uv_loop_t *own = uv_default_loop();

	uv_poll_init(own, &poller, gb_server_descriptor(server));
	uv_timer_init(own, &timer);
	uv_prepare_init(own, &prepare);
	uv_poll_start(&poller, UV_READABLE, on_ready);
	uv_prepare_start(&prepare, on_prepare);
	uv_signal_init(own, &terminate);
	uv_signal_start(&terminate, on_terminate, SIGTERM);
	uv_timer_init(own, &heart);
	uv_timer_start(&heart, on_beat, 10, 10);
	uv_run(own, UV_RUN_DEFAULT);
	uv_loop_close(own);
}

int main(int argc, char **argv)
{
	struct gb_error error = { .text = "no memory" };
	struct gb_options *options = NULL;
	int fine = gb_options_create(&options) == 0 &&
		gb_options_set(options, "model", argc > 1 ? argv[1] : "reactor", &error) == 0 &&
		gb_server_create(options, &server, &error) == 0 &&
		gb_server_listen(server, "127.0.0.1:0", &service, NULL, &error) == 0 &&
		gb_server_begin(server, &error) == 0;

	gb_options_destroy(options);
	if (fine) {
		fprintf(stderr, "embed_uv: %s, %s\n", gb_server_address(server, 0), gb_server_model(server));
		loop();
		gb_server_end(server);
	}
	gb_server_destroy(server);
	return fine ? 0 : (fprintf(stderr, "embed_uv: %s\n", error.text), 1);
}
