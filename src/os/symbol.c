#include "os/symbol.h"

#include "base/macros.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_SHOWN 128

/* A file that an address lies in. */
struct module {
	uintptr_t address;
	uintptr_t offset; /* of the address, as the file counts */
	char path[512];   /* "": the program */
	bool found;
};

static int module_look(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module *module = arg;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type != PT_LOAD ||
			module->address - info->dlpi_addr - part->p_vaddr >= part->p_memsz)
			continue;
		module->offset = module->address - info->dlpi_addr;
		snprintf(module->path, sizeof(module->path), "%s", info->dlpi_name ? info->dlpi_name : "");
		module->found = true;
		return 1;
	}
	return 0;
}

struct image {
	const unsigned char *bytes;
	size_t size;
};

static const void *part_of(const struct image *image, uint64_t offset, uint64_t size)
{
	return offset <= image->size && size <= image->size - offset ? image->bytes + offset : NULL;
}

/* The function of a table that holds the address, or NULL. */
static const char *table_find(const struct image *image, const ElfW(Shdr) * table, const ElfW(Shdr) * names,
	uintptr_t offset, uintptr_t *ret_begin)
{
	const ElfW(Sym) *symbols = part_of(image, table->sh_offset, table->sh_size);
	const char *texts = part_of(image, names->sh_offset, names->sh_size), *found = NULL;

	if (!symbols || !texts || names->sh_size == 0 || texts[names->sh_size - 1] != '\0')
		return NULL;
	for (size_t i = 0; i < table->sh_size / sizeof(*symbols) && !found; i++) {
		const ElfW(Sym) *symbol = &symbols[i];

		if ((symbol->st_info & 0xf) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
			offset - symbol->st_value >= symbol->st_size || symbol->st_name >= names->sh_size)
			continue;
		found = texts + symbol->st_name;
		*ret_begin = symbol->st_value;
	}
	return found;
}

/* The table of all symbols, or of those for others where that is all there is. */
static const char *image_find(const struct image *image, uintptr_t offset, uintptr_t *ret_begin)
{
	const ElfW(Ehdr) *head = part_of(image, 0, sizeof(*head));
	const ElfW(Shdr) * sections;
	const char *found = NULL;

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_shentsize != sizeof(*sections))
		return NULL;
	sections = part_of(image, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*sections));
	for (unsigned i = 0; sections && i < head->e_shnum && !found; i++)
		if ((sections[i].sh_type == SHT_SYMTAB || sections[i].sh_type == SHT_DYNSYM) &&
			sections[i].sh_link < head->e_shnum)
			found = table_find(
				image, &sections[i], &sections[sections[i].sh_link], offset, ret_begin);
	return found;
}

static bool image_open(const char *path, struct image *ret)
{
	struct stat stat;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *bytes = MAP_FAILED;

	if (fd < 0)
		return false;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > 0)
		bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return false;
	*ret = (struct image){ bytes, (size_t)stat.st_size };
	return true;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void gb__symbol_text(uintptr_t address, char *text, size_t size)
{
	struct module module = { .address = address };
	char program[512];
	uintptr_t begin = 0;
	const char *name = NULL;
	struct image image;
	ssize_t length;

	dl_iterate_phdr(module_look, &module);
	if (!module.found) {
		snprintf(text, size, "0x%" PRIxPTR, address);
		return;
	}
	/* The link names the very file, also when another is there under its name by now. */
	length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[gb__max(length, 0)] = '\0';
	if (image_open(module.path[0] ? module.path : "/proc/self/exe", &image)) {
		name = image_find(&image, module.offset, &begin);
		if (name)
			snprintf(text, size, "%.*s+0x%" PRIxPTR " (%s+0x%" PRIxPTR ")", NAME_MAX_SHOWN, name,
				module.offset - begin, base_name(module.path[0] ? module.path : program),
				module.offset);
		munmap((void *)image.bytes, image.size);
	}
	if (!name)
		snprintf(text, size, "(%s+0x%" PRIxPTR ")", base_name(module.path[0] ? module.path : program),
			module.offset);
}
