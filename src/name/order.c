#include "name/order.h"

/* Knuth's MMIX generator: its upper bits. */
static uint64_t next(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return *random >> 33;
}

static void swap(struct gb__srv *a, struct gb__srv *b)
{
	struct gb__srv kept = *a;

	*a = *b;
	*b = kept;
}

/* Stable, of few. */
static void sort(struct gb__srv *services, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 &&
			(services[j].priority < services[j - 1].priority ||
				(services[j].priority == services[j - 1].priority && !services[j].weight &&
					services[j - 1].weight));
			j--)
			swap(&services[j], &services[j - 1]);
}

/* The one that the running sum of weights reaches a random number at; those without weight are first. */
static size_t choose(const struct gb__srv *services, size_t count, uint64_t *random)
{
	uint64_t sum = 0, at;
	size_t chosen = 0;

	for (size_t i = 0; i < count; i++)
		sum += services[i].weight;
	if (sum == 0)
		return (size_t)(next(random) % count);
	at = next(random) % (sum + 1);
	sum = services[0].weight;
	while (sum < at)
		sum += services[++chosen].weight;
	return chosen;
}

void gb__services_order(struct gb__srv *services, size_t count, uint64_t random)
{
	sort(services, count);
	for (size_t first = 0; first < count;) {
		size_t end = first + 1;

		while (end < count && services[end].priority == services[first].priority)
			end++;
		for (; first < end; first++) {
			size_t chosen = first + choose(services + first, end - first, &random);

			for (; chosen > first; chosen--) /* the others stay as they are */
				swap(&services[chosen], &services[chosen - 1]);
		}
	}
}
