/** What the tests of the proactor on the real ring share: waits until something has come true. */
#ifndef ENGINE_PROACTOR_TEST_DRIVER_H
#define ENGINE_PROACTOR_TEST_DRIVER_H

#include "engine/engine.h"
#include "tests/harness/harness.h"

#define SECOND_NS 1000000000ll
#define WAITS_MAX 200000 /* of a test: it would spin */

#define WAIT_UNTIL(engine, condition) \
	do { \
		int wait_count = 0; \
		while (!(condition)) { \
			if (++wait_count > WAITS_MAX) \
				test_fail(__FILE__, __LINE__, "never: %s", #condition); \
			CHECK((engine)->ops->wait(engine, SECOND_NS) >= 0); \
		} \
	} while (0)

#endif
