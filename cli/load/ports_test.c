#include "load/ports.h"

#include "harness.h"

TEST(more_connections_than_ports_are_refused_with_what_would_be_possible)
{
	struct gb_error error;

	CHECK_INT(gb__load_ports_suffice_of("32768\t60999\n", 28232, &error), 0);
	CHECK_INT(gb__load_ports_suffice_of("32768\t60999\n", 28233, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "at most 28232"));
	CHECK_INT(gb__load_ports_suffice_of("", 1000000, &error), 0);
	CHECK_INT(gb__load_ports_suffice("unix:/nowhere", 1000000, &error), 0);
}
