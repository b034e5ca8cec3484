#include "os/root_test_driver.h"

#include <ftw.h>
#include <sys/stat.h>

#define TEMPLATE "/tmp/gearbox-root-XXXXXX"

char driver_root[] = TEMPLATE;

void driver_root_make(void)
{
	strcpy(driver_root, TEMPLATE);
	CHECK(mkdtemp(driver_root));
}

void driver_root_file(const char *path, const char *text)
{
	char whole[256];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s%s", driver_root, path);
	for (char *slash = strchr(whole + strlen(driver_root) + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(whole, 0700);
		*slash = '/';
	}
	file = fopen(whole, "w");
	CHECK(file);
	CHECK(fputs(text, file) >= 0);
	CHECK(fclose(file) == 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	return remove(path);
}

void driver_root_remove(void)
{
	CHECK_INT(nftw(driver_root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
