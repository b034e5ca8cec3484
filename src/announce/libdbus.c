#include "announce/libdbus.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#define SONAME "libdbus-1.so.3"

struct gb__libdbus gb__libdbus;

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER; /* servers may begin on several threads */

static int load(struct gb_error *error)
{
	struct gb__libdbus found;
	void *library;

	if (gb__libdbus.dbus_message_unref)
		return 0;
	library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return gb_error_set(error, -ENOENT, "announce-local: cannot load libdbus: %s", dlerror());
#define FIND(name) \
	found.name = (__typeof__(name) *)dlsym(library, #name); \
	if (!found.name) \
		return gb_error_set(error, -ENOENT, "announce-local: %s has no %s", SONAME, #name);
	GB__LIBDBUS(FIND)
#undef FIND
	gb__libdbus = found;
	return 0;
}

int gb__libdbus_load(struct gb_error *error)
{
	int result;

	pthread_mutex_lock(&loading);
	result = load(error);
	pthread_mutex_unlock(&loading);
	return result;
}
