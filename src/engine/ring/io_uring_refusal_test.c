/* Where the kernel refuses: the reason must be told so that a person can act on it. */
#include "engine/ring/ring.h"

#include "base/macros.h"
#include "os/os.h"
#include "tests/harness/harness.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct gb__ring_ops *const ops = &gb__ring_io_uring;
static const struct gb__ring_options options = { .os = &gb__os_linux,
	.entries = 64,
	.completions = 256,
	.buffers = 16,
	.buffer_size = 4096,
	.bulk_buffers = 4,
	.bulk_buffer_size = 64 << 10,
	.headroom = 64 };

static void forbid(unsigned number, int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)code & SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = gb__countof(filter), .filter = filter };

	CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

static void refused(int code, const char *words)
{
	struct gb_error error = { 0 };
	struct gb__ring *ring = NULL;

	forbid(SYS_io_uring_setup, code);
	CHECK_INT(gb__ring_io_uring.create(&options, &ring, &error), -code);
	CHECK(!ring);
	CHECK_INT(error.code, -code);
	if (!strstr(error.text, words) || !strstr(error.text, "engine=auto"))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", error.text, words);
}

TEST(a_seccomp_filter_is_named_as_the_reason)
{
	refused(EPERM, "seccomp");
}

TEST(a_kernel_without_io_uring_is_named_as_the_reason)
{
	refused(ENOSYS, "Linux 5.11");
}

TEST(a_memory_limit_is_named_as_the_reason)
{
	refused(ENOMEM, "ulimit -l");
}

TEST(a_lack_of_descriptors_is_named_as_the_reason)
{
	struct gb_error error = { 0 };
	struct gb__ring *ring = NULL;

	forbid(SYS_io_uring_setup, EMFILE);
	CHECK_INT(gb__ring_io_uring.create(&options, &ring, &error), -EMFILE);
	CHECK(strstr(error.text, "ulimit -n"));
}

TEST(a_ring_goes_on_without_large_buffers_when_they_are_refused)
{
	struct gb_error error = { 0 };
	struct gb__completion completion;
	struct gb__ring *ring = NULL;
	int pair[2];

	CHECK_INT(ops->create(&options, &ring, &error), 0);
	CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
	if (!(ops->features(ring) & GB__RING_BULK))
		return;
	forbid(SYS_io_uring_register, ENOMEM);
	CHECK_INT(ops->bulk_start(ring), -ENOMEM);
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CHECK_INT(ops->recv(ring, pair[0], false, 5), 0);
	CHECK_INT(write(pair[1], "x", 1), 1);
	CHECK_INT(ops->wait(ring, &completion, 1, -1), 1);
	CHECK_INT(completion.result, 1);
	ops->buffer_return(ring, gb__completion_buffer(&completion));
	ops->destroy(ring);
}
