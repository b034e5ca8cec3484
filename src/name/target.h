/** What a text asks to be connected to. */
#ifndef NAME_TARGET_H
#define NAME_TARGET_H

#include "os/address.h"

#include <stdbool.h>

/** Of a name: 253 bytes, a dot behind it, and the end. */
#define GB__NAME_SIZE 255u

enum gb__target_kind {
	GB__TARGET_ADDRESS, /* as it is: HOST:PORT with a numeric host, unix:PATH */
	GB__TARGET_HOST,    /* NAME:PORT */
	GB__TARGET_SERVICE, /* _service._proto.NAME, or srv:NAME: its SRV records say host and port */
};

struct gb__target {
	enum gb__target_kind kind;
	uint16_t port;              /* HOST */
	char name[GB__NAME_SIZE];   /* HOST, SERVICE; in lower case */
	struct gb__address address; /* ADDRESS: what a client connects to */
};

/** Whether `text` asks for a name: cheap, and true of some texts that are neither. */
bool gb__target_is_name(const char *text);
/** Returns 0, or -GB_EUSAGE with the reason. Never blocks. */
int gb__target_parse(const char *text, struct gb__target *ret, struct gb_error *error);
/** As it was written, for messages. */
void gb__target_format(const struct gb__target *target, char *text, size_t size);
/** A list of name servers: ADDRESS[:PORT] with commas between. Returns 0, or -GB_EUSAGE with the reason. */
int gb__servers_check(const char *text, struct gb_error *error);

#endif
