/** Operations, for those who make kinds of them. */
#ifndef LOOP_OPERATION_H
#define LOOP_OPERATION_H

#include "loop/loop.h"

#include <gearbox/operation.h>

struct gb__operation_kind {
	const char *name;
	/** It is pending: have it complete soon. */
	void (*cancel)(struct gb_operation *operation);
};

/** It is under way from here on. */
static inline void gb__operation_begin(struct gb_operation *operation, const struct gb__operation_kind *kind,
	struct gb_worker *worker, gb_operation_done *on_done, void *user)
{
	*operation =
		(struct gb_operation){ .kind = kind, .worker = worker, .on_done = on_done, .user = user };
}

/** It is over: tell. From the loop, not from inside a function that a handler called. */
void gb__operation_complete(struct gb_operation *operation, int result);
/** It is over; told by the loop, in this turn or the next. Thread: any of the process. Returns 0, or -ESHUTDOWN: the loop
 *  has ended and nobody is told. */
int gb__operation_complete_later(struct gb__loop *loop, struct gb_operation *operation, int result);

#endif
