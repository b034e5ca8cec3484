/* Leases: what an update says of what it has found. */
#include "announce/node.h"

#include "harness.h"

#define S 1000000000ull
#define NOW 1795880000u
#define SRV_1 "SRV 0 0 7001 a.example."
#define SRV_2 "SRV 0 0 7002 b.example."
#define LEASE_2 "TXT \"lease=1795880030\" \"life=60\" \"id=b:7002\" \"run=2\" \"" SRV_2 "\""

static struct gb__node node;
static struct gb__changes changes;

static void begin(void)
{
	node = (struct gb__node){ .name = "_echo._tcp.example", .run = 1 };
	gb__lease_add(gb__node_own(&node, "a:7001"), SRV_1);
}

/* The name has these records at that time. */
static void look(uint64_t now_s, const char *const *records)
{
	ldns_pkt *answer = ldns_pkt_new();

	for (; *records; records++)
		CHECK(ldns_pkt_push_rr(answer, LDNS_SECTION_ANSWER,
			gb__dns_record(node.name, 60, LDNS_RR_CLASS_IN, *records)));
	CHECK_INT(gb__node_look(&node, answer, now_s * S), 0);
	ldns_pkt_free(answer);
}

static void change(bool leaves, uint64_t unix_s, uint64_t now_s)
{
	gb__changes_finish(&changes);
	gb__node_change(&node, leaves, unix_s, now_s * S, 60, &changes);
	CHECK(!changes.failed);
}

static void end(void)
{
	gb__changes_finish(&changes);
	gb__node_finish(&node);
}

/* Lines as "+ SRV …" and "- TXT …", in their order. */
static void check_changes(const char *expected)
{
	char all[4096] = "";

	for (size_t i = 0; changes.changes && i < ldns_rr_list_rr_count(changes.changes); i++) {
		const ldns_rr *record = ldns_rr_list_rr(changes.changes, i);
		char *text = ldns_rr2str(record);
		const bool added = ldns_rr_get_class(record) == LDNS_RR_CLASS_IN;

		CHECK_INT(ldns_rr_ttl(record), added ? 60 : 0);
		text[strcspn(text, "\n")] = '\0';
		for (char *at = text; *at; at++)
			*at = *at == '\t' ? ' ' : *at;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%c %s\n", added ? '+' : '-',
			strstr(text, added ? " IN " : " NONE ") + (added ? 4 : 6));
		free(text);
	}
	CHECK_STR(all, expected);
}

static const char own_lease[] = "TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"";

TEST(the_first_requires_that_nobody_is_there)
{
	begin();
	look(1, (const char *const[]){ NULL });
	change(false, NOW, 1);
	CHECK_INT(ldns_rr_list_rr_count(changes.prerequisites), 1);
	CHECK_INT(ldns_rr_get_class(ldns_rr_list_rr(changes.prerequisites, 0)), LDNS_RR_CLASS_NONE);
	check_changes("+ TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"\n+ " SRV_1
		      "\n");
	change(true, NOW, 1);
	check_changes("");
	end();
}

TEST(a_second_leaves_the_first_alone_and_requires_it_unchanged)
{
	begin();
	look(1, (const char *const[]){ LEASE_2, "TXT \"v=spf1 -all\"", NULL });
	change(false, NOW, 1);
	CHECK_INT(ldns_rr_list_rr_count(changes.prerequisites), 2);
	CHECK_INT(ldns_rr_ttl(ldns_rr_list_rr(changes.prerequisites, 0)), 0);
	CHECK_INT(changes.removed, 0);
	check_changes("+ TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"\n+ " SRV_1
		      "\n");
	end();
}

TEST(a_lease_that_nobody_renews_goes_with_its_records)
{
	begin();
	look(1, (const char *const[]){ LEASE_2, NULL });
	change(false, NOW, 1);
	CHECK_INT(changes.removed, 0);
	look(60, (const char *const[]){ LEASE_2, NULL });
	change(false, NOW, 60);
	CHECK_INT(changes.removed, 0);
	look(61, (const char *const[]){ LEASE_2, NULL });
	change(false, NOW, 61);
	CHECK_INT(changes.removed, 1);
	check_changes("- " LEASE_2 "\n- " SRV_2 "\n"
		      "+ TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"\n+ " SRV_1
		      "\n");
	end();
}

