/* Who is built without jansson writes no JSON. */
#include "model/summary.h"

#include "base/log.h"

#include <errno.h>

int gb__summary_print(FILE *stream, const struct gb_server *server)
{
	return -ENOTSUP;
}

void gb__summary_log(const struct gb_server *server)
{
	gb__log_say(GB__LOG_WARNING, "no counters: this library was built without jansson");
}
