#include "services.h"

#include <string.h>

const struct gb_service *const gb_services[] = {
	&gb_service_bulk,
	&gb_service_bulk_sequential,
	&gb_service_chargen,
	&gb_service_chargen_sequential,
	&gb_service_daytime,
	&gb_service_discard,
	&gb_service_echo,
	&gb_service_echo_sequential,
	&gb_service_proxy,
	&gb_service_proxy_length,
	&gb_service_proxy_line,
	&gb_service_syslog,
	&gb_service_time,
	&gb_service_time_echo,
	&gb_service_work,
	&gb_service_work_deferred,
	&gb_service_work_routed,
	&gb_service_work_sequential,
	NULL,
};

const struct gb_service *gb_service_find(const char *name)
{
	for (const struct gb_service *const *service = gb_services; *service; service++)
		if (strcmp((*service)->name, name) == 0)
			return *service;
	return NULL;
}
