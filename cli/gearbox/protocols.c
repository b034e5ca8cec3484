#include "gearbox/protocols.h"

#include <stddef.h>

const struct verify_protocol *const gb__protocols_builtin[] = {
	&gb__verify_bulk,
	&gb__verify_chargen,
	&gb__verify_daytime,
	&gb__verify_discard,
	&gb__verify_echo,
	&gb__verify_proxy,
	&gb__verify_proxy_length,
	&gb__verify_proxy_line,
	&gb__verify_syslog,
	&gb__verify_time,
	&gb__verify_time_echo,
	&gb__verify_work,
	NULL,
};
