/* The fuzzers without libFuzzer: the corpus, changes of it and inputs made at random, from the run's seed. */
#include "fuzz.h"
#include "harness.h"

#include <dirent.h>

#define ROUNDS 20000 /* of each of the two; FUZZ_ROUNDS says otherwise */
#define INPUT_MAX 400
#define CORPUS_MAX 64
#define CHANGES_MAX 6

struct input {
	unsigned char *data; /* of its size and no more, while it is tried */
	size_t size;
};

static unsigned rounds(void)
{
	const char *text = getenv("FUZZ_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

static void try_input(const unsigned char *data, size_t size)
{
	unsigned char *memory = malloc(size ? size : 1);

	CHECK(memory != NULL);
	memcpy(memory, data, size);
	CHECK_INT(LLVMFuzzerTestOneInput(memory, size), 0);
	free(memory);
}

static struct input read_input(const char *folder, const char *name)
{
	struct input input = { malloc(INPUT_MAX), 0 };
	char path[4096];
	FILE *file;

	CHECK(input.data && snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
	file = fopen(path, "rb");
	CHECK(file != NULL);
	input.size = fread(input.data, 1, INPUT_MAX, file);
	CHECK(feof(file) || fgetc(file) == EOF); /* the whole of it */
	fclose(file);
	return input;
}

/* The inputs of this codec in the tree. Returns how many. */
static size_t read_corpus(struct input *inputs)
{
	char folder[4096];
	struct dirent **entries;
	size_t count = 0;
	int found;

	CHECK(snprintf(folder, sizeof(folder), "%s/%s", FUZZ_CORPUS, fuzz_codec.ops->name) <
		(int)sizeof(folder));
	found = scandir(folder, &entries, NULL, alphasort); /* in order: a seed draws the same ones again */
	for (int i = 0; i < found; i++) {
		if (entries[i]->d_name[0] != '.') {
			CHECK(count < CORPUS_MAX);
			inputs[count++] = read_input(folder, entries[i]->d_name);
		}
		free(entries[i]);
	}
	if (found >= 0)
		free(entries);
	CHECK(count > 0);
	return count;
}

static void free_corpus(struct input *inputs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(inputs[i].data);
}

TEST(every_input_of_the_corpus_holds)
{
	struct input inputs[CORPUS_MAX];
	const size_t count = read_corpus(inputs);

	for (size_t i = 0; i < count; i++)
		for (size_t size = 0; size <= inputs[i].size; size++)
			try_input(inputs[i].data, size);
	free_corpus(inputs, count);
}

/* A byte that may mean something: one of the codec's, or any. */
static unsigned char draw_byte(uint64_t *seed, unsigned any)
{
	const uint64_t drawn = test_random(seed);

	if (drawn % 16 < any)
		return (unsigned char)(drawn >> 8);
	return (unsigned char)fuzz_codec.alphabet[(drawn >> 8) % fuzz_codec.alphabet_size];
}

TEST(inputs_made_at_random_hold)
{
	uint64_t seed = test_seed();

	for (unsigned round = rounds(); round > 0; round--) {
		unsigned char data[INPUT_MAX];
		/* Mostly short; what means something is everywhere, or rare. */
		size_t size = test_random(&seed) % (test_random(&seed) % 16 ? 64 : INPUT_MAX);
		unsigned any = (unsigned)(test_random(&seed) % 17);

		for (size_t i = 0; i < size; i++)
			data[i] = draw_byte(&seed, i < 12 ? 16 : any);
		try_input(data, size);
	}
}

/* Change, insert, drop or repeat something. Returns the new size. */
static size_t change(unsigned char *data, size_t size, uint64_t *seed)
{
	const size_t at = size ? test_random(seed) % size : 0;
	size_t length = size ? 1 + test_random(seed) % (size - at) : 0;

	switch (size ? test_random(seed) % 5 : 2) {
	case 0:
		data[at] ^= (unsigned char)(1u << test_random(seed) % 8);
		return size;
	case 1:
		data[at] = draw_byte(seed, 8);
		return size;
	case 2:
		if (size == INPUT_MAX)
			return size;
		memmove(data + at + 1, data + at, size - at);
		data[at] = draw_byte(seed, 4);
		return size + 1;
	case 3:
		length = length > 4 ? 1 + length % 4 : length;
		memmove(data + at, data + at + length, size - at - length);
		return size - length;
	default:
		length = length > INPUT_MAX - size ? INPUT_MAX - size : length;
		memmove(data + at + length, data + at, size - at);
		return size + length;
	}
}

TEST(changed_inputs_of_the_corpus_hold)
{
	struct input inputs[CORPUS_MAX];
	const size_t count = read_corpus(inputs);
	uint64_t seed = test_seed();

	for (unsigned round = rounds(); round > 0; round--) {
		const struct input *from = &inputs[test_random(&seed) % count];
		unsigned char data[INPUT_MAX];
		size_t size = from->size;

		memcpy(data, from->data, size);
		for (uint64_t changes = 1 + test_random(&seed) % CHANGES_MAX; changes > 0; changes--)
			size = change(data, size, &seed);
		try_input(data, size);
	}
	free_corpus(inputs, count);
}
