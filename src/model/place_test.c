/* Which worker gets the next connection: a crew that is nothing but seats and what is counted in each. */
#include "base/macros.h"
#include "harness.h"
#include "model/crew.h"
#include "model/server.h"

#define SEATS 4u

static _Alignas(64) unsigned char memory[sizeof(struct gb__shared) + SEATS * sizeof(struct gb__record)];
static struct gb_server server;
static struct gb__seat seats[SEATS];
static struct gb__crew crew;

static void begin(int place)
{
	server.shared = (struct gb__shared *)memory;
	server.model.place = place;
	server.worker_connections_max = 10;
	crew = (struct gb__crew){ .server = &server, .seats = seats, .seats_count = SEATS, .random = 1 };
	for (unsigned i = 0; i < SEATS; i++)
		seats[i] = (struct gb__seat){ .crew = &crew, .id = i, .taken = true };
}

static struct gb_stats *stats_of(unsigned seat)
{
	return &server.shared->records[seat].counters.stats;
}

/* It is given one, which arrives, or is on the way. */
static unsigned place(bool arrives)
{
	struct gb__seat *seat = gb__crew_place(&crew, (struct gb__handed){ -1, 0 });

	seat->given++;
	stats_of(seat->id)->accepted += arrives;
	stats_of(seat->id)->connections += arrives;
	return seat->id;
}

static void check_turns(const char *expected, bool arrive, bool leave)
{
	for (; *expected; expected++) {
		const unsigned seat = place(arrive);

		CHECK_INT(seat, *expected - '0');
		if (leave)
			stats_of(seat)->connections--;
	}
}

TEST(all_get_one_after_the_other)
{
	begin(GB__PLACE_ROUND_ROBIN);
	check_turns("01230123", true, false);
}

TEST(of_equals_the_one_behind_the_last_choice_gets_it)
{
	begin(GB__PLACE_LEAST_CONNECTIONS);
	check_turns("01230123", true, true);
	check_turns("01230", true, false);
}

TEST(the_one_that_has_fewest_gets_it_and_what_is_on_the_way_counts)
{
	begin(GB__PLACE_LEAST_CONNECTIONS);
	stats_of(0)->connections = 3;
	stats_of(1)->connections = 5;
	stats_of(2)->connections = 1;
	stats_of(3)->connections = 3;
	check_turns("22302302301", false, false); /* from 2 on: 3 has as many as 0, and is behind it */
}

TEST(who_is_full_or_away_or_has_ended_is_passed_over_while_another_is_there)
{
	begin(GB__PLACE_ROUND_ROBIN);
	stats_of(0)->connections = server.worker_connections_max;
	atomic_store(&server.shared->records[1].away, true);
	seats[2].taken = false;
	check_turns("333", true, false);
	stats_of(3)->connections = server.worker_connections_max;
	crew.next = 2;
	check_turns("3", false, false); /* nobody is fit: who lives */
}
