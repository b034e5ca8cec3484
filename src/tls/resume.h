/** What a client agreed on with whom, to go on with the next time. */
#ifndef TLS_RESUME_H
#define TLS_RESUME_H

#include <openssl/ssl.h>
#include <pthread.h>

#define GB__TLS_REMEMBERED 64 /* names; the one that was longest unused makes room */

struct gb__tls_memory {
	pthread_mutex_t lock;
	uint64_t uses;
	struct gb__tls_remembered {
		char *name;
		SSL_SESSION *session;
		uint64_t used;
	} entries[GB__TLS_REMEMBERED];
};

void gb__tls_memory_init(struct gb__tls_memory *memory);
void gb__tls_memory_finish(struct gb__tls_memory *memory);
/** Takes `session` on success; without memory it is forgotten. Thread: any. */
int gb__tls_memory_put(struct gb__tls_memory *memory, const char *name, SSL_SESSION *session);
/** What was agreed on with that name, the caller's to free, or NULL. Several may go on with the same. Thread: any. */
SSL_SESSION *gb__tls_memory_get(struct gb__tls_memory *memory, const char *name);
/** Forget all of it. Thread: any. */
void gb__tls_memory_forget(struct gb__tls_memory *memory);

#endif
