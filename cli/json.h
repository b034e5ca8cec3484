/** JSON for programs that read what a command says: values of jansson, made safe and printed. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>

/** A text, whatever its bytes: those that are no UTF-8 become '?'. NULL is null. */
json_t *gb__json_text(const char *text);

/** "accept=shared,unit=thread" as an object. */
json_t *gb__json_axes(const char *axes);

/** Print a value on standard output and free it. Returns the exit code of the command: without memory it says so. */
int gb__json_print(json_t *value);

#endif
