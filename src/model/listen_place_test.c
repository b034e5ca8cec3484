/* Where a text of --listen is: a server that listens by it, and one that does not. */
#include "model/listen_place.h"

#include "harness.h"

#include "os/socket.h"

#include <gearbox/server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOKS 4 /* more than wait where backlog is 1 */

static void unheard(struct gb_conn *conn, struct gb_bytes bytes)
{
	(void)conn;
	(void)bytes;
}

static const struct gb_service quiet = { GB_SERVICE_INIT, .name = "quiet", .state = GB_STATE_NONE,
	.on_message = unheard };

/* Its text is taken while a server listens by it, and at no other time; `service` stands before it for the command line. */
static void check_taken(const char *service, const char *text)
{
	struct gb_options *options;
	struct gb_server *server;
	struct gb_error error = { 0 };
	char line[256];

	snprintf(line, sizeof(line), "%s%s", service, text);
	CHECK(!gb__listen_is_taken(line));
	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_server_create(options, &server, &error), 0);
	gb_options_destroy(options);
	if (gb_server_listen(server, text, &quiet, NULL, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	for (unsigned i = 0; i < LOOKS; i++)
		CHECK(gb__listen_is_taken(line)); /* looking changes nothing */
	gb_server_destroy(server);
	CHECK(!gb__listen_is_taken(line));
}

TEST(an_address_is_taken_while_a_server_listens_by_its_text)
{
	static const char *const names[] = { "plain", "with=equals", "with,comma", "with,,comma=7,backlog=9",
		"full,backlog=1" };
	char folder[] = "/tmp/gearbox-place-XXXXXX", text[128];

	CHECK(mkdtemp(folder));
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (unsigned packets = 0; packets < 2; packets++) {
			snprintf(text, sizeof(text), "unix%s:%s/%s", packets ? "-seqpacket" : "", folder,
				names[i]);
			check_taken(i % 2 ? "quiet=" : "", text);
		}
	CHECK_INT(rmdir(folder), 0);
	snprintf(text, sizeof(text), "unix:@gearbox-place-%d", (int)getpid());
	check_taken("", text);
}

static unsigned port_in(const char *text)
{
	const char *colon = strrchr(text, ':');

	return colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}

TEST(a_port_that_is_kept_is_nobody_elses_and_can_be_listened_on)
{
	static const char *const texts[][2] = { { "127.0.0.1:0", "127.0.0.1:%u" },
		{ "quiet=127.0.0.1:0,backlog=9", "quiet=127.0.0.1:%u,backlog=9" }, { "*:0", "*:%u" } };

	for (unsigned i = 0; i < 3; i++) {
		char expected[64];
		int fd = -1;
		char *named = gb__listen_with_port(texts[i][0], &fd);
		const char *place;

		CHECK(named && fd >= 0);
		place = strstr(texts[i][1], "%u");
		snprintf(expected, sizeof(expected), "%.*s%u%s", (int)(place - texts[i][1]), texts[i][1],
			port_in(named), place + 2);
		CHECK_STR(named, expected);
		CHECK(port_in(named) > 0);
		check_taken(i == 1 ? "quiet=" : "", named + (i == 1 ? strlen("quiet=") : 0));
		gb__socket_close(fd);
		free(named);
	}
}

TEST(what_is_no_such_address_is_not_taken_nor_given_a_port)
{
	static const char *const texts[] = { "", "nowhere", "127.0.0.1", "127.0.0.1:x", "unix:", "fd:3",
		"systemd", "127.0.0.1:0,no-such-key=1", "[::1:0" };
	int fd;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK(!gb__listen_is_taken(texts[i]));
		CHECK(!gb__listen_with_port(texts[i], &fd));
	}
	CHECK(!gb__listen_with_port("unix:/tmp/:0", &fd));
	CHECK(!gb__listen_with_port("127.0.0.1:7000", &fd));
}
