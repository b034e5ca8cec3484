#include "net/slab.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "base/poison.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64u
#define ALIGNMENT 16u        /* of a cell: as malloc's */
#define PAGE_SIZE_FIRST 496u /* for workers that serve one connection */
#define PAGE_SIZE_MAX 65472u /* with malloc's own words below 64 KiB; larger cells have a page each */

struct gb__slab_page {
	struct gb__slab_page *next;
	size_t cells;
	size_t free; /* while trimming: how many are not taken */
};

static_assert(sizeof(struct gb__slab_page) <= LINE, "cells begin a line behind the page");

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
	*(struct gb__slab_page *)page = (struct gb__slab_page){ .next = slab->pages, .cells = cells };
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

/* Pages by address. */
struct pages {
	struct gb__slab_page **all;
	size_t count;
	size_t latest; /* found last: those that are freed in a row lie side by side */
};

static bool lies_in(const struct gb__slab *slab, const struct gb__slab_page *page, const void *cell)
{
	return (uintptr_t)cell - (uintptr_t)page < LINE + page->cells * slab->size;
}

static struct gb__slab_page *page_of(const struct gb__slab *slab, struct pages *pages, const void *cell)
{
	size_t first = 0, end = pages->count;

	if (lies_in(slab, pages->all[pages->latest], cell))
		return pages->all[pages->latest];
	while (end - first > 1) {
		size_t middle = first + (end - first) / 2;

		if ((uintptr_t)pages->all[middle] <= (uintptr_t)cell)
			first = middle;
		else
			end = middle;
	}
	pages->latest = first;
	gb__assert(lies_in(slab, pages->all[first], cell));
	return pages->all[first];
}

static int by_address(const void *a, const void *b)
{
	uintptr_t one = (uintptr_t) * (struct gb__slab_page *const *)a;
	uintptr_t other = (uintptr_t) * (struct gb__slab_page *const *)b;

	return one < other ? -1 : one > other;
}

/* The next free cell behind one, whose memory is nobody's to look at. */
static void *free_next(const void *cell)
{
	void *next;

	gb__unpoison(cell, sizeof(void *));
	next = *(void *const *)cell;
	gb__poison(cell, sizeof(void *));
	return next;
}

/* Count what each page has free, those that were never taken included. */
static void pages_count(struct gb__slab *slab, struct pages *pages)
{
	for (size_t i = 0; i < pages->count; i++)
		pages->all[i]->free = 0;
	if (slab->fresh != slab->fresh_end)
		slab->pages->free = (size_t)(slab->fresh_end - slab->fresh) / slab->size;
	for (void *cell = slab->free; cell; cell = free_next(cell))
		page_of(slab, pages, cell)->free++;
}

/* Only cells of pages that stay. */
static void free_cells_sift(struct gb__slab *slab, struct pages *pages)
{
	void *cell = slab->free;

	slab->free = NULL;
	while (cell) {
		void *next = free_next(cell);
		const struct gb__slab_page *page = page_of(slab, pages, cell);

		if (page->free < page->cells) {
			gb__unpoison(cell, sizeof(void *));
			*(void **)cell = slab->free;
			slab->free = cell;
			gb__poison(cell, sizeof(void *));
		}
		cell = next;
	}
}

static void pages_drop(struct gb__slab *slab)
{
	struct gb__slab_page **link = &slab->pages;

	if (slab->pages->free == slab->pages->cells)
		slab->fresh = slab->fresh_end = NULL; /* they lie in the newest */
	while (*link) {
		struct gb__slab_page *page = *link;

		if (page->free < page->cells) {
			link = &page->next;
			continue;
		}
		*link = page->next;
		gb__unpoison((unsigned char *)page + LINE, page->cells * slab->size);
		gb__free(page);
	}
}

static void slab_trim(struct gb__slab *slab)
{
	struct pages pages = { 0 };

	for (struct gb__slab_page *page = slab->pages; page; page = page->next)
		pages.count++;
	if (pages.count < 2)
		return; /* the first is small, or about to be used again */
	pages.all = gb__alloc(pages.count * sizeof(struct gb__slab_page *));
	if (!pages.all)
		return;
	pages.count = 0;
	for (struct gb__slab_page *page = slab->pages; page; page = page->next)
		pages.all[pages.count++] = page;
	qsort(pages.all, pages.count, sizeof(struct gb__slab_page *), by_address);
	pages_count(slab, &pages);
	free_cells_sift(slab, &pages);
	pages_drop(slab);
	gb__free(pages.all);
}

void gb__slabs_trim(struct gb__slabs *slabs)
{
	for (struct gb__slab *slab = slabs->first; slab; slab = slab->next)
		slab_trim(slab);
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
