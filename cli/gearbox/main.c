/* `gearbox`: the commands around the built-in services, whose clients verify knows. */
#include "command.h"
#include "gearbox/protocols.h"

#include "services.h"

int main(int argc, char **argv)
{
	const struct gb__program program = { .services = gb_services, .protocols = gb__protocols_builtin };

	return gb__program_run(&program, argc, argv);
}
