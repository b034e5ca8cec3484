/* All that the library allocates comes from the program's allocator, and goes back to it. */
#include "model/server_test_driver.h"

#include <gearbox/alloc.h>
#include <gearbox/gearbox.h>

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In front of each piece: what is released or resized without it was somebody else's. */
#define HEAD 64u
#define MARK 0x6765617262u

struct head {
	size_t mark, size;
};
static_assert(sizeof(struct head) <= HEAD, "the alignment of a cache line is kept");

static _Atomic long live, given;

static void *give(size_t size)
{
	struct head *head = aligned_alloc(HEAD, HEAD + (size + HEAD - 1) / HEAD * HEAD);

	if (!head)
		return NULL;
	*head = (struct head){ MARK, size };
	atomic_fetch_add(&live, 1);
	atomic_fetch_add(&given, 1);
	return (char *)head + HEAD;
}

static struct head *head_of(void *memory)
{
	struct head *head = (struct head *)((char *)memory - HEAD);

	if (head->mark != MARK)
		test_fail(__FILE__, __LINE__, "memory that was not given by the allocator");
	return head;
}

static void release(void *memory)
{
	struct head *head;

	if (!memory)
		return;
	head = head_of(memory);
	head->mark = 0;
	atomic_fetch_sub(&live, 1);
	free(head);
}

static void *give_zero(size_t count, size_t size)
{
	void *memory = give(count * size);

	return memory ? memset(memory, 0, count * size) : NULL;
}

static void *give_aligned(size_t alignment, size_t size)
{
	CHECK(alignment <= HEAD);
	return give(size);
}

static void *resize(void *memory, size_t size)
{
	void *other = give(size);

	if (memory && other) {
		const size_t before = head_of(memory)->size;

		memcpy(other, memory, before < size ? before : size);
		release(memory);
	}
	return other;
}

static const struct gb_allocator counting = { give, give_zero, give_aligned, resize, release };

/* In a process of its own: where workers are forked there may be no second thread. */
static pid_t visit(struct gb_server *server)
{
	const pid_t pid = fork();
	int client;

	CHECK(pid >= 0);
	if (pid > 0)
		return pid;
	for (int i = 0; i < 3; i++)
		driver_visit(server);
	client = driver_client(server);
	driver_send(client, "!");
	driver_receive(client, (char[8]){ 0 }, 8);
	_exit(0);
}

static void gives_all_back(const char *model)
{
	const long before = atomic_load(&live), given_before = atomic_load(&given);
	struct gb_server *server;
	pid_t client;
	int status;

	server = driver_server(model, &driver_echo, NULL);
	client = visit(server);
	CHECK_INT(gb_server_run(server, NULL), 0);
	CHECK(waitpid(client, &status, 0) == client && status == 0);
	gb_server_destroy(server);
	CHECK(atomic_load(&given) > given_before);
	if (atomic_load(&live) != before)
		test_fail(__FILE__, __LINE__, "%s keeps %ld", model, atomic_load(&live) - before);
}

TEST(all_memory_is_the_programs_and_goes_back)
{
	CHECK_INT(gb_alloc_set(&counting), 0);
	driver_each_preset(gives_all_back);
}

TEST(allocator_that_lacks_a_function_or_comes_late_is_refused)
{
	const struct gb_allocator none = { 0 };
	struct gb_options *options;

	CHECK_INT(gb_alloc_set(&none), -EINVAL);
	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_alloc_set(&counting), -EBUSY);
	gb_options_destroy(options);
}
