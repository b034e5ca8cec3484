/** JSON for programs that read what a command says: values of jansson, made safe and printed. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>

/** A text, whatever its bytes: those that are no UTF-8 become '?'. NULL is null. */
json_t *gb__json_text(const char *text);

/** The number of an object's key; NAN where there is none. */
double gb__json_number(const json_t *object, const char *key);

/** "accept=shared,unit=thread" as an object. */
json_t *gb__json_axes(const char *axes);

/** Write a value to a file, for other programs to read. Returns 0 or a negative errno. */
int gb__json_write(const json_t *value, const char *path);

/** Print a value on standard output and free it. Returns the exit code of the command: without memory it says so. */
int gb__json_print(json_t *value);

#endif
