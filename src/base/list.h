/** Doubly linked intrusive list with a sentinel. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct gb__list {
	struct gb__list *next, *prev;
};

static inline void gb__list_init(struct gb__list *list)
{
	list->next = list->prev = list;
}

static inline bool gb__list_empty(const struct gb__list *list)
{
	return list->next == list;
}

static inline void gb__list_append(struct gb__list *list, struct gb__list *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

/** Unlink; the node becomes an empty list of its own, so that a second removal is harmless. */
static inline void gb__list_remove(struct gb__list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	gb__list_init(node);
}

/** All of `from` goes to the end of `list`. */
static inline void gb__list_move(struct gb__list *list, struct gb__list *from)
{
	if (gb__list_empty(from))
		return;
	from->next->prev = list->prev;
	list->prev->next = from->next;
	from->prev->next = list;
	list->prev = from->prev;
	gb__list_init(from);
}

#endif
