/* GNU Pth: a thread of its a connection, written as with threads. It waits by select, for 1,024 descriptors. */
#include "../raw_listen.h"

#include <err.h>
#include <pth.h>
#include <stdint.h>
#include <sys/select.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024 }; /* its default */

static void *session(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buffer[1024];
	ssize_t size;

	while ((size = pth_read(fd, buffer, sizeof buffer)) > 0)
		if (pth_write(fd, buffer, (size_t)size) != size)
			break;
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t fds_max;
	int listener = raw_listen(argc, argv, 0, &fds_max), fd;
	pth_attr_t attributes;

	if (!pth_init())
		err(1, "pth_init");
	attributes = pth_attr_new();
	pth_attr_set(attributes, PTH_ATTR_JOINABLE, FALSE);
	pth_attr_set(attributes, PTH_ATTR_STACK_SIZE, (unsigned)STACK_SIZE);
	raw_announce(listener);
	for (;;) {
		fd = pth_accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		if (fd >= FD_SETSIZE || !pth_spawn(attributes, session, (void *)(intptr_t)fd))
			close(fd);
	}
}
