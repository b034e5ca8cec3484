#include "load/sizes.h"

#include <gearbox/setting.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 1024u
#define MESSAGES_MIN 32u
#define BYTES_MAX (32u << 20) /* of all messages, as far as MESSAGES_MIN allows */

/* A size up to one of `ends`. Returns what follows it, or NULL. */
static const char *read_size(const char *text, const char *ends, uint64_t *ret)
{
	size_t length = strcspn(text, ends);
	char word[32];

	if (length == 0 || length >= sizeof(word))
		return NULL;
	memcpy(word, text, length);
	word[length] = '\0';
	if (gb_parse_size(word, ret) < 0 || *ret == 0 || *ret > SIZE_BYTES_MAX)
		return NULL;
	return text + length;
}

static const char *read_one(const char *text, struct sizes *sizes)
{
	double weight = 1;
	char *end;

	if (sizes->count == SIZES_MAX)
		return NULL;
	text = read_size(text, ":,", &sizes->list[sizes->count].bytes);
	if (text && *text == ':') {
		weight = strtod(text + 1, &end);
		text = end > text + 1 && weight > 0 && weight < 1e12 ? end : NULL;
	}
	sizes->list[sizes->count++].weight = weight;
	if (text && *text == ',')
		return text[1] ? text + 1 : NULL;
	return text && !*text ? text : NULL;
}

int gb__sizes_parse(const char *text, struct sizes *ret, struct gb_error *error)
{
	const char *dots = strstr(text, ".."), *rest = text;
	struct sizes sizes = { .range = dots != NULL };

	if (dots) {
		sizes.count = 2;
		rest = read_size(text, ".", &sizes.list[0].bytes);
		rest = rest == dots ? read_size(dots + 2, "", &sizes.list[1].bytes) : NULL;
		if (rest && sizes.list[0].bytes > sizes.list[1].bytes)
			rest = NULL;
	} else {
		do
			rest = read_one(rest, &sizes);
		while (rest && *rest);
	}
	if (!rest)
		return gb_error_set(error, -GB_EUSAGE,
			"--size %s: from 1 to 16MiB, as 64, or some with weights, as 64:0.9,16KiB:0.1, or a range, 64..4096",
			text);
	*ret = sizes;
	return 0;
}

bool gb__sizes_vary(const struct sizes *sizes)
{
	return sizes->count > 1;
}

uint64_t gb__sizes_mean(const struct sizes *sizes)
{
	double sum = 0, weights = 0;

	if (sizes->range)
		return (sizes->list[0].bytes + sizes->list[1].bytes) / 2;
	for (unsigned i = 0; i < sizes->count; i++) {
		sum += (double)sizes->list[i].bytes * sizes->list[i].weight;
		weights += sizes->list[i].weight;
	}
	return weights > 0 ? (uint64_t)(sum / weights + 0.5) : 0;
}

/* The size that message `place` of `count` has before they are shuffled. */
static uint64_t size_at(const struct sizes *sizes, size_t place, size_t count)
{
	double weights = 0, at;

	if (sizes->range)
		return sizes->list[0].bytes +
			(sizes->list[1].bytes - sizes->list[0].bytes) * place / (count > 1 ? count - 1 : 1);
	for (unsigned i = 0; i < sizes->count; i++)
		weights += sizes->list[i].weight;
	at = ((double)place + 0.5) / (double)count * weights;
	for (unsigned i = 0; i + 1 < sizes->count; i++) {
		if (at < sizes->list[i].weight)
			return sizes->list[i].bytes;
		at -= sizes->list[i].weight;
	}
	return sizes->list[sizes->count - 1].bytes;
}

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
	return *state >> 33;
}

static int add(struct messages *messages, size_t size, bool line, uint64_t *random)
{
	unsigned char *data = malloc(size);
	struct gb_bytes *list = realloc(messages->list, (messages->count + 1) * sizeof(*list));

	if (list)
		messages->list = list;
	if (!data || !list) {
		free(data);
		return -ENOMEM;
	}
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(' ' + draw(random) % 95);
	if (line)
		data[size - 1] = '\n';
	messages->list[messages->count++] = (struct gb_bytes){ data, size };
	return 0;
}

int gb__sizes_make(const struct sizes *sizes, bool lines, uint64_t seed, struct messages *messages)
{
	uint64_t mean = gb__sizes_mean(sizes), random = seed;
	size_t count = mean ? BYTES_MAX / (size_t)mean : MESSAGES_MAX, first = messages->count;
	int rc = 0;

	count = count > MESSAGES_MAX ? MESSAGES_MAX : count < MESSAGES_MIN ? MESSAGES_MIN : count;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = add(messages, (size_t)size_at(sizes, i, count), lines, &random);
	for (size_t i = count; i > 1 && rc == 0; i--) { /* Fisher and Yates */
		size_t other = first + (size_t)(draw(&random) % i);
		struct gb_bytes one = messages->list[first + i - 1];

		messages->list[first + i - 1] = messages->list[other];
		messages->list[other] = one;
	}
	return rc;
}
