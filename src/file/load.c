/*
 * A whole file into memory: open, ask for its size, read until the end, close.
 *
 * The size is a hint: files grow and shrink, and those of /proc say 0. There is room for one byte more than expected, so
 * that the end is found without growing; and for one more than is allowed, so that too much is found.
 */
#include "file/load.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>

#define ROOM_MIN 4096u

static struct gb_file_load *load_of(struct gb_operation *operation)
{
	return gb__container_of(operation, struct gb_file_load, operation);
}

static void end(struct gb_file_load *load)
{
	struct gb__files *files = load->files;

	if (load->result < 0)
		gb_file_load_free(load);
	else
		load->data[load->size] = '\0';
	files->under_way--;
	gb__operation_complete(&load->operation, load->result);
}

static void on_close(struct gb_operation *operation, void *user)
{
	(void)operation; /* nothing was written */
	end(user);
}

static void close_with(struct gb_file_load *load, int result)
{
	load->result = result;
	gb__file_close(load->files, &load->step, load->fd, on_close, load);
}

static void on_read(struct gb_operation *operation, void *user);

/* Room for more, up to a byte more than is allowed. */
static int grow(struct gb_file_load *load, size_t room)
{
	unsigned char *grown;

	room = gb__min(room, load->size_max + 1);
	grown = gb__realloc(load->data, room + 1); /* and for the 0 behind it */
	if (!grown)
		return -ENOMEM;
	load->data = grown;
	load->room = room;
	return 0;
}

static void read_on(struct gb_file_load *load)
{
	gb__file_read(load->files, &load->step, load->fd, load->data + load->size, load->room - load->size,
		(int64_t)load->size, on_read, load);
}

static void on_read(struct gb_operation *operation, void *user)
{
	struct gb_file_load *load = user;
	int result = operation->result;

	if (result > 0) {
		load->size += (size_t)result;
		result = load->size > load->size_max ? -EFBIG
			: load->size == load->room   ? grow(load, 2 * load->room)
						     : 0;
		if (result == 0 && !load->cancelled) {
			read_on(load);
			return;
		}
		result = result < 0 ? result : -ECANCELED;
	}
	close_with(load, result < 0 ? result : (int)load->size);
}

static void on_stat(struct gb_operation *operation, void *user)
{
	struct gb_file_load *load = user;
	int result = operation->result;

	if (result == 0)
		result = load->cancelled
			? -ECANCELED
			: grow(load, gb__max((size_t)gb__min(load->stat.size, load->size_max) + 1, ROOM_MIN));
	if (result < 0)
		close_with(load, result);
	else
		read_on(load);
}

static void on_open(struct gb_operation *operation, void *user)
{
	struct gb_file_load *load = user;

	load->fd = operation->result;
	if (load->fd >= 0) {
		gb__file_stat(load->files, &load->step, NULL, load->fd, &load->stat, on_stat, load);
		return;
	}
	load->result = load->fd;
	end(load);
}

static void cancel(struct gb_operation *operation)
{
	struct gb_file_load *load = load_of(operation);

	load->cancelled = true;
	gb_operation_cancel(&load->step.operation); /* a close is not called off */
}

static const struct gb__operation_kind load_kind = { "load", cancel };

struct gb_operation *gb__file_load(struct gb__files *files, struct gb_file_load *load, const char *path,
	size_t size_max, gb_operation_done *on_done, void *user)
{
	*load = (struct gb_file_load){ .size_max = gb__min(size_max, GB__FILE_SIZE_MAX), .files = files };
	gb__operation_begin(&load->operation, &load_kind, files->worker, on_done, user);
	files->under_way++;
	gb__file_open(files, &load->step, path, O_RDONLY, 0, on_open, load);
	return &load->operation;
}

void gb_file_load_free(struct gb_file_load *load)
{
	gb__free(load->data);
	load->data = NULL;
	load->size = 0;
}
