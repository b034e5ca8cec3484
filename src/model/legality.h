/** Which models can work at all, and which suit a service. */
#ifndef MODEL_LEGALITY_H
#define MODEL_LEGALITY_H

#include "model/spec.h"

#include <gearbox/service.h>

#include <stdbool.h>
#include <stddef.h>

/**
 * Whether a model can work.
 *
 * What the machine allows (io_uring refused, too few descriptors) is not looked at. Returns 0, or
 * -GB_EILLEGAL, the text with the rule and the nearest model that passes: fewest axes changed, then fewest
 * of those that were typed.
 */
int gb__model_check(const struct gb__model *model, struct gb_error *error);

/** Whether no rule forbids it. */
bool gb__model_legal(const struct gb__model *model);

/**
 * Whether a service can run under a model that passed gb__model_check. `ip_address` says that the
 * service listens on an IP address, not on a Unix socket.
 *
 * Returns 0; 1 when it can but a warning is due, whose text is in `error`; -GB_EILLEGAL as above.
 */
int gb__model_check_service(const struct gb__model *model, const struct gb_service *service, bool ip_address,
	struct gb_error *error);

#define GB__COMBINATIONS_MAX 324 /* of all values of the axes; fewer are legal */

/**
 * All legal combinations of the five axes: workers in {1, N, per-connection}, engine=auto left out.
 *
 * Writes at most `max` to `out` (NULL is fine with 0). Returns how many there are.
 */
size_t gb__model_combinations(struct gb__model *out, size_t max);

#endif
