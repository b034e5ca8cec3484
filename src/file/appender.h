/** Appends in order: <gearbox/file.h> has the contract. */
#ifndef FILE_APPENDER_H
#define FILE_APPENDER_H

#include "file/file.h"

int gb__appender_create(struct gb__files *files, int fd, unsigned flags, struct gb_appender **ret);

#endif
