/* Names of services on the local network: taken apart, and made others when somebody has them. */
#include "announce/labels.h"

#include "harness.h"

static void check_split(const char *text, const char *instance, const char *type)
{
	char first[64], second[64];

	if (gb__label_split(text, first, sizeof(first), second, sizeof(second)) < 0)
		test_fail(__FILE__, __LINE__, "%s is refused", text);
	if (instance)
		CHECK_STR(first, instance);
	CHECK_STR(second, type);
}

TEST(names_are_cut_into_instance_and_type)
{
	char machine[64], first[64], second[64];

	gb__label_of_machine(machine, sizeof(machine));
	CHECK(*machine);
	check_split("_echo._tcp", machine, "_echo._tcp");
	check_split("My server._echo._tcp", "My server", "_echo._tcp");
	check_split("v1.2 of _x._tcp._echo._tcp", "v1.2 of _x._tcp", "_echo._tcp");
	for (const char *const *wrong =
			(const char *const[]){ "", "echo", "_echo._udp", "_._tcp", "._echo._tcp", "a._echo",
				"_a_very_long_name._tcp", "_abcdefghijklmnop._tcp", "_e cho._tcp", NULL };
		*wrong; wrong++)
		if (gb__label_split(*wrong, first, sizeof(first), second, sizeof(second)) == 0)
			test_fail(__FILE__, __LINE__, "\"%s\" is taken for \"%s\" \"%s\"", *wrong, first,
				second);
}

TEST(other_names_are_counted_and_fit)
{
	char name[64] = "Server";

	gb__label_alternative(name, sizeof(name));
	CHECK_STR(name, "Server #2");
	for (int i = 0; i < 8; i++)
		gb__label_alternative(name, sizeof(name));
	CHECK_STR(name, "Server #10");
	strcpy(name, "C#");
	gb__label_alternative(name, sizeof(name));
	CHECK_STR(name, "C# #2");
	strcpy(name, "#7");
	gb__label_alternative(name, sizeof(name));
	CHECK_STR(name, "#7 #2");
	memset(name, 'x', 63);
	memcpy(name + 58, "\xc3\xa4\xc3\xa4", 4);
	name[62] = '\0';
	gb__label_alternative(name, sizeof(name));
	CHECK_INT(strlen(name), 60 + 3);
	memset(name, 'x', 63);
	memcpy(name + 59, "\xc3\xa4\xc3\xa4", 5);
	gb__label_alternative(name, sizeof(name));
	CHECK_STR(name + 59, " #2");
}
