/*
 * A store of keys and values, the same protocol twice: by callbacks (kv) and from top to bottom (kv-sequential).
 *
 *	set KEY, and in the next line its value: answered with "ok"
 *	get KEY: answered with the value, or with "none"
 *
 * The connections of a worker share a store; two workers have two. `kv verify kv-sequential --as kv` compares the two.
 */
#include <gearbox/gearbox.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 64

struct pair {
	struct pair *next;
	char key[KEY_MAX], value[];
};
static struct pair no_pairs; /* its address is the key of a worker's data */

/* The link to the pair of a key, or to the end. */
static struct pair **find(struct pair **link, const char *key)
{
	while (*link && strcmp((*link)->key, key) != 0)
		link = &(*link)->next;
	return link;
}

static int put(struct gb_worker *worker, const char *key, struct gb_bytes value)
{
	struct pair *first = gb_worker_data(worker, &no_pairs), *pair, **old = find(&first, key), *next;

	pair = malloc(sizeof(*pair) + value.size + 1);
	if (!pair)
		return -ENOMEM;
	*pair = (struct pair){ 0 };
	memcpy(pair->key, key, strlen(key) + 1); /* it fits: see `command` */
	memcpy(pair->value, value.data, value.size);
	pair->value[value.size] = '\0';
	if (*old) {
		next = (*old)->next;
		free(*old);
		*old = next;
	}
	pair->next = first;
	return gb_worker_set_data(worker, &no_pairs, pair);
}

static const char *get(struct gb_worker *worker, const char *key)
{
	struct pair *first = gb_worker_data(worker, &no_pairs), *pair = *find(&first, key);

	return pair ? pair->value : "none";
}

/* A line's word and what follows on it. Returns whether the word is this one, and the rest fits. */
static bool command(struct gb_bytes line, const char *word, char key[KEY_MAX])
{
	size_t size = strlen(word), rest = line.size - size;

	if (line.size < size || memcmp(line.data, word, size) != 0 || rest >= KEY_MAX)
		return false;
	memcpy(key, line.data + size, rest);
	key[rest] = '\0';
	return true;
}

/* By callbacks: what a connection waits for has to be kept in its state. */

struct state {
	char key[KEY_MAX];
	bool wants_value;
};

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_worker *worker = gb_conn_worker(conn);
	struct state *state = gb_conn_state(conn);
	char key[KEY_MAX];

	if (state->wants_value) {
		state->wants_value = false;
		gb_conn_printf(conn, "%s\n", put(worker, state->key, line) < 0 ? "no memory" : "ok");
	} else if (command(line, "set ", state->key)) {
		state->wants_value = true;
	} else if (command(line, "get ", key)) {
		gb_conn_printf(conn, "%s\n", get(worker, key));
	} else {
		gb_conn_printf(conn, "what?\n");
	}
}

/* From top to bottom: it is where the code stands. */

static void serve(struct gb_stream *stream)
{
	struct gb_worker *worker = gb_coro_worker(gb_stream_coro(stream));
	struct gb_bytes line;
	char key[KEY_MAX];

	while (gb_read_message(stream, &line) > 0) {
		if (command(line, "set ", key)) {
			if (gb_read_message(stream, &line) <= 0)
				return;
			gb_write_format(stream, "%s\n", put(worker, key, line) < 0 ? "no memory" : "ok");
		} else if (command(line, "get ", key)) {
			gb_write_format(stream, "%s\n", get(worker, key));
		} else {
			gb_write_format(stream, "what?\n");
		}
	}
}

static void on_stop(struct gb_worker *worker, void *user)
{
	for (struct pair *pair = gb_worker_data(worker, &no_pairs), *next; pair; pair = next) {
		next = pair->next;
		free(pair);
	}
}

static const char *const samples[] = { "set a", "one", "get a", "get b", "set a b", "two", "get a b", NULL };
static const struct gb_service kv = { GB_SERVICE_INIT, .name = "kv", .summary = "keeps values by their keys",
	.codec = &gb_codec_line, .state = GB_STATE_WORKER, .traits = GB_TRAIT_STATE_APART, .samples = samples,
	.on_stop = on_stop, .conn_state_size = sizeof(struct state), .on_message = on_message };
static const struct gb_service kv_sequential = { GB_SERVICE_INIT, .name = "kv-sequential",
	.summary = "kv, from top to bottom", .codec = &gb_codec_line, .state = GB_STATE_WORKER,
	.traits = GB_TRAIT_STATE_APART, .samples = samples, .on_stop = on_stop, .serve = serve };

int main(int argc, char **argv)
{
	return gb_main_services(argc, argv, (const struct gb_service *const[]){ &kv, &kv_sequential, NULL });
}
