/*
 * Appends to one file in the order of their calls.
 *
 * `waiting` has all that are not complete, in order; those at its front whose `begun` is set are in the write (or sync)
 * under way. The happy path: the first append is written at once, by itself; those that come meanwhile go together with
 * the next write. What a short write has left stays at the front, begun, and goes with the next one.
 *
 * With GB_APPENDER_SYNC those that are written move to `unsynced`, and one sync follows each write. It also follows when a
 * write has failed behind others that had not: they are on the disk or not, whatever became of the rest.
 *
 * Callbacks may do anything here, so whatever is complete is put aside first, what comes next is begun, and then they are
 * told: of nothing else than the operation itself is used behind its callback.
 */
#include "file/appender.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/macros.h"

#include <errno.h>

#define BATCH_MAX (1u << 20) /* bytes of one write; an append that is longer goes by itself */

enum { KIND_DATA, KIND_SYNC, KIND_SWITCH };

/* What `state` of an append is. */
struct place {
	struct gb__list link;
	struct gb_appender *appender;
	uint8_t kind;
	bool begun; /* some of it may be in the file: it is not cancelled */
	int fd;     /* switch: the one to come */
};

struct gb_appender {
	struct gb__files *files;
	int fd;
	bool sync;
	bool busy;    /* `step` is under way */
	bool syncing; /* and it is a sync */
	size_t bytes; /* of all that are not complete */
	struct gb__list waiting, unsynced;
	int failure; /* of a write, to be told once `unsynced` are; or 0 */
	struct gb_file_operation step;
	struct iovec parts[GB_APPENDER_PARTS];
};

static_assert(sizeof(struct place) <= sizeof(((struct gb_append *)NULL)->state), "it has room");

static struct place *place_of(struct gb_append *append)
{
	return (struct place *)append->state;
}

static struct gb_append *append_at(struct gb__list *link)
{
	return gb__container_of((void **)link, struct gb_append, state[0]);
}

static struct gb_append *first(struct gb__list *list)
{
	return gb__list_empty(list) ? NULL : append_at(list->next);
}

/* It is over, with this result, and is told of with the others in `done`. */
static void put_aside(
	struct gb_appender *appender, struct gb_append *append, int result, struct gb__list *done)
{
	gb__list_remove(&place_of(append)->link);
	gb__list_append(done, &place_of(append)->link);
	appender->bytes -= append->size;
	append->operation.result = result;
	place_of(append)->begun = true; /* nor is it cancelled from now on */
}

static void tell(struct gb__files *files, struct gb__list *done)
{
	while (!gb__list_empty(done)) {
		struct gb_append *append = first(done);

		gb__list_remove(&place_of(append)->link);
		files->under_way--;
		gb__operation_complete(&append->operation, append->operation.result);
	}
}

static void on_step(struct gb_operation *operation, void *user);

static void sync_begin(struct gb_appender *appender)
{
	appender->busy = appender->syncing = true;
	gb__file_sync(appender->files, &appender->step, appender->fd, true, on_step, appender);
}

/* The appends at the front, up to what is no append. */
static void write_begin(struct gb_appender *appender)
{
	unsigned count = 0;
	size_t bytes = 0;

	for (struct gb__list *link = appender->waiting.next; link != &appender->waiting; link = link->next) {
		struct gb_append *append = append_at(link);
		size_t left = append->size - append->written;

		if (place_of(append)->kind != KIND_DATA || count == GB_APPENDER_PARTS ||
			(count > 0 && bytes + left > BATCH_MAX))
			break;
		place_of(append)->begun = true;
		appender->parts[count++] =
			(struct iovec){ .iov_base = (char *)(uintptr_t)append->data + append->written,
				.iov_len = left };
		bytes += left;
	}
	appender->busy = true;
	appender->syncing = false;
	gb__file_write_parts(
		appender->files, &appender->step, appender->fd, appender->parts, count, on_step, appender);
}

/* Begin what is next, unless something is under way. */
static void go_on(struct gb_appender *appender, struct gb__list *done)
{
	struct gb_append *append;

	while (!appender->busy && (append = first(&appender->waiting)) != NULL) {
		int before = appender->fd;

		switch (place_of(append)->kind) {
		case KIND_DATA:
			write_begin(appender);
			break;
		case KIND_SYNC:
			place_of(append)->begun = true;
			sync_begin(appender);
			break;
		default:
			appender->fd = place_of(append)->fd;
			put_aside(appender, append, before, done);
		}
	}
}

static void fail(struct gb_appender *appender, int error, struct gb__list *done)
{
	struct gb_append *append;

	while ((append = first(&appender->waiting)) != NULL && place_of(append)->kind != KIND_SWITCH)
		put_aside(appender, append, error, done);
}

/* So many bytes are in the file. Returns an error where that is no way to go on. */
static int wrote(struct gb_appender *appender, size_t size, struct gb__list *done)
{
	struct gb_append *append;
	bool any = size > 0;

	while ((append = first(&appender->waiting)) != NULL && place_of(append)->begun) {
		size_t part = gb__min(size, append->size - append->written);

		append->written += part;
		size -= part;
		if (append->written < append->size)
			return any ? 0
				   : -EIO; /* nothing says why, and nothing says that it will ever go on */
		any = true;                /* an empty one at the front */
		if (appender->sync) {
			gb__list_remove(&place_of(append)->link);
			gb__list_append(&appender->unsynced, &place_of(append)->link);
		} else {
			put_aside(appender, append, (int)append->size, done);
		}
	}
	return 0;
}

