/** Which known word somebody meant: for "did you mean" in the texts of errors. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

/** Initialize with gb__nearest_init, offer every known word, then look at `word`. */
struct gb__nearest {
	const char *typed; /* borrowed */
	const char *word;  /* the best so far, or NULL while none is near enough; borrowed */
	unsigned distance; /* its distance */
};

void gb__nearest_init(struct gb__nearest *nearest, const char *typed);

/**
 * Take `word` when it is nearer than those before: by insertions, deletions, replacements and swaps of
 * neighbours, at most one for every three characters, or because `typed` is its beginning.
 */
void gb__nearest_offer(struct gb__nearest *nearest, const char *word);

#endif
