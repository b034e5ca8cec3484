#include "verify/secure.h"

#include "tls/tls.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536u
#define RECORDS_READ 16384u /* of them, so that what they hold fits beside what was left of one before */

static int emit(void *arg, const void *data, size_t size)
{
	struct verify_way *way = arg;

	gb__verify_bytes_append(&way->records, data, size);
	return 0;
}

static const struct gb__tls_sink sink = { .emit = emit };

int gb__verify_way_flush(struct verify_way *way)
{
	while (way->sent < way->records.size) {
		ssize_t sent = send(
			way->fd, way->records.data + way->sent, way->records.size - way->sent, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		way->sent += (size_t)sent;
	}
	way->sent = way->records.size = 0;
	return 0;
}

int gb__verify_way_begin(struct verify_way *way, struct gb__tls *tls)
{
	int result;

	way->shaken = !tls;
	if (!tls)
		return 0;
	result = gb__tls_pool_create(&way->pool);
	if (result == 0)
		result = gb__tls_session_create(tls, way->pool, "localhost", &sink, way, &way->session);
	if (result == 0 && gb__tls_session_handshake(way->session) < 0)
		result = -EPROTO;
	if (result == 0)
		result = gb__verify_way_flush(way);
	return result == -EAGAIN ? 0 : result;
}

ssize_t gb__verify_way_send(struct verify_way *way, const void *data, size_t size)
{
	ssize_t taken;
	int result;

	if (!way->session) {
		do
			taken = send(way->fd, data, size, MSG_NOSIGNAL);
		while (taken < 0 && errno == EINTR);
		return taken < 0 ? -errno : taken;
	}
	result = gb__verify_way_flush(way);
	if (result < 0)
		return result;
	taken = gb__tls_session_write(way->session, data, size < RECORDS_READ ? size : RECORDS_READ);
	if (taken < 0)
		return -EPROTO;
	result = gb__verify_way_flush(way);
	return result < 0 && result != -EAGAIN ? result : taken;
}

/* What records hold. Returns 0 or -EPROTO. */
static int decrypt(struct verify_way *way, unsigned char *records, size_t size, struct verify_bytes *got)
{
	unsigned char *data;
	ssize_t read;

	gb__tls_session_input(way->session, records, size);
	if (!way->shaken) {
		int result = gb__tls_session_handshake(way->session);

		if (result <= 0)
			return result < 0 ? -EPROTO : 0;
		way->shaken = true;
	}
	while ((read = gb__tls_session_read(way->session, &data)) > 0)
		gb__verify_bytes_append(got, data, (size_t)read);
	return read < 0 ? -EPROTO : 0;
}

ssize_t gb__verify_way_receive(struct verify_way *way, struct verify_bytes *got)
{
	unsigned char buffer[READ_SIZE];
	ssize_t size;
	int result;

	do
		size = recv(way->fd, buffer, way->session ? RECORDS_READ : sizeof(buffer), 0);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	if (!way->session) {
		gb__verify_bytes_append(got, buffer, (size_t)size);
		return size;
	}
	if (size == 0) {
		way->cut = !gb__tls_session_ended(way->session);
		return way->shaken ? 0 : -EPROTO;
	}
	result = decrypt(way, buffer, (size_t)size, got);
	(void)gb__verify_way_flush(way); /* whoever sends next sees why it fails */
	return result < 0 ? result : size;
}

int gb__verify_way_shut(struct verify_way *way)
{
	int result = 0;

	if (way->session) {
		gb__tls_session_close(way->session);
		result = gb__verify_way_flush(way);
	}
	if (result == 0 && shutdown(way->fd, SHUT_WR) < 0 && errno != ENOTCONN)
		result = -errno;
	return result;
}

void gb__verify_way_close(struct verify_way *way, bool quietly)
{
	if (way->session && way->fd >= 0 && !quietly) {
		gb__tls_session_close(way->session);
		(void)gb__verify_way_flush(way);
	}
	if (way->fd >= 0)
		close(way->fd);
	way->fd = -1;
	gb__tls_session_destroy(way->session);
	way->session = NULL;
	gb__tls_pool_destroy(way->pool);
	way->pool = NULL;
	gb__verify_bytes_finish(&way->records);
}

const char *gb__verify_way_problem(const struct verify_way *way)
{
	return way->session ? gb__tls_session_problem(way->session) : NULL;
}
