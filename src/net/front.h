/** What comes before a service's own bytes on a connection: who it is for (PROXY protocol), then TLS. */
#ifndef NET_FRONT_H
#define NET_FRONT_H

struct gb__tls;
struct gb__proxy_networks;

/** Of a listening address. All that accept on it share one; it outlives them. */
struct gb__front {
	struct gb__tls *tls;                      /* NULL: none */
	const struct gb__proxy_networks *proxies; /* who sends a PROXY header first; NULL: nobody */
};

#endif
