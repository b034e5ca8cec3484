#include "base/hash.h"
#include "harness.h"

/* Of draft-eastlake-fnv. */
TEST(vectors_of_fnv_1a)
{
	CHECK(gb__hash32_add_text(GB__HASH32, "") == 0x811c9dc5u);
	CHECK(gb__hash32_add_text(GB__HASH32, "a") == 0xe40c292cu);
	CHECK(gb__hash32_add_text(GB__HASH32, "foobar") == 0xbf9cf968u);
	CHECK(gb__hash32_add(GB__HASH32, "foobar", 6) == 0xbf9cf968u);
	CHECK(gb__hash64_add(GB__HASH64, "", 0) == 0xcbf29ce484222325u);
	CHECK(gb__hash64_add(GB__HASH64, "a", 1) == 0xaf63dc4c8601ec8cu);
	CHECK(gb__hash64_add(GB__HASH64, "foobar", 6) == 0x85944171f73967e8u);
}

TEST(parts_are_hashed_as_the_whole)
{
	CHECK(gb__hash32_add_text(gb__hash32_add(GB__HASH32, "foo", 3), "bar") == 0xbf9cf968u);
	CHECK(gb__hash64_add(gb__hash64_add(GB__HASH64, "foo", 3), "bar", 3) == 0x85944171f73967e8u);
}
