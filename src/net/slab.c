#include "net/slab.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "base/poison.h"

#include <string.h>

#define LINE 64u
#define ALIGNMENT 16u         /* of a cell: as malloc's */
#define PAGE_SIZE_FIRST 1008u /* for workers that serve one connection */
#define PAGE_SIZE_MAX 65472u  /* with malloc's own words below 64 KiB; larger cells have a page each */

struct gb__slab_page {
	struct gb__slab_page *next;
};

static size_t rounded(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct gb__slab *slab_find(struct gb__slabs *slabs, size_t size)
{
	for (struct gb__slab *slab = slabs->first; slab; slab = slab->next)
		if (slab->size == size)
			return slab;
	return NULL;
}

static int slab_grow(struct gb__slab *slab)
{
	const size_t whole = slab->pages ? PAGE_SIZE_MAX : PAGE_SIZE_FIRST;
	const size_t cells = gb__max((whole - LINE) / slab->size, 1);
	unsigned char *page = gb__alloc_lines(LINE + cells * slab->size);

	if (!page)
		return -1;
	((struct gb__slab_page *)page)->next = slab->pages;
	slab->pages = (struct gb__slab_page *)page;
	slab->fresh = page + LINE;
	slab->fresh_end = slab->fresh + cells * slab->size;
	gb__poison(slab->fresh, cells * slab->size);
	return 0;
}

void *gb__slabs_take(struct gb__slabs *slabs, size_t size)
{
	struct gb__slab *slab;
	void **cell;

	size = rounded(size);
	slab = slab_find(slabs, size);
	if (gb__unlikely(!slab)) {
		slab = gb__alloc_zero(sizeof(*slab));
		if (!slab)
			return NULL;
		slab->size = size;
		slab->next = slabs->first;
		slabs->first = slab;
	}
	cell = slab->free;
	if (gb__likely(cell)) {
		gb__unpoison(cell, size);
		slab->free = *cell;
	} else {
		if (slab->fresh == slab->fresh_end && slab_grow(slab) < 0)
			return NULL;
		cell = (void **)slab->fresh;
		slab->fresh += size;
		gb__unpoison(cell, size);
	}
	memset(cell, 0, size);
	return cell;
}

void gb__slabs_give(struct gb__slabs *slabs, void *cell, size_t size)
{
	struct gb__slab *slab = slab_find(slabs, rounded(size));

	gb__assert(slab);
	*(void **)cell = slab->free;
	slab->free = cell;
	gb__poison(cell, slab->size);
}

void gb__slabs_finish(struct gb__slabs *slabs)
{
	while (slabs->first) {
		struct gb__slab *slab = slabs->first;

		slabs->first = slab->next;
		while (slab->pages) {
			struct gb__slab_page *page = slab->pages;

			slab->pages = page->next;
			gb__free(page);
		}
		gb__free(slab);
	}
}
