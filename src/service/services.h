/**
 * The built-in services, written against the public headers only.
 *
 * To add one: a file with its struct gb_service, a line here, a line in services.c.
 */
#ifndef SERVICE_SERVICES_H
#define SERVICE_SERVICES_H

#include <gearbox/gearbox.h>

/** The `user` of those with settings is the struct that these fill, never NULL; gb_serve_main sees to it. */
extern const struct gb_service gb_service_bulk;
extern const struct gb_service gb_service_bulk_sequential;
extern const struct gb_service gb_service_chargen;
extern const struct gb_service gb_service_chargen_sequential;
extern const struct gb_service gb_service_daytime;
extern const struct gb_service gb_service_discard;
extern const struct gb_service gb_service_echo;
extern const struct gb_service gb_service_echo_sequential;
extern const struct gb_service gb_service_proxy;
extern const struct gb_service gb_service_proxy_length;
extern const struct gb_service gb_service_proxy_line;
extern const struct gb_service gb_service_syslog;
extern const struct gb_service gb_service_time;
extern const struct gb_service gb_service_time_echo;
extern const struct gb_service gb_service_work;
extern const struct gb_service gb_service_work_deferred;
extern const struct gb_service gb_service_work_routed;
extern const struct gb_service gb_service_work_sequential;

/** All of them, by name; ends with NULL. */
extern const struct gb_service *const gb_services[];

/** The service of that name, or NULL. */
const struct gb_service *gb_service_find(const char *name);

#endif
