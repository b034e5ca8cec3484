/** TLS of a load's connections. */
#ifndef LOAD_SECURE_H
#define LOAD_SECURE_H

#include "load/options.h"
#include "load/totals.h"

#include <gearbox/tls.h>

/** The flags. */
extern const struct gb_setting gb__load_secure_flags[];

/** Returns 0, or -GB_EUSAGE: what is said of TLS has no sense. */
int gb__load_secure_check(const struct load_options *options, struct gb_error *error);
/** A connection is established, so long after its connecting began: note its handshake. */
void gb__load_secure_note(struct handshakes *handshakes, struct gb_conn *conn, uint64_t ns);
/** What connections share; `*ret` is NULL without --tls. Returns 0 or a code with what is wrong. */
int gb__load_secure(const struct load_options *options, struct gb_tls_client **ret, struct gb_error *error);

#endif
