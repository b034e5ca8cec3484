/** Errors: a negative code for the program, a text for the person. */
#ifndef GEARBOX_ERROR_H
#define GEARBOX_ERROR_H

#include <gearbox/types.h>

GB_BEGIN

/**
 * gearbox's own codes. They lie beyond the errno range and are returned negated, as errno values are.
 */
#define GB_ERRORS(X) \
	X(GB_EUSAGE, 10001, "wrong usage") \
	X(GB_EBADFRAME, 10002, "the bytes do not follow the protocol") \
	X(GB_ETOOLARGE, 10003, "the message is larger than allowed") \
	X(GB_EILLEGAL, 10004, "this combination of axes cannot work") \
	X(GB_ELIMIT, 10005, "a configured limit is reached") \
	X(GB_ETRUNCATED, 10006, "the input ended inside a message") \
	X(GB_ENOCORO, 10007, "only a coroutine that runs can wait") \
	X(GB_ENONAME, 10008, "it does not resolve: the name does not exist (NXDOMAIN)") \
	X(GB_ENOADDRESS, 10009, "it does not resolve: the name has no address") \
	X(GB_ENOSERVICE, 10010, "it does not resolve: by its SRV record there is no such service") \
	X(GB_ENAMESERVER, 10011, "it does not resolve: no name server gives an answer of use") \
	X(GB_ENAMETIMEOUT, 10012, "it does not resolve: no name server answers in time")

/** The same as numbers. */
enum gb_error_code {
#define GB__ERROR_CODE(name, value, text) name = value,
	GB_ERRORS(GB__ERROR_CODE)
#undef GB__ERROR_CODE
};

/** What went wrong, so that a person can act on it. */
struct gb_error {
	int code;       /* negative errno or negated GB_E…; 0 when nothing was reported */
	char text[508]; /* one line without newline: what is wrong and what would be right */
};

/**
 * A short text for a code, negative or positive, errno or GB_E….
 *
 * Returns static storage. Thread: any.
 */
GB_API const char *gb_strerror(int code);

/**
 * Fill `error` (when not NULL) and return `code`, so that a function can end with it.
 *
 * The text is cut at the array's size; control characters in it are escaped. Thread: any.
 */
GB_API int gb_error_set(struct gb_error *error, int code, const char *format, ...) GB_PRINTF(3, 4);

GB_END

#endif