static void written(struct gb_appender *appender, int result, struct gb__list *done)
{
	int error = result < 0 ? result : wrote(appender, (size_t)result, done);

	if (!gb__list_empty(&appender->unsynced)) {
		appender->failure = error;
		sync_begin(appender);
	} else if (error < 0) {
		fail(appender, error, done);
	}
}

/* Of the last write with GB_APPENDER_SYNC; else of who asked for it, who is at the front. */
static void synced(struct gb_appender *appender, int result, struct gb__list *done)
{
	int failure = result < 0 ? result : appender->failure;
	bool asked = gb__list_empty(&appender->unsynced);
	struct gb_append *append;

	while ((append = first(&appender->unsynced)) != NULL)
		put_aside(appender, append, result < 0 ? result : (int)append->size, done);
	appender->failure = 0;
	if (asked && result == 0)
		put_aside(appender, first(&appender->waiting), 0, done);
	else if (failure < 0)
		fail(appender, failure, done);
}

static void on_step(struct gb_operation *operation, void *user)
{
	struct gb_appender *appender = user;
	struct gb__files *files = appender->files;
	struct gb__list done;

	gb__list_init(&done);
	appender->busy = false;
	if (appender->syncing)
		synced(appender, operation->result, &done);
	else
		written(appender, operation->result, &done);
	go_on(appender, &done);
	tell(files, &done);
}

/* Not inside who began or cancelled them. */
static void tell_later(struct gb__files *files, struct gb__list *done)
{
	while (!gb__list_empty(done)) {
		struct gb_operation *operation = &first(done)->operation;

		gb__list_remove(done->next);
		files->under_way--;
		gb__assert(gb__operation_complete_later(files->loop, operation, operation->result) == 0);
	}
}

static void cancel(struct gb_operation *operation)
{
	struct gb_append *append = gb__container_of(operation, struct gb_append, operation);
	struct gb_appender *appender = place_of(append)->appender;
	struct gb__list done;

	if (place_of(append)->begun)
		return;
	gb__list_init(&done);
	put_aside(appender, append, -ECANCELED, &done);
	tell_later(appender->files, &done);
}

static const struct gb__operation_kind append_kind = { "append", cancel };

static struct gb_operation *begin(struct gb_appender *appender, struct gb_append *append,
	const struct place *place, gb_operation_done *on_done, void *user)
{
	struct gb__list done;

	gb__operation_begin(&append->operation, &append_kind, appender->files->worker, on_done, user);
	*place_of(append) = *place;
	place_of(append)->appender = appender;
	append->written = 0;
	appender->files->under_way++;
	appender->bytes += append->size;
	gb__list_append(&appender->waiting, &place_of(append)->link);
	gb__list_init(&done);
	if (append->size > GB__FILE_SIZE_MAX)
		put_aside(appender, append, -EINVAL, &done);
	go_on(appender, &done);
	tell_later(appender->files, &done);
	return &append->operation;
}

static void check(const struct gb_appender *appender, const char *function)
{
	gb__rule_in(function, 49, gb__loop_here(appender->files->loop),
		"an operation is begun on another thread than its worker's");
}

struct gb_operation *gb_append_begin(struct gb_appender *appender, struct gb_append *append, const void *data,
	size_t size, gb_operation_done *on_done, void *user)
{
	const struct place place = { .kind = KIND_DATA };

	check(appender, __func__);
	append->data = data;
	append->size = size;
	return begin(appender, append, &place, on_done, user);
}

struct gb_operation *gb_append_sync_begin(
	struct gb_appender *appender, struct gb_append *append, gb_operation_done *on_done, void *user)
{
	const struct place place = { .kind = KIND_SYNC };

	check(appender, __func__);
	append->size = 0;
	return begin(appender, append, &place, on_done, user);
}

struct gb_operation *gb_append_switch_begin(struct gb_appender *appender, struct gb_append *append, int fd,
	gb_operation_done *on_done, void *user)
{
	const struct place place = { .kind = KIND_SWITCH, .fd = fd };

	check(appender, __func__);
	append->size = 0;
	return begin(appender, append, &place, on_done, user);
}

size_t gb_appender_waiting(const struct gb_appender *appender)
{
	return appender->bytes;
}

int gb_appender_fd(const struct gb_appender *appender)
{
	return appender->fd;
}

void gb_appender_destroy(struct gb_appender *appender)
{
	if (!appender)
		return;
	gb__rule_in(__func__, 81, !appender->busy && gb__list_empty(&appender->waiting),
		"an appender is destroyed while appends are under way");
	gb__free(appender);
}

int gb__appender_create(struct gb__files *files, int fd, unsigned flags, struct gb_appender **ret)
{
	struct gb_appender *appender = gb__alloc_zero(sizeof(*appender));

	if (!appender)
		return -ENOMEM;
	appender->files = files;
	appender->fd = fd;
	appender->sync = flags & GB_APPENDER_SYNC;
	gb__list_init(&appender->waiting);
	gb__list_init(&appender->unsynced);
	*ret = appender;
	return 0;
}
