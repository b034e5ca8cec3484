/* Scopes: coroutines that end in the one that started them. */
#include "base/assert.h"
#include "base/macros.h"
#include "stream/stream.h"

#include <errno.h>

static_assert(sizeof(((struct gb_scope *)NULL)->coroutines) == sizeof(struct gb__list), "it is one");

static struct gb__list *members(struct gb_scope *scope)
{
	return (struct gb__list *)scope->coroutines;
}

void gb_scope_begin(struct gb_coro *coro, struct gb_scope *scope)
{
	gb__rule(50, coro->streams->running == coro,
		"a scope is begun for another coroutine than the one that runs");
	*scope = (struct gb_scope){ .coro = coro, .outer = coro->scopes };
	gb__list_init(members(scope));
	coro->scopes = scope;
}

void gb_scope_limit(struct gb_scope *scope, size_t running_max)
{
	scope->running_max = running_max;
}

void gb_scope_cancel(struct gb_scope *scope)
{
	scope->cancelled = true;
	for (struct gb__list *link = members(scope)->next; link != members(scope); link = link->next)
		gb__coro_cancel(gb__container_of(link, struct gb_coro, sibling));
}

void gb__scope_joined(struct gb_scope *scope, struct gb_coro *coro)
{
	coro->scope = scope;
	gb__list_append(members(scope), &coro->sibling);
	scope->running++;
}

void gb__scope_left(struct gb_coro *coro, int result)
{
	struct gb_scope *scope = coro->scope;

	gb__list_remove(&coro->sibling);
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
	struct gb_coro *owner = scope->coro;
	int result = 0;

	gb__rule(50, owner->streams->running == owner,
		"a scope is used by another coroutine than the one that began it");
	while (result == 0 && !scope->cancelled && scope->running_max && scope->running >= scope->running_max)
		result = gb__coro_wait(owner);
	if (result == 0 && scope->cancelled)
		result = -ECANCELED;
	return result < 0 ? result : gb__coro_start(owner->streams, owner->name, run, arg, scope);
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
