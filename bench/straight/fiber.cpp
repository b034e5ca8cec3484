/*
 * Boost.Fiber, one thread. The library has no I/O of its own: its users give it a scheduler that waits where theirs is
 * waited for. This one is the library's round robin on epoll, edge-triggered, a descriptor registered once.
 */
extern "C" {
#include "../raw_listen.h"
}

#include <boost/fiber/all.hpp>
#include <cerrno>
#include <chrono>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace fibers = boost::fibers;

namespace
{

int epoll;
std::vector<fibers::context *> waiting; // by descriptor: who waits for it

class epoll_robin : public fibers::algo::algorithm
{
      public:
	void awakened(fibers::context *context) noexcept override
	{
		context->ready_link(ready_);
	}

	fibers::context *pick_next() noexcept override
	{
		if (ready_.empty())
			return nullptr;
		fibers::context *context = &ready_.front();

		ready_.pop_front();
		return context;
	}

	bool has_ready_fibers() const noexcept override
	{
		return !ready_.empty();
	}

	void suspend_until(const std::chrono::steady_clock::time_point &until) noexcept override
	{
		epoll_event events[256];
		int timeout_ms = -1;

		if (until != std::chrono::steady_clock::time_point::max()) {
			const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
				until - std::chrono::steady_clock::now());

			timeout_ms = left.count() > 0 ? static_cast<int>(left.count()) + 1 : 0;
		}
		const int count = epoll_wait(epoll, events, 256, timeout_ms);

		for (int i = 0; i < count; i++) {
			fibers::context *context = waiting[events[i].data.fd];

			waiting[events[i].data.fd] = nullptr;
			if (context)
				fibers::context::active()->schedule(context);
		}
	}

	void notify() noexcept override
	{
		// nobody on another thread wakes a fiber of this one
	}

      private:
	fibers::scheduler::ready_queue_type ready_;
};

bool would_block()
{
	return errno == EAGAIN || errno == EWOULDBLOCK;
}

void wait(int fd)
{
	waiting[fd] = fibers::context::active();
	waiting[fd]->suspend();
}

ssize_t receive(int fd, char *data, std::size_t size)
{
	ssize_t received;

	while ((received = recv(fd, data, size, 0)) < 0 && would_block())
		wait(fd);
	return received;
}

bool send_all(int fd, const char *data, std::size_t size)
{
	while (size > 0) {
		const ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent >= 0) {
			data += sent;
			size -= static_cast<std::size_t>(sent);
		} else if (would_block()) {
			wait(fd);
		} else {
			return false;
		}
	}
	return true;
}

void watch(int fd, std::uint32_t events)
{
	epoll_event event{};

	event.events = events | EPOLLET;
	event.data.fd = fd;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void session(int fd)
{
	char buffer[1024];
	ssize_t size;

	watch(fd, EPOLLIN | EPOLLOUT);
	while ((size = receive(fd, buffer, sizeof buffer)) > 0)
		if (!send_all(fd, buffer, static_cast<std::size_t>(size)))
			break;
	close(fd);
}

void accept_all(int listener)
{
	watch(listener, EPOLLIN);
	for (;;) {
		const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			fibers::fiber(fibers::launch::dispatch, session, fd).detach();
		else if (would_block())
			wait(listener);
	}
}

} // namespace

int main(int argc, char **argv)
{
	std::size_t fds_max;
	int fd = raw_listen(argc, argv, SOCK_NONBLOCK, &fds_max);

	epoll = epoll_create1(EPOLL_CLOEXEC);
	waiting.resize(fds_max);
	fibers::use_scheduling_algorithm<epoll_robin>();
	raw_announce(fd);
	fibers::fiber(accept_all, fd).join();
}
