/* The registrar before a name server that does as the test says: a small one, in a process of its own. */
#include "announce/register.h"

#include "harness.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ECHO_NAME "_echo._tcp.example.org"
#define SOA "SOA ns.example.org. root.example.org. 1 3600 600 86400 60"
#define CODES_MAX 8u
#define MS 1000000ull

/* What it does, and what it has. */
static struct {
	ldns_pkt_rcode codes[CODES_MAX]; /* of the first updates; then it takes them */
	uint32_t granted_s;
	bool zoneless, closes, silent, has_stale; /* closes: the first connection */
	_Atomic unsigned updates, records;
	char text[8192]; /* all records, as ldns writes them */
} * server;

static pid_t server_pid;
static struct gb__announce *announce;
static struct gb__loop loop;
static struct gb__watches watches;
static bool gone;

/* --- the name server --- */

static ldns_rr_list *zone;

static void zone_tell(void)
{
	char *text = ldns_rr_list2str(zone);

	snprintf(server->text, sizeof(server->text), "%s", text ? text : "");
	free(text);
	server->records = (unsigned)ldns_rr_list_rr_count(zone);
}

static void zone_remove(const ldns_rr *record)
{
	ldns_rr *wanted = ldns_rr_clone(record);
	ldns_rr_list *rest = ldns_rr_list_new();

	ldns_rr_set_class(wanted, LDNS_RR_CLASS_IN);
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone); i++)
		if (ldns_rr_compare(ldns_rr_list_rr(zone, i), wanted) != 0)
			ldns_rr_list_push_rr(rest, ldns_rr_list_rr(zone, i));
	zone = rest; /* the process ends soon */
}

static ldns_pkt *take_update(const ldns_pkt *request)
{
	const ldns_rr_list *changes = ldns_pkt_authority(request);
	const unsigned number = server->updates++;
	const ldns_pkt_rcode code = number < CODES_MAX ? server->codes[number] : LDNS_RCODE_NOERROR;
	ldns_pkt *answer = server->granted_s
		? gb__dns_update("example.org", NULL, &(ldns_rr_list){ 0 }, server->granted_s)
		: ldns_pkt_new();

	for (size_t i = 0; code == LDNS_RCODE_NOERROR && i < ldns_rr_list_rr_count(changes); i++) {
		const ldns_rr *record = ldns_rr_list_rr(changes, i);

		zone_remove(record);
		if (ldns_rr_get_class(record) == LDNS_RR_CLASS_IN)
			ldns_rr_list_push_rr(zone, ldns_rr_clone(record));
	}
	zone_tell();
	ldns_pkt_set_rcode(answer, (uint8_t)code);
	return answer;
}

static ldns_pkt *answer_question(const ldns_rr *question)
{
	ldns_pkt *answer = ldns_pkt_new();

	if (ldns_rr_get_type(question) == LDNS_RR_TYPE_SOA && !server->zoneless)
		ldns_pkt_push_rr(answer, LDNS_SECTION_AUTHORITY,
			gb__dns_record("example.org", 60, LDNS_RR_CLASS_IN, SOA));
	for (size_t i = 0; i < ldns_rr_list_rr_count(zone); i++) {
		const ldns_rr *record = ldns_rr_list_rr(zone, i);

		if (ldns_rr_get_type(record) == ldns_rr_get_type(question) &&
			ldns_dname_compare(ldns_rr_owner(record), ldns_rr_owner(question)) == 0)
			ldns_pkt_push_rr(answer, LDNS_SECTION_ANSWER, ldns_rr_clone(record));
	}
	return answer;
}

static bool read_whole(int fd, uint8_t *bytes, size_t size)
{
	for (ssize_t got; size > 0; bytes += got, size -= (size_t)got)
		if ((got = read(fd, bytes, size)) <= 0)
			return false;
	return true;
}

