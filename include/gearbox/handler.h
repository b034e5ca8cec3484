/** A service in a shared object, which `gearbox serve ./handler.so` loads: built without the command, run by it. */
#ifndef GEARBOX_HANDLER_H
#define GEARBOX_HANDLER_H

#include <gearbox/service.h>
#include <gearbox/types.h>

GB_BEGIN

/** What such an object exports as `gb_handler`. Its fields stay as they are whatever the ABI, so that who loads one of
 *  another can say so. */
struct gb_handler {
	uint32_t struct_size, abi;        /* of this struct; GB_ABI of the headers that it was built with */
	uint32_t service_size;            /* of struct gb_service in these */
	uint32_t reserved;                /* 0 */
	const char *version;              /* GB_VERSION of these headers */
	const struct gb_service *service; /* of static storage in the object */
};

/**
 * Export a service, once in the object, after its definition: `GB_HANDLER(echo)`. docs/handlers.md.
 *
 * Functions of the library are those of the program that loads it: do not link one to the object.
 */
#define GB_HANDLER(name) \
	GB_BEGIN \
	GB_API extern const struct gb_handler gb_handler; \
	GB_END \
	const struct gb_handler gb_handler = { sizeof(struct gb_handler), GB_ABI, sizeof(struct gb_service), \
		0, GB_VERSION, &(name) }

GB_END

#endif
