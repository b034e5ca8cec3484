/** Models: five axes, their presets and which combinations are legal. */
#ifndef GEARBOX_MODEL_H
#define GEARBOX_MODEL_H

#include <gearbox/error.h>
#include <gearbox/types.h>

GB_BEGIN

/** One named row of the table. */
struct gb_preset {
	const char *name;    /* "thread-pool" */
	const char *alias;   /* another public name, or NULL */
	const char *axes;    /* "accept=acceptor,unit=thread,workers=N,engine=blocking,compute=inline" */
	const char *summary; /* one sentence */
	const char *use;     /* when to use it */
	const char *avoid;   /* when not */
};

/**
 * The preset after `preset` (NULL: the first), or NULL after the last.
 *
 * Static storage. Thread: any.
 */
GB_API const struct gb_preset *gb_preset_next(const struct gb_preset *preset);

GB_END

#endif
