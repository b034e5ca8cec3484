/* Whatever is wrong with an object is told here: the dynamic linker ends the process for some of it. */
#include "object.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool gb__object_named(const char *word)
{
	const size_t length = strlen(word);

	return strchr(word, '/') || (length > 3 && strcmp(word + length - 3, ".so") == 0);
}

/* What dlopen(3) says, without the path that it may begin with. */
static const char *reason(const char *path)
{
	const char *text = dlerror();
	const size_t length = strlen(path);

	if (!text)
		return "the dynamic linker does not say why";
	return strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0 ? text + length + 2
											: text;
}

/* The dynamic linker maps what the headers say, and a page beyond the end of the file is a SIGBUS. */
static int check_whole(int fd, const char *path, uint64_t size, struct gb_error *error)
{
	ElfW(Ehdr) header;
	ElfW(Phdr) segment;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
		memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return gb_error_set(error, -GB_EUSAGE, "cannot load %s: it is no shared object", path);
	if (header.e_type != ET_DYN || header.e_phentsize != sizeof(segment))
		return 0; /* the dynamic linker says why not */
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (pread(fd, &segment, sizeof(segment), (off_t)(header.e_phoff + i * sizeof(segment))) !=
				sizeof(segment) ||
			segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
			return gb_error_set(error, -GB_EUSAGE,
				"cannot load %s: it is cut off after %" PRIu64 " bytes", path, size);
	}
	return 0;
}

int gb__object_check(const char *path, const char *file_path, struct gb_error *error)
{
	int fd = open(file_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result;
	struct stat file;

	if (fd < 0)
		return gb_error_set(error, -GB_EUSAGE, "%s: %s", path, strerror(errno));
	if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))
		result = gb_error_set(
			error, -GB_EUSAGE, "%s is no file: write the path of a shared object", path);
	else
		result = check_whole(fd, path, (uint64_t)file.st_size, error);
	close(fd);
	return result;
}

static int check_versions(const char *path, const struct gb_handler *handler, struct gb_error *error)
{
	if (handler->abi != GB_ABI)
		return gb_error_set(error, -GB_EUSAGE, "%s was built for ABI %u, this is %u: build it again",
			path, handler->abi, GB_ABI);
	if (handler->struct_size != sizeof(*handler) || handler->service_size != sizeof(struct gb_service))
		return gb_error_set(error, -GB_EUSAGE,
			"%s was built with other headers, of gearbox %s: its struct gb_service has %u bytes, here it "
			"has %zu: build it again",
			path, handler->struct_size == sizeof(*handler) ? handler->version : "unknown",
			handler->service_size, sizeof(struct gb_service));
	return 0;
}

static int check_service(const char *path, const struct gb_service *service, struct gb_error *error)
{
	if (!service)
		return gb_error_set(
			error, -GB_EUSAGE, "%s exports no service: its gb_handler names none", path);
	if (service->abi != GB_ABI || service->struct_size != sizeof(*service))
		return gb_error_set(error, -GB_EUSAGE,
			"%s: its service is without GB_SERVICE_INIT: write it first in the initializer",
			path);
	if (!service->name || !*service->name)
		return gb_error_set(error, -GB_EUSAGE,
			"%s: its service is without a name: set .name, a word for messages", path);
	return 0;
}

/* Built for another ABI it lacks whatever that had: this says more than the name of the first such thing. */
static int explain(const char *path, const char *here, struct gb_error *error)
{
	const struct gb_handler *handler;
	void *object;

	gb_error_set(error, -GB_EUSAGE, "cannot load %s: %s", path, reason(here));
	object = dlopen(here, RTLD_LAZY | RTLD_LOCAL);
	handler = object ? dlsym(object, "gb_handler") : NULL;
	if (handler)
		check_versions(path, handler, error);
	return -GB_EUSAGE;
}

int gb__object_load_from(
	const char *path, const char *file, const struct gb_service **ret, struct gb_error *error)
{
	const struct gb_handler *handler;
	void *object;
	int result;

	result = gb__object_check(path, file, error);
	if (result < 0)
		return result;
	object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		return explain(path, file, error);
	handler = dlsym(object, "gb_handler");
	if (!handler)
		return gb_error_set(error, -GB_EUSAGE,
			"%s exports no gb_handler: write GB_HANDLER(SERVICE) behind the service", path);
	result = check_versions(path, handler, error);
	if (result == 0)
		result = check_service(path, handler->service, error);
	if (result == 0)
		*ret = handler->service;
	return result;
}

int gb__object_load(const char *path, const struct gb_service **ret, struct gb_error *error)
{
	char here[4096];

	/* Without a slash it would be looked for where libraries are. */
	if ((size_t)snprintf(here, sizeof(here), "%s%s", strchr(path, '/') ? "" : "./", path) >= sizeof(here))
		return gb_error_set(error, -GB_EUSAGE, "%s: %s", path, strerror(ENAMETOOLONG));
	return gb__object_load_from(path, here, ret, error);
}
