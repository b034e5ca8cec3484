/* Descriptors that arrive in another place: several in a message, in order; what does not fit is known. */
#include "os/fdpass.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The ends of as many pipes, which are told apart by their inodes; the numbers are what is expected to come. */
static void open_some(int fds[GB__FDPASS_MAX], uint32_t numbers[GB__FDPASS_MAX], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int ends[2];

		CHECK(pipe2(ends, O_CLOEXEC) == 0);
		fds[i] = ends[0];
		close(ends[1]);
		numbers[i] = 1000 + i;
	}
}

static bool same_file(int one, int other)
{
	struct stat first, second;

	return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_ino == second.st_ino;
}

/* Leaves room for exactly so many descriptors more. */
static void leave_room_for(unsigned count)
{
	struct rlimit limit = { 100, 100 };
	int fds[100], used = 0;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fds[used] = dup(STDIN_FILENO)) >= 0)
		used++;
	CHECK_INT(errno, EMFILE);
	while (count-- > 0)
		close(fds[--used]);
}

TEST(each_of_a_message_arrives_with_its_number)
{
	int pair[2], fds[GB__FDPASS_MAX], got[GB__FDPASS_MAX];
	uint32_t numbers[GB__FDPASS_MAX], told[GB__FDPASS_MAX];

	CHECK_INT(gb__fdpass_pair(pair), 0);
	open_some(fds, numbers, GB__FDPASS_MAX);
	for (unsigned count = 1; count <= GB__FDPASS_MAX; count++) {
		CHECK_INT(gb__fdpass_send(pair[0], fds, numbers, count), 0);
		CHECK_INT(gb__fdpass_recv(pair[1], got, told), count);
		for (unsigned i = 0; i < count; i++) {
			CHECK_INT(told[i], numbers[i]);
			CHECK(got[i] != fds[i] && same_file(got[i], fds[i]));
			CHECK(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
			close(got[i]);
		}
	}
}

TEST(messages_stay_apart_and_in_order)
{
	int pair[2], fds[GB__FDPASS_MAX], got[GB__FDPASS_MAX];
	uint32_t numbers[GB__FDPASS_MAX], told[GB__FDPASS_MAX];

	CHECK_INT(gb__fdpass_pair(pair), 0);
	open_some(fds, numbers, 5);
	CHECK_INT(gb__fdpass_send(pair[0], fds, numbers, 3), 0);
	CHECK_INT(gb__fdpass_send(pair[0], fds + 3, numbers + 3, 2), 0);
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), 3);
	CHECK(told[0] == 1000 && told[2] == 1002 && same_file(got[2], fds[2]));
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), 2);
	CHECK(told[0] == 1003 && told[1] == 1004 && same_file(got[1], fds[4]));
}

TEST(an_empty_channel_says_so_and_a_deserted_one_too)
{
	int pair[2], got[GB__FDPASS_MAX];
	uint32_t told[GB__FDPASS_MAX];

	CHECK_INT(gb__fdpass_pair(pair), 0);
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), -EAGAIN);
	close(pair[0]);
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), -EPIPE);
}

TEST(what_finds_no_descriptor_is_lost_and_the_others_arrive)
{
	int pair[2], fds[GB__FDPASS_MAX], got[GB__FDPASS_MAX];
	uint32_t numbers[GB__FDPASS_MAX], told[GB__FDPASS_MAX];

	CHECK_INT(gb__fdpass_pair(pair), 0);
	open_some(fds, numbers, GB__FDPASS_MAX);
	/* Sent first: what a user has under way in all is held against the limit as well (unix(7), ETOOMANYREFS). */
	CHECK_INT(gb__fdpass_send(pair[0], fds, numbers, GB__FDPASS_MAX), 0);
	CHECK_INT(gb__fdpass_send(pair[0], fds, numbers, 2), 0);
	leave_room_for(3);
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), GB__FDPASS_MAX);
	for (unsigned i = 0; i < GB__FDPASS_MAX; i++) {
		CHECK_INT(told[i], numbers[i]);
		CHECK(i < 3 ? same_file(got[i], fds[i]) : got[i] == -1);
	}
	/* No room at all. */
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), 2);
	CHECK(got[0] == -1 && got[1] == -1);
	CHECK(told[0] == numbers[0] && told[1] == numbers[1]);
	CHECK_INT(gb__fdpass_recv(pair[1], got, told), -EAGAIN);
	for (unsigned i = 0; i < GB__FDPASS_MAX; i++)
		close(fds[i]); /* a sanitizer that looks for leaks at the end needs some */
}

TEST(a_full_channel_takes_a_message_whole_or_not_at_all)
{
	int pair[2], fds[GB__FDPASS_MAX], got[GB__FDPASS_MAX], result;
	uint32_t numbers[GB__FDPASS_MAX], told[GB__FDPASS_MAX];
	unsigned sent = 0, came = 0;

	CHECK_INT(gb__fdpass_pair(pair), 0);
	open_some(fds, numbers, 4);
	while ((result = gb__fdpass_send(pair[0], fds, numbers, 4)) == 0)
		sent++;
	CHECK_INT(result, -EAGAIN);
	CHECK(sent > 0);
	while ((result = gb__fdpass_recv(pair[1], got, told)) == 4) {
		came++;
		for (unsigned i = 0; i < 4; i++)
			close(got[i]);
	}
	CHECK_INT(result, -EAGAIN);
	CHECK_INT(came, sent);
	CHECK_INT(gb__fdpass_send(pair[0], fds, numbers, 4), 0);
}
