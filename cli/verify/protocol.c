#include "verify/protocol.h"

#include <string.h>

const struct verify_protocol *const verify_protocols[] = {
	&verify_chargen,
	&verify_daytime,
	&verify_discard,
	&verify_echo,
	&verify_time,
	&verify_time_echo,
	&verify_work,
	NULL,
};

const struct verify_protocol *verify_protocol_find(const char *service)
{
	for (const struct verify_protocol *const *protocol = verify_protocols; *protocol; protocol++)
		if (strcmp((*protocol)->service, service) == 0)
			return *protocol;
	return NULL;
}
