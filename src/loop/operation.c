#include "loop/operation.h"

#include "base/assert.h"
#include "base/macros.h"

static_assert(sizeof(((struct gb_operation *)NULL)->link) == sizeof(struct gb__post),
	"what an operation waits by for its loop is a post");

bool gb_operation_pending(const struct gb_operation *operation)
{
	return operation->kind;
}

int gb_operation_result(const struct gb_operation *operation)
{
	return operation->result;
}

void gb_operation_cancel(struct gb_operation *operation)
{
	if (operation->kind)
		operation->kind->cancel(operation);
}

void gb__operation_complete(struct gb_operation *operation, int result)
{
	gb__assert(operation->kind);
	operation->result = result;
	operation->complete = true;
	operation->kind = NULL;
	if (operation->on_done)
		operation->on_done(operation, operation->user);
}

static void told(struct gb__post *post, bool alive)
{
	struct gb_operation *operation = gb__container_of((void **)post, struct gb_operation, link[0]);

	/* Also when the loop ends: the memory is somebody's. */
	(void)alive;
	gb__operation_complete(operation, operation->result);
}

int gb__operation_complete_later(struct gb__loop *loop, struct gb_operation *operation, int result)
{
	struct gb__post *post = (struct gb__post *)operation->link;

	operation->result = result;
	post->run = told;
	return gb__loop_post(loop, post);
}
