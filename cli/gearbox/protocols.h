/**
 * What clients of the built-in services say and must hear: the RFCs, told apart from the services themselves.
 *
 * To have a service verified by what it must answer: a struct here, a row in protocols.c. Services without one are
 * verified by what they answer (verify/learned.h).
 */
#ifndef CLI_GEARBOX_PROTOCOLS_H
#define CLI_GEARBOX_PROTOCOLS_H

#include "verify/protocol.h"

extern const struct verify_protocol gb__verify_echo, gb__verify_proxy, gb__verify_discard, gb__verify_syslog,
	gb__verify_time_echo, gb__verify_work;
extern const struct verify_protocol gb__verify_proxy_line, gb__verify_proxy_length, gb__verify_bulk;
extern const struct verify_protocol gb__verify_chargen, gb__verify_daytime, gb__verify_time;

/** All of them; ends with NULL. */
extern const struct verify_protocol *const gb__protocols_builtin[];

#endif
