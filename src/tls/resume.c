#include "tls/resume.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>
#include <string.h>

void gb__tls_memory_init(struct gb__tls_memory *memory)
{
	*memory = (struct gb__tls_memory){ 0 };
	gb__assert(pthread_mutex_init(&memory->lock, NULL) == 0);
}

static void forget(struct gb__tls_memory *memory)
{
	for (size_t i = 0; i < gb__countof(memory->entries); i++) {
		gb__free(memory->entries[i].name);
		SSL_SESSION_free(memory->entries[i].session);
		memory->entries[i] = (struct gb__tls_remembered){ 0 };
	}
}

void gb__tls_memory_finish(struct gb__tls_memory *memory)
{
	forget(memory);
	pthread_mutex_destroy(&memory->lock);
}

void gb__tls_memory_forget(struct gb__tls_memory *memory)
{
	pthread_mutex_lock(&memory->lock);
	forget(memory);
	pthread_mutex_unlock(&memory->lock);
}

static struct gb__tls_remembered *find(struct gb__tls_memory *memory, const char *name)
{
	for (size_t i = 0; i < gb__countof(memory->entries); i++)
		if (memory->entries[i].name && strcmp(memory->entries[i].name, name) == 0)
			return &memory->entries[i];
	return NULL;
}

int gb__tls_memory_put(struct gb__tls_memory *memory, const char *name, SSL_SESSION *session)
{
	struct gb__tls_remembered *entry;
	SSL_SESSION *before = NULL;
	char *copy;
	int result = 0;

	pthread_mutex_lock(&memory->lock);
	entry = find(memory, name);
	if (!entry) {
		entry = memory->entries;
		for (size_t i = 1; i < gb__countof(memory->entries); i++)
			if (memory->entries[i].used < entry->used)
				entry = &memory->entries[i];
		copy = gb__strdup(name);
		if (copy) {
			gb__free(entry->name);
			entry->name = copy;
		} else {
			result = -ENOMEM;
		}
	}
	if (result == 0) {
		before = entry->session;
		entry->session = session;
		entry->used = ++memory->uses;
	}
	pthread_mutex_unlock(&memory->lock);
	SSL_SESSION_free(before);
	return result;
}

SSL_SESSION *gb__tls_memory_get(struct gb__tls_memory *memory, const char *name)
{
	struct gb__tls_remembered *entry;
	SSL_SESSION *session = NULL;

	pthread_mutex_lock(&memory->lock);
	entry = find(memory, name);
	if (entry && entry->session) {
		session = SSL_SESSION_dup(entry->session); /* OpenSSL takes one of TLS 1.3 once */
		entry->used = ++memory->uses;
	}
	pthread_mutex_unlock(&memory->lock);
	return session;
}
