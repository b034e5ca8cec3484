/** Waiting on a word that several processes share: futex(2). */
#ifndef OS_FUTEX_H
#define OS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/** Sleep while the word has this value; may return early. */
void gb__futex_wait(const _Atomic uint32_t *word, uint32_t value);
/** Wake one who waits on it, in whichever process. */
void gb__futex_wake(const _Atomic uint32_t *word);
/** Wake all of them. */
void gb__futex_wake_all(const _Atomic uint32_t *word);

#endif
