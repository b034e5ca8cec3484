/** Messages of one's own, as a person writes them: one a line of a file, or on the command line. */
#ifndef CLI_MESSAGES_H
#define CLI_MESSAGES_H

#include <gearbox/codec.h>
#include <gearbox/error.h>

/** All zero is empty. */
struct messages {
	struct gb_bytes *list; /* each a piece of memory of its own */
	size_t count;
};

/** Add one. In `text` \r, \n, \t, \0, \\ and \xHH stand for bytes. Returns 0, -GB_EUSAGE, -ENOMEM. */
int gb__messages_add(struct messages *messages, const char *text, struct gb_error *error);
/** Add each line of a file that is not empty. Returns as above, or -errno; the text names file and line. */
int gb__messages_load(struct messages *messages, const char *path, struct gb_error *error);
/**
 * Make of each message what a codec takes it from: the line codec gets a line feed at the end, unless there is one,
 * the length codec its header; others get it as it is. Returns 0, -GB_EUSAGE, -ENOMEM.
 */
int gb__messages_frame(struct messages *messages, const struct gb_codec_ops *codec, const void *codec_options,
	struct gb_error *error);
/** Append copies of all in `from`. Returns 0 or -ENOMEM. */
int gb__messages_copy(const struct messages *from, struct messages *to, struct gb_error *error);
void gb__messages_finish(struct messages *messages);

#endif
