#include "base/nearest.h"

#include "base/macros.h"

#include <limits.h>
#include <string.h>

#define WORD_BYTES_MAX 64 /* longer ones are nobody's typing error */

/* Optimal string alignment: Levenshtein's distance with swaps of neighbours, in three rows of its matrix. */
static unsigned edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	unsigned rows[3][WORD_BYTES_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_size; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_size; i++) {
		unsigned *oldest = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_size; j++) {
			unsigned replaced = last[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = gb__min(replaced, gb__min(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = gb__min(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = oldest;
	}
	return last[b_size];
}

void gb__nearest_init(struct gb__nearest *nearest, const char *typed)
{
	*nearest = (struct gb__nearest){ .typed = typed, .distance = UINT_MAX };
}

void gb__nearest_offer(struct gb__nearest *nearest, const char *word)
{
	size_t typed_size = strlen(nearest->typed), word_size = strlen(word);
	unsigned distance;

	if (typed_size > WORD_BYTES_MAX || word_size > WORD_BYTES_MAX)
		return;
	distance = edit_distance(nearest->typed, typed_size, word, word_size);
	if (typed_size >= 2 && strncmp(word, nearest->typed, typed_size) == 0)
		distance = gb__min(distance, 1u);
	else if (distance > gb__max(typed_size, word_size) / 3)
		return;
	if (distance < nearest->distance) {
		nearest->word = word;
		nearest->distance = distance;
	}
}
