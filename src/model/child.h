/** Children of handlers, on one worker. */
#ifndef MODEL_CHILD_H
#define MODEL_CHILD_H

#include "base/list.h"

#include <gearbox/child.h>

struct gb__children {
	struct gb__list list; /* that have not ended */
};

void gb__children_init(struct gb__children *children);
bool gb__children_none(const struct gb__children *children);
/** Whether it is one of them. */
bool gb__children_have(const struct gb__children *children, pid_t pid);
/** The worker drains: those that asked for it are told to end. */
void gb__children_drain(struct gb__children *children);
/** It ends: all are told, and killed soon. */
void gb__children_end(struct gb__children *children);

#endif
