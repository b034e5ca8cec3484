/** Memory for connections: pages of equal cells, recycled; those that hold nothing go back when asked to. */
#ifndef NET_SLAB_H
#define NET_SLAB_H

#include <stddef.h>

struct gb__slab_page;

struct gb__slab {
	size_t size;                      /* of a cell */
	void *free;                       /* chained through their first word */
	unsigned char *fresh, *fresh_end; /* cells of the newest page that were never taken, nor touched */
	struct gb__slab_page *pages;
	struct gb__slab *next;
};

/** One slab per size of cell. */
struct gb__slabs {
	struct gb__slab *first;
};

/** A zeroed cell of at least `size` bytes, or NULL. */
void *gb__slabs_take(struct gb__slabs *slabs, size_t size);
void gb__slabs_give(struct gb__slabs *slabs, void *cell, size_t size);
/** Free the pages of which no cell is taken. Takes time by the number of cells that are not. */
void gb__slabs_trim(struct gb__slabs *slabs);
void gb__slabs_finish(struct gb__slabs *slabs);

#endif
