/**
 * Names of addresses in this process: from the symbol tables of the files that are mapped, static functions included as long
 * as they were not stripped. Not for signal handlers.
 */
#ifndef OS_SYMBOL_H
#define OS_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

#define GB__SYMBOL_TEXT 256u

/** "on_message+0x1f (gearbox+0x1234f)", without a symbol "(gearbox+0x1234f)", outside of all files "0x55…". What stands in
 *  parentheses is for `addr2line -e FILE 0x1234f`. */
void gb__symbol_text(uintptr_t address, char *text, size_t size);

#endif