/* Returns whether the connection goes on. */
static bool answer_one(int fd)
{
	uint8_t bytes[UINT16_MAX + 2], length[2], *wire;
	ldns_pkt *request, *answer;
	size_t size;

	if (!read_whole(fd, length, 2) || !read_whole(fd, bytes, (size_t)(length[0] << 8 | length[1])))
		return false;
	if (server->closes) {
		server->closes = false;
		return false;
	}
	if (server->silent)
		return true;
	if (ldns_wire2pkt(&request, bytes, (size_t)(length[0] << 8 | length[1])) != LDNS_STATUS_OK)
		return false;
	answer = ldns_pkt_get_opcode(request) == LDNS_PACKET_UPDATE
		? take_update(request)
		: answer_question(ldns_rr_list_rr(ldns_pkt_question(request), 0));
	ldns_pkt_set_qr(answer, true);
	ldns_pkt_set_id(answer, ldns_pkt_id(request));
	if (ldns_pkt2wire(&wire, answer, &size) != LDNS_STATUS_OK)
		return false;
	bytes[0] = (uint8_t)(size >> 8);
	bytes[1] = (uint8_t)size;
	memcpy(bytes + 2, wire, size);
	/* In pieces: one who reads them has to wait for the rest. */
	return write(fd, bytes, 1) == 1 && write(fd, bytes + 1, size + 1) == (ssize_t)size + 1;
}

_Noreturn static void serve_names(int listening)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	zone = ldns_rr_list_new();
	if (server->has_stale) {
		ldns_rr_list_push_rr(zone,
			gb__dns_record(ECHO_NAME, 60, LDNS_RR_CLASS_IN,
				"TXT \"lease=1000\" \"life=60\" \"id=b:7\" \"run=2\" \"SRV 0 0 7 b.example.org.\""));
		ldns_rr_list_push_rr(
			zone, gb__dns_record(ECHO_NAME, 60, LDNS_RR_CLASS_IN, "SRV 0 0 7 b.example.org."));
	}
	for (;;) {
		int fd = accept(listening, NULL, NULL);

		while (fd >= 0 && answer_one(fd))
			;
		close(fd);
	}
}

/* --- the registrar --- */

static void on_gone(void *arg)
{
	*(bool *)arg = true;
}

/* Before `begin`: what the server is to do. */
static void prepare(void)
{
	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(server != MAP_FAILED);
}

static void begin(uint64_t ttl_ms)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(name);
	struct gb__announce_options options = { .host = (char *)"a", .ttl_ms = ttl_ms };
	const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct gb__engine *engine;
	struct gb__address address;
	struct gb_error error = { 0 };
	char text[32];

	CHECK_INT(bind(listening, (struct sockaddr *)&name, sizeof(name)), 0);
	CHECK_INT(listen(listening, 8), 0);
	CHECK_INT(getsockname(listening, (struct sockaddr *)&name, &size), 0);
	server_pid = fork();
	CHECK(server_pid >= 0);
	if (server_pid == 0)
		serve_names(listening);
	close(listening);

	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(name.sin_port));
	options.server = text;
	CHECK_INT(gb__announce_create(&options, &announce, &error), 0);
	CHECK_INT(gb__address_parse("192.0.2.1:7001", false, &address, &error), 0);
	CHECK_INT(gb__announce_add(announce, ECHO_NAME, &address, 1, 2, &error), 0);
	CHECK_INT(gb__engine_create(
			  "poll", (struct gb__engine_options){ .os = &gb__os_linux }, &engine, &error),
		0);
	gb__loop_init(&loop, engine);
	gb__watches_init(&watches, &loop);
	CHECK_INT(gb__announce_begin(announce, &watches, NULL, on_gone, &gone), 0);
}

#define UNTIL(condition) \
	while (!(condition)) \
	CHECK(gb__loop_turn(&loop, -1) >= 0)

static struct gb__announce_status status(void)
{
	struct gb__announce_status now;

	gb__announce_status(announce, &now);
	return now;
}

static bool is(const char *state)
{
	return strcmp(status().state, state) == 0;
}

static void finish(void)
{
	gb__announce_destroy(announce);
	gb__watches_end(&watches);
	UNTIL(watches.attached == 0);
	gb__watches_finish(&watches);
	gb__loop_finish(&loop);
	kill(server_pid, SIGKILL);
	CHECK_INT(waitpid(server_pid, NULL, 0), server_pid);
}

static void withdraw_and_finish(void)
{
	gb__announce_withdraw(announce, 60000);
	UNTIL(gone);
	CHECK(is("removed"));
	CHECK_INT(server->records, 0);
	finish();
}

