/** A whole file: <gearbox/file.h> has the contract. */
#ifndef FILE_LOAD_H
#define FILE_LOAD_H

#include "file/file.h"

struct gb_operation *gb__file_load(struct gb__files *files, struct gb_file_load *load, const char *path,
	size_t size_max, gb_operation_done *on_done, void *user);

#endif
