/** `gearbox load --merge`: files of histograms added up. */
#ifndef LOAD_MERGE_H
#define LOAD_MERGE_H

#include "load/options.h"

/** Read the files, print percentiles of each tag, and write the sum if a file was named. Returns 0 or a negative code. */
int gb__load_merge(const struct load_options *options, struct gb_error *error);

#endif
