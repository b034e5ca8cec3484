#include "base/nearest.h"
#include "harness.h"

#include <stdarg.h>

/* Further arguments: the words, then NULL. An expected "" means none. */
static void check_nearest(const char *typed, const char *expected, ...)
{
	struct gb__nearest nearest;
	const char *word;
	va_list words;

	gb__nearest_init(&nearest, typed);
	va_start(words, expected);
	while ((word = va_arg(words, const char *)))
		gb__nearest_offer(&nearest, word);
	va_end(words);
	CHECK_STR(nearest.word ? nearest.word : "", expected);
}

TEST(typing_errors_find_their_word)
{
	check_nearest("idle-timout", "idle-timeout", "read-timeout", "idle-timeout", "write-timeout", NULL);
	check_nearest("idle_timeout", "idle-timeout", "read-timeout", "idle-timeout", NULL);
	check_nearest("epol", "epoll", "poll", "epoll", NULL);
	check_nearest("ercator", "reactor", "proactor", "reactor", NULL);
	check_nearest("--model", "model", "module", "model", NULL);
	check_nearest("reatcor", "reactor", "proactor", "reactor", NULL);
}

TEST(exact_word_wins_over_its_neighbours)
{
	check_nearest("fork", "fork", "forks", "fork", "prefork", NULL);
}

TEST(first_of_equally_near_words_wins)
{
	check_nearest("pool", "poll", "poll", "tool", NULL);
}

TEST(beginning_of_a_word_finds_it)
{
	check_nearest("back", "backlog", "model", "backlog", NULL);
	check_nearest("b", "", "backlog", NULL);
}

TEST(distant_words_are_not_suggested)
{
	check_nearest("zebra", "", "backlog", "model", "nodelay", NULL);
	check_nearest("", "", "model", NULL);
	check_nearest("ab", "", "cd", NULL);
	check_nearest("model", "", NULL);
}

TEST(very_long_words_are_not_compared)
{
	char typed[101] = "";

	memset(typed, 'a', sizeof(typed) - 1);
	check_nearest(typed, "", typed, "aaa", NULL);
	typed[64] = '\0';
	check_nearest(typed, typed, "aaa", typed, NULL);
}
