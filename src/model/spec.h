/**
 * A model as data: five axes and a few keys.
 *
 * spec.c turns text into it and back, preset.c holds the named ones, legality.c says which can work.
 * Nothing here touches the kernel.
 */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include <gearbox/error.h>
#include <gearbox/model.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum gb__model_accept { GB__ACCEPT_ACCEPTOR, GB__ACCEPT_SHARED, GB__ACCEPT_REUSEPORT };
enum gb__model_unit { GB__UNIT_THREAD, GB__UNIT_PROCESS };
enum gb__model_engine {
	GB__ENGINE_AUTO, /* the best event engine that works on this machine: found when a server is made */
	GB__ENGINE_BLOCKING,
	GB__ENGINE_BUSY,
	GB__ENGINE_SELECT,
	GB__ENGINE_POLL,
	GB__ENGINE_EPOLL,
	GB__ENGINE_IO_URING,
};
enum gb__model_compute { GB__COMPUTE_INLINE, GB__COMPUTE_THREADS, GB__COMPUTE_PROCESSES };
enum gb__model_wake {
	GB__WAKE_AUTO,
	GB__WAKE_ALL,
	GB__WAKE_EXCLUSIVE,
	GB__WAKE_LOCK
}; /* auto: exclusive where the engine can, else all */
enum gb__model_place {
	GB__PLACE_AUTO, /* round-robin where the acceptor places; blocking workers pull */
	GB__PLACE_ROUND_ROBIN,
	GB__PLACE_LEAST_CONNECTIONS,
	GB__PLACE_RANDOM,
	GB__PLACE_HASH,
};

/** Values of `workers` beside numbers. */
#define GB__WORKERS_DEFAULT 0u /* written "N": the CPUs allotted */
#define GB__WORKERS_PER_CONNECTION UINT_MAX

#define GB__MODEL_DEFAULT "reactor" /* the preset that is taken, and completed, where nothing else is said */
#define GB__MODEL_SPEC_MAX 256      /* bytes that hold any spec as gb__model_format writes it */

/** The keys of a spec, in the order in which a full spec has them. */
enum gb__model_key {
	GB__KEY_ACCEPT,
	GB__KEY_UNIT,
	GB__KEY_WORKERS,
	GB__KEY_ENGINE,
	GB__KEY_COMPUTE, /* the last of the axes */
	GB__KEY_WAKE,
	GB__KEY_PLACE,
	GB__KEY_ACCEPT_BATCH,
	GB__KEY_STACK,
	GB__KEY_COMPUTE_WORKERS,
	GB__KEY_COUNT
};

/** A model. All fields but the last are as wide as an unsigned and have one key each; 0 is a key's default. */
struct gb__model {
	enum gb__model_accept accept;
	enum gb__model_unit unit;
	unsigned workers; /* a number, or GB__WORKERS_… */
	enum gb__model_engine engine;
	enum gb__model_compute compute;
	enum gb__model_wake wake;
	enum gb__model_place place;
	unsigned accept_batch;    /* connections taken in a row; 0: the engine's own measure */
	unsigned stack;           /* bytes for a thread's or a coroutine's stack; 0: the system's default */
	unsigned compute_workers; /* 0: auto, by what is measured (pool/sizing.h) */
	unsigned given; /* bit per enum gb__model_key: typed, rather than taken from a preset or filled in */
};

/**
 * Read a preset's name or alias with `,key=value` overrides, or `key=value,...` alone.
 *
 * What key=value alone does not say is as in the default model, except that workers=per-connection and `place`
 * imply accept=acceptor, workers=per-connection implies engine=blocking, and compute-workers compute=threads.
 * With workers=per-connection engine=auto is blocking, which alone works there.
 *
 * Whether the model can work is not looked at: see legality.h. Returns 0 or -GB_EUSAGE.
 */
int gb__model_parse(const char *spec, struct gb__model *ret, struct gb_error *error);

/**
 * Write `accept=…,unit=…,workers=…,engine=…,compute=…` and the further keys that differ from their
 * defaults, in a form that gb__model_parse reads back. Returns the length as snprintf does.
 */
int gb__model_format(const struct gb__model *model, char *text, size_t size);

/**
 * The shortest way to say it: the name of the preset that it equals, else the full spec. Number for
 * number: `reactor` with engine=auto is no preset until the engine is known. Returns as gb__model_format.
 */
int gb__model_name(const struct gb__model *model, char *text, size_t size);

/** Whether both say the same, however it was typed. */
bool gb__model_equal(const struct gb__model *a, const struct gb__model *b);

/** The value of one key. */
unsigned gb__model_get(const struct gb__model *model, enum gb__model_key key);
void gb__model_set(struct gb__model *model, enum gb__model_key key, unsigned value);

/** "epoll" and the like, for messages. */
const char *gb__model_engine_name(enum gb__model_engine engine);

/** Every preset; ends with a NULL name. */
extern const struct gb_preset gb__presets[];

/** A preset by name or alias, or NULL. */
const struct gb_preset *gb__preset_find(const char *name);

#endif
