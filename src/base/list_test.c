#include "base/list.h"
#include "base/macros.h"
#include "harness.h"

struct item {
	int number;
	struct gb__list node;
};

static void check_numbers(const struct gb__list *list, const char *expected)
{
	char text[64] = "";
	size_t used = 0;

	for (struct gb__list *node = list->next; node != list; node = node->next) {
		CHECK(node->next->prev == node && node->prev->next == node);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%d",
			gb__container_of(node, struct item, node)->number);
	}
	CHECK_STR(text, expected);
}

TEST(order_of_appending_is_kept_through_removals)
{
	struct item items[4];
	struct gb__list list;

	gb__list_init(&list);
	CHECK(gb__list_empty(&list));
	for (int i = 0; i < 4; i++) {
		items[i].number = i;
		gb__list_append(&list, &items[i].node);
	}
	check_numbers(&list, "0123");
	gb__list_remove(&items[1].node);
	check_numbers(&list, "023");
	gb__list_remove(&items[0].node);
	gb__list_remove(&items[3].node);
	check_numbers(&list, "2");
	gb__list_append(&list, &items[1].node);
	check_numbers(&list, "21");
	gb__list_remove(&items[1].node);
	gb__list_remove(&items[2].node);
	CHECK(gb__list_empty(&list));
}

TEST(second_removal_is_harmless)
{
	struct item item, other;
	struct gb__list list;

	gb__list_init(&list);
	gb__list_append(&list, &item.node);
	gb__list_append(&list, &other.node);
	gb__list_remove(&item.node);
	gb__list_remove(&item.node);
	CHECK(gb__list_empty(&item.node));
	CHECK(list.next == &other.node && list.prev == &other.node);
}
