/* Names of addresses, as a stall's report shows them. */
#include "os/symbol.h"

#include "harness.h"

#include <dlfcn.h>
#include <inttypes.h>

/* Of some size. */
__attribute__((noinline)) static int of_this_file(volatile int *value)
{
	for (int i = 0; i < 10; i++)
		*value += i;
	return *value;
}

static const char *text_of(uintptr_t address)
{
	static char text[GB__SYMBOL_TEXT];

	gb__symbol_text(address, text, sizeof(text));
	return text;
}

/* The place in the file, as addr2line takes it. */
static void check_place(const char *text, const char *file)
{
	const char *place = strchr(text, '(');
	uintptr_t offset;
	char name[64], end;

	if (!place || sscanf(place, "(%63[^+]+0x%" SCNxPTR "%c", name, &offset, &end) != 3 || end != ')' ||
		strncmp(name, file, strlen(file)) != 0)
		test_fail(__FILE__, __LINE__, "%s", text);
	CHECK(offset > 0);
}

TEST(a_static_function_has_its_name_and_the_place_within_it)
{
	const uintptr_t begin = (uintptr_t)of_this_file;
	volatile int value = 0;

	CHECK_INT(of_this_file(&value), 45);
	CHECK(strncmp(text_of(begin), "of_this_file+0x0 (", 18) == 0);
	CHECK(strncmp(text_of(begin + 1), "of_this_file+0x1 (", 18) == 0);
	check_place(text_of(begin + 1), "os-symbol-test");
	CHECK(strncmp(text_of((uintptr_t)test_fail), "test_fail+0x0 (", 15) == 0);
}

TEST(a_function_of_a_library_is_named_with_its_file)
{
	void *library = dlopen("libc.so.6", RTLD_NOW);
	const uintptr_t address = library ? (uintptr_t)dlsym(library, "getpid") : 0;

	if (!address)
		return; /* another C library */
	CHECK(strstr(text_of(address + 1), "getpid+0x1 ("));
	check_place(text_of(address + 1), "libc.so");
}

TEST(what_is_no_function_is_told_by_its_place_alone)
{
	static const int data[64];
	char expected[32];

	CHECK(text_of((uintptr_t)&data[8])[0] == '(');
	check_place(text_of((uintptr_t)&data[8]), "os-symbol-test");
	snprintf(expected, sizeof(expected), "0x%" PRIxPTR, (uintptr_t)1);
	CHECK_STR(text_of(1), expected);
}
