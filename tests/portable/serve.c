/* The built-in services without the command: what ./dev portable runs on another machine, or another C library. */
#include "services.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	const struct gb_service *service = argc > 1 ? gb_service_find(argv[1]) : NULL;

	if (!service) {
		fprintf(stderr, "usage: serve SERVICE --listen ADDRESS [FLAG ...]\n");
		return 2;
	}
	argv[1] = argv[0];
	return gb_serve_main(argc - 1, argv + 1, service);
}
