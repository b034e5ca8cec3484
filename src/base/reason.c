#include "base/macros.h"

#include <gearbox/conn.h>

const char *gb_close_reason_name(int reason)
{
	static const char *const words[] = {
#define WORD(name, word, text) word,
		GB_CLOSE_REASONS(WORD)
#undef WORD
	};

	if (reason < 0 || (size_t)reason >= gb__countof(words))
		return "unknown";
	return words[reason];
}