TEST(what_is_served_is_registered_and_taken_back)
{
	uint64_t left_ms;

	prepare();
	begin(60000);
	CHECK(is("registering") && !gb__announce_gone(announce));
	UNTIL(is("registered"));
	CHECK_STR(status().zone, "example.org");
	CHECK_INT(status().updates, 1);
	CHECK_INT(status().failures, 0);
	CHECK_INT(status().life_s, 60);
	CHECK(!status().leased);
	CHECK_INT(server->updates, 1);
	CHECK_INT(server->records, 4); /* a lease at each name, and what it brings */
	CHECK(strstr(server->text, "SRV\t1 2 7001 a.example.org."));
	CHECK(strstr(server->text, "A\t192.0.2.1"));
	/* Again at half of its life, or up to a quarter sooner. */
	left_ms = (announce->next.deadline_ns - gb__os_linux.ops->now_ns(&gb__os_linux)) / MS;
	CHECK(left_ms > 15000 && left_ms <= 30000);
	withdraw_and_finish();
}

TEST(it_is_renewed_before_its_life_is_over)
{
	prepare();
	begin(1000);
	for (unsigned updates = 1; updates <= 3; updates++) {
		UNTIL(status().updates == updates);
		CHECK(is("registered"));
		CHECK_INT(status().failures, 0);
		/* Its own address, which is there by now, is leased on. */
		CHECK_INT(server->records, 4);
	}
	withdraw_and_finish();
}

/* Each looks again at what has changed meanwhile. */
TEST(who_comes_second_tries_again_at_once)
{
	prepare();
	server->codes[0] = LDNS_RCODE_YXRRSET;
	server->codes[1] = LDNS_RCODE_NXRRSET;
	begin(60000);
	UNTIL(is("registered"));
	CHECK_INT(server->updates, 3);
	CHECK_INT(status().updates, 1);
	CHECK_INT(status().failures, 0);
	CHECK_INT(announce->conflicts, 0);
	withdraw_and_finish();
}

TEST(a_refusal_is_told_and_tried_again)
{
	prepare();
	server->codes[0] = LDNS_RCODE_REFUSED;
	begin(60000);
	UNTIL(status().failures == 1);
	CHECK(is("retrying"));
	CHECK(strstr(status().error, "REFUSED"));
	UNTIL(is("registered"));
	CHECK_STR(status().error, "");
	CHECK_INT(announce->attempts, 0);
	withdraw_and_finish();
}

TEST(a_server_that_hangs_up_is_connected_to_again)
{
	prepare();
	server->closes = true;
	begin(60000);
	UNTIL(status().failures == 1);
	CHECK(strstr(status().error, "has closed the connection"));
	UNTIL(is("registered"));
	withdraw_and_finish();
}

TEST(a_server_that_knows_no_zone_is_told_apart)
{
	prepare();
	server->zoneless = true;
	begin(60000);
	UNTIL(status().failures == 1);
	CHECK(strstr(status().error, "announce-zone"));
	CHECK_INT(server->updates, 0);
	/* Nothing was asked for, so nothing is there to be taken back. */
	withdraw_and_finish();
}

TEST(a_life_that_the_server_grants_bounds_ours)
{
	prepare();
	server->granted_s = 30;
	begin(60000);
	UNTIL(is("registered"));
	CHECK(status().leased);
	CHECK_INT(status().life_s, 30);
	withdraw_and_finish();
}

TEST(what_nobody_has_renewed_for_long_is_removed)
{
	prepare();
	server->has_stale = true;
	begin(60000);
	UNTIL(is("registered"));
	CHECK_INT(status().expired, 1);
	CHECK_INT(server->records, 4);
	CHECK(!strstr(server->text, "b.example.org"));
	withdraw_and_finish();
}

TEST(who_leaves_before_anything_was_asked_is_gone)
{
	prepare();
	begin(60000);
	gb__announce_withdraw(announce, 60000);
	CHECK(gone && gb__announce_gone(announce) && is("removed"));
	gb__announce_withdraw(announce, 60000);
	finish();
	CHECK_INT(server->updates, 0);
}

/* Nobody knows when that one will have been done: it is waited for. */
TEST(who_leaves_while_an_update_is_on_its_way_removes_what_that_brings)
{
	prepare();
	begin(60000);
	UNTIL(announce->step == GB__ANNOUNCE_UPDATE);
	gb__announce_withdraw(announce, 60000);
	CHECK(!gone && is("removing"));
	UNTIL(gone);
	CHECK(is("removed"));
	CHECK_INT(server->updates, 2);
	CHECK_INT(server->records, 0);
	finish();
}

TEST(who_is_not_answered_leaves_it_to_the_lease)
{
	prepare();
	begin(60000);
	UNTIL(is("registered"));
	server->silent = true;
	gb__announce_withdraw(announce, 20);
	CHECK(is("removing"));
	UNTIL(gone);
	CHECK(is("left"));
	finish();
	CHECK_INT(server->records, 4);
}
