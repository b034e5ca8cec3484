#include "name/dns.h"

#include <errno.h>

int gb__dns_create(const struct gb__dns_options *options, struct gb__dns **ret, struct gb_error *error)
{
	(void)options;
	(void)ret;
	return gb_error_set(
		error, -EOPNOTSUPP, "names are not resolved here: gearbox was built without c-ares");
}

void gb__dns_destroy(struct gb__dns *dns)
{
	(void)dns;
}

void gb__dns_abandon(struct gb__dns *dns)
{
	(void)dns;
}

void gb__dns_ask(
	struct gb__dns *dns, enum gb__question question, const char *name, gb__dns_told *told, void *arg)
{
	(void)dns;
	(void)question;
	(void)name;
	told(arg, &(struct gb__answer){ .code = -EOPNOTSUPP });
}
