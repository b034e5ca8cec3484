/* Scopes: coroutines that end in the one that started them. */
#include "base/assert.h"
#include "base/macros.h"
#include "stream/stream.h"

#include <errno.h>

void gb_scope_begin(struct gb_coro *coro, struct gb_scope *scope)
{
	gb__rule(50, coro->streams->running == coro,
		"a scope is begun for another coroutine than the one that runs");
	*scope = (struct gb_scope){ .coro = coro, .outer = coro->scopes };
	coro->scopes = scope;
}

void gb_scope_limit(struct gb_scope *scope, size_t running_max)
{
	scope->running_max = running_max;
}

void gb_scope_cancel(struct gb_scope *scope)
{
	scope->cancelled = true;
	for (struct gb_coro *coro = scope->first; coro; coro = coro->sibling)
		gb__coro_cancel(coro);
}

void gb__scope_left(struct gb_coro *coro, int result)
{
	struct gb_scope *scope = coro->scope;

	*coro->sibling_link = coro->sibling;
	if (coro->sibling)
		coro->sibling->sibling_link = coro->sibling_link;
	scope->running--;
	if (result < 0 && scope->failure == 0) {
		/* What was cancelled fails for that reason, which is nobody's fault. */
		if (!(scope->cancelled && result == -ECANCELED))
			scope->failure = result;
		if (!scope->cancelled)
			gb_scope_cancel(scope);
	}
	if (scope->running == 0 || (scope->running_max && scope->running < scope->running_max))
		gb__coro_wake(scope->coro);
}

int gb_scope_start(struct gb_scope *scope, gb_coro_run *run, void *arg)
{
	struct gb_coro *owner = scope->coro, *coro;
	int result = 0;

	gb__rule(50, owner->streams->running == owner,
		"a scope is used by another coroutine than the one that began it");
	while (result == 0 && !scope->cancelled && scope->running_max && scope->running >= scope->running_max)
		result = gb__coro_wait(owner);
	if (result == 0 && scope->cancelled)
		result = -ECANCELED;
	if (result == 0)
		result = gb__coro_start(owner->streams, owner->name, run, arg, scope);
	if (result < 0)
		return result;
	coro = owner->streams->first; /* the newest */
	coro->sibling = scope->first;
	coro->sibling_link = &scope->first;
	if (coro->sibling)
		coro->sibling->sibling_link = &coro->sibling;
	scope->first = coro;
	scope->running++;
	return 0;
}

int gb_scope_end(struct gb_scope *scope)
{
	struct gb_coro *coro = scope->coro;
	int result = 0;

	gb__rule(50, coro->streams->running == coro,
		"a scope is ended by another coroutine than the one that began it");
	gb__rule(50, coro->scopes == scope, "scopes end in the reverse order of their beginnings");
	while (result == 0 && scope->running > 0)
		result = gb__coro_wait(coro);
	if (result < 0)
		gb_scope_cancel(scope);
	while (scope->running > 0)
		gb__coro_wait_hard(coro);
	coro->scopes = scope->outer;
	return scope->failure < 0 ? scope->failure : result;
}