TEST(one_that_is_renewed_stays_whatever_its_clock_says)
{
	static const char *const renewed[] = { "TXT \"lease=17\" \"life=60\" \"id=b:7002\" \"run=2\" \"" SRV_2
					       "\"",
		"TXT \"lease=18\" \"life=60\" \"id=b:7002\" \"run=2\" \"" SRV_2 "\"" };

	begin();
	for (unsigned i = 0; i < 8; i++) {
		look(1 + i * 40, (const char *const[]){ renewed[i % 2], NULL });
		change(false, 17, 1 + i * 40);
		CHECK_INT(changes.removed, 0);
	}
	end();
}

TEST(one_that_ended_long_ago_goes_at_once)
{
	begin();
	look(1, (const char *const[]){ LEASE_2, NULL });
	change(false, 1795880030 + GB__LEASE_CLOCKS_S, 1);
	CHECK_INT(changes.removed, 0);
	change(false, 1795880030 + GB__LEASE_CLOCKS_S + 1, 1);
	CHECK_INT(changes.removed, 1);
	end();
}

TEST(what_two_leases_name_stays_with_the_second)
{
	begin();
	look(1,
		(const char *const[]){ own_lease,
			"TXT \"lease=1795880030\" \"life=60\" \"id=b:7002\" \"run=2\" \"" SRV_1 "\"", NULL });
	CHECK(gb__node_leased(&node, SRV_1));
	CHECK(!gb__node_leased(&node, SRV_2));
	change(true, NOW, 1);
	check_changes("- TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"\n");
	look(1, (const char *const[]){ own_lease, NULL });
	change(true, NOW, 1);
	check_changes("- TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"\n- " SRV_1
		      "\n");
	end();
}

/* The same port was taken by another run: it removes what the dead one left, and not the other way round. */
TEST(a_later_run_takes_over_and_an_earlier_one_leaves_it_alone)
{
	begin();
	node.run = 9;
	look(1, (const char *const[]){ own_lease, NULL });
	CHECK(gb__node_contested(&node));
	change(true, NOW, 1);
	check_changes("");
	change(false, NOW, 1);
	check_changes("- TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=1\" \"" SRV_1 "\"\n"
		      "+ TXT \"lease=1795880060\" \"life=60\" \"id=a:7001\" \"run=9\" \"" SRV_1 "\"\n+ " SRV_1
		      "\n");
	end();
}

TEST(what_is_no_lease_is_never_touched)
{
	static const char *const others[] = { "TXT \"lease=x\" \"life=60\" \"id=b\" \"run=2\"",
		"TXT \"lease=1\"", "TXT \"lease=1\" \"life=99999999999\" \"id=b\" \"run=2\"",
		"TXT \"lease=1\" \"life=1\" \"is=b\" \"run=2\"",
		"TXT \"lease=1\" \"life=1\" \"id=b\" \"ran=2\"", NULL };

	begin();
	look(1, others);
	change(true, NOW, 100000);
	CHECK_INT(changes.removed, 0);
	check_changes("");
	end();
}

TEST(a_lease_removes_nothing_but_what_leases_bring)
{
	begin();
	look(1,
		(const char *const[]){
			"TXT \"lease=1\" \"life=1\" \"id=b\" \"run=2\" \"NS ns.example.\" \"TXT x\" \"A 10.0.0.1\"",
			NULL });
	change(true, NOW, 1);
	CHECK_INT(changes.removed, 1);
	check_changes(
		"- TXT \"lease=1\" \"life=1\" \"id=b\" \"run=2\" \"NS ns.example.\" \"TXT x\" \"A 10.0.0.1\"\n- A 10.0.0.1\n");
	end();
}
