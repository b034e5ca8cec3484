/** Networks whose peers are trusted to say, by a PROXY header, whom they forward. */
#ifndef NET_PROXY_NETWORKS_H
#define NET_PROXY_NETWORKS_H

#include "os/address.h"

struct gb__proxy_networks;

/**
 * Parse "10.0.0.0/8,2001:db8::/32,192.0.2.1,unix" (also separated by +, within a listening address), or "any". "none": NULL.
 *
 * Returns 0, -GB_EUSAGE with the reason, -ENOMEM.
 */
int gb__proxy_networks_parse(const char *text, struct gb__proxy_networks **ret, struct gb_error *error);
void gb__proxy_networks_destroy(struct gb__proxy_networks *networks);
/** Whether the peer is of one of them; IPv4 within IPv6 is IPv4. */
bool gb__proxy_networks_have(const struct gb__proxy_networks *networks, const struct gb__address *peer);

#endif
