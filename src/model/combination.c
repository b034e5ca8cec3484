/* Specs as text, for whoever looks at models without running them. */
#include "model/legality.h"

#include "base/assert.h"

#include <errno.h>

int gb_model_combination(size_t n, char *text, size_t size)
{
	struct gb__model all[GB__COMBINATIONS_MAX];
	size_t count = gb__model_combinations(all, GB__COMBINATIONS_MAX);

	gb__assert(count <= GB__COMBINATIONS_MAX);
	return n < count ? gb__model_format(&all[n], text, size) : -ENOENT;
}

int gb_model_check(
	const char *spec, const struct gb_service *service, bool ip_address, struct gb_error *error)
{
	struct gb__model model;
	int result;

	if (!spec)
		return gb_error_set(error, -EINVAL, "gb_model_check: the spec is NULL");
	result = gb__model_parse(spec, &model, error);
	if (result == 0)
		result = gb__model_check(&model, error);
	if (result == 0 && service)
		result = gb__model_check_service(&model, service, ip_address, error);
	return result;
}
