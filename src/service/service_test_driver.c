#include "service_test_driver.h"

#include <errno.h>

const struct gb_codec_ops gb_codec_line, gb_codec_length; /* never called: messages come whole */

struct gb_conn *service_conn(const struct gb_service *service, const char *key, const char *value)
{
	struct gb_conn *conn = calloc(1, sizeof(*conn));
	struct gb_error error;

	CHECK(conn != NULL);
	conn->room = SIZE_MAX;
	conn->state = calloc(1, service->conn_state_size + 1);
	conn->user = calloc(1, service->settings_size + 1);
	CHECK(conn->state && conn->user);
	if (service->settings)
		CHECK_INT(gb_settings_init(service->settings, conn->user, service->settings_size), 0);
	if (key && gb_settings_set(service->settings, conn->user, key, value, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return conn;
}

void service_conn_destroy(const struct gb_service *service, struct gb_conn *conn)
{
	if (service->settings)
		gb_settings_finish(service->settings, conn->user);
	free(conn->user);
	free(conn->state);
	free(conn->sent);
	free(conn);
}

void service_deliver(const struct gb_service *service, struct gb_conn *conn, const void *data, size_t size)
{
	/* No byte more, so that a sanitizer sees steps too far. */
	unsigned char *message = malloc(size ? size : 1);

	CHECK(message != NULL);
	memcpy(message, data, size);
	service->on_message(conn, (struct gb_bytes){ message, size });
	free(message);
}

void service_check_sent(struct gb_conn *conn, const void *data, size_t size)
{
	CHECK_INT(conn->size, size);
	CHECK(size == 0 || memcmp(conn->sent, data, size) == 0);
	conn->size = 0;
}

void *gb_conn_user(const struct gb_conn *conn)
{
	return conn->user;
}

void *gb_conn_state(struct gb_conn *conn)
{
	return conn->state;
}

int gb_conn_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (conn->closed)
		return -EPIPE;
	conn->sent = realloc(conn->sent, conn->size + size + 1);
	CHECK(conn->sent != NULL);
	memcpy(conn->sent + conn->size, data, size);
	conn->size += size;
	return 0;
}

int gb_conn_try_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (!conn->closed && conn->size > 0 && conn->size + size > conn->room)
		return -EAGAIN;
	return gb_conn_send(conn, data, size);
}

void gb_conn_close(struct gb_conn *conn)
{
	gb_conn_fail(conn, GB_CLOSE_LOCAL);
}

void gb_conn_fail(struct gb_conn *conn, int reason)
{
	if (!conn->closed)
		conn->reason = reason;
	conn->closed = true;
}

bool gb_conn_cancelled(const struct gb_conn *conn)
{
	return conn->closed;
}
