/** Sizes of messages: one, or some with weights ("64:0.9,16KiB:0.1"), or all of a range alike ("64..4096"). */
#ifndef LOAD_SIZES_H
#define LOAD_SIZES_H

#include "messages.h"

#include <stdbool.h>
#include <stdint.h>

#define SIZES_MAX 32
#define SIZE_BYTES_MAX (16u << 20)

struct sizes {
	unsigned count; /* of `list`; a range has its ends in list[0] and list[1] */
	bool range;
	struct {
		uint64_t bytes;
		double weight;
	} list[SIZES_MAX];
};

/** Read one. Returns 0 or -GB_EUSAGE with what would be right. */
int gb__sizes_parse(const char *text, struct sizes *ret, struct gb_error *error);
/** Whether there is more than one. */
bool gb__sizes_vary(const struct sizes *sizes);
uint64_t gb__sizes_mean(const struct sizes *sizes);
/**
 * Add messages with these sizes, each as often as its weight says, shuffled; of printable characters, with a line feed at
 * the end if they are `lines`. Returns 0 or -ENOMEM.
 */
int gb__sizes_make(const struct sizes *sizes, bool lines, uint64_t seed, struct messages *messages);

#endif
