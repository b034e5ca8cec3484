/* Who a connection is for, as a handler sees it: by its own ends, or by what a proxy said of it. */
#include "handlers.h"

#include <string.h>

static void print(struct gb_conn *conn, const char *what, int result, const char *text, size_t size)
{
	if (result < 0)
		gb_conn_printf(conn, " %s=-", what);
	else
		gb_conn_printf(conn, " %s=%.*s", what, (int)size, text);
}

static void print_address(struct gb_conn *conn, const char *what,
	int (*address)(const struct gb_conn *conn, char *text, size_t size))
{
	char text[448];
	int result = address(conn, text, sizeof(text));

	print(conn, what, result, text, strlen(text));
}

static void print_value(struct gb_conn *conn, const char *what, unsigned type)
{
	struct gb_bytes value = { 0 };
	int result = gb_conn_proxy_tlv(conn, type, &value);

	print(conn, what, result, (const char *)value.data, value.size);
}

static void tell(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_proxy_tls tls = { 0 };

	gb_conn_printf(conn, "%.*s", (int)line.size, (const char *)line.data);
	print_address(conn, "peer", gb_conn_peer);
	print_address(conn, "local", gb_conn_local);
	print_address(conn, "proxy", gb_conn_proxy);
	print_value(conn, "authority", GB_PROXY_AUTHORITY);
	print_value(conn, "alpn", GB_PROXY_ALPN);
	print_value(conn, "id", GB_PROXY_UNIQUE_ID);
	print_value(conn, "custom", 0xe0);
	if (gb_conn_proxy_tls(conn, &tls) == 0)
		gb_conn_printf(conn, " tls=%d,%d,%d,%.*s,%.*s", tls.tls, tls.certificate, tls.verified,
			(int)tls.version.size, (const char *)tls.version.data, (int)tls.common_name.size,
			(const char *)tls.common_name.data);
	gb_conn_send(conn, "\n", 1);
}

const struct gb_service forwarded_service = {
	GB_SERVICE_INIT,
	.name = "forwarded",
	.summary = "answers each line with it and whom its connection is for",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE,
	.on_message = tell,
};
