/** A whole program around a service: commands, flags, signals, ready line, exit code. */
#ifndef GEARBOX_MAIN_H
#define GEARBOX_MAIN_H

#include <gearbox/service.h>
#include <gearbox/types.h>

GB_BEGIN

/**
 * A program around one service, with the commands of `gearbox`: `./resp --listen ADDRESS` serves (`serve` may
 * stand before the flags), `./resp verify` holds the same conversations with it under every model, `./resp compare` puts
 * the same load on it under many, `./resp load ADDRESS` sends and checks, and there are models, doctor, help and version. `./resp help` lists them.
 *
 * The base name in `argv[0]`, up to a space, begins every line on standard error; help shows all of it.
 * Borrows `service`, of static storage as a rule. Returns what main should: 0, 1 (failed at run time) or 2
 * (wrong usage).
 */
GB_API int gb_main(int argc, char **argv, const struct gb_service *service);

/** The same around several services, of which `serve` and `verify` take the name. `services` ends with NULL. */
GB_API int gb_main_services(int argc, char **argv, const struct gb_service *const *services);

/**
 * `serve` alone, for programs with commands of their own: `argv` holds the program's name and the flags.
 *
 * SIGTERM and SIGINT drain, a second one ends at once; SIGALRM ends the program some seconds after the drain
 * deadline, or after the second signal, when a handler does not return. SIGHUP has certificates read again, where there are
 * any; SIGUSR1 has the counters printed to standard error as one line of JSON, SIGPIPE has no effect. A SIGINT that is ignored stays so, as in a shell's background.
 * Names and returns as gb_main.
 */
GB_API int gb_serve_main(int argc, char **argv, const struct gb_service *service);

/** The same; `--listen SERVICE=ADDRESS` serves one of `others` there beside it. They end with NULL, and may have `service`
 *  among them, as gb_main_services does it. */
GB_API int gb_serve_main_services(
	int argc, char **argv, const struct gb_service *service, const struct gb_service *const *others);

GB_END

#endif
