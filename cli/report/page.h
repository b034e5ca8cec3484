/** The page as the build put it together (embed.py): what stands before the comparison's JSON, and what behind it. */
#ifndef CLI_REPORT_PAGE_H
#define CLI_REPORT_PAGE_H

#include <stddef.h>

extern const char gb__report_page_head[];
extern const size_t gb__report_page_head_size;
extern const char gb__report_page_tail[];
extern const size_t gb__report_page_tail_size;

#endif
