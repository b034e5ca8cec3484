/* Asio's coroutines of C++20, as its own example of an echo server has them: a session reads some and writes all of it. */
extern "C" {
#include "../raw_listen.h"
}

#include <array>
#include <asio.hpp>

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

namespace
{

awaitable<void> session(tcp::socket socket)
{
	std::array<char, 1024> buffer;

	try {
		for (;;) {
			std::size_t size =
				co_await socket.async_read_some(asio::buffer(buffer), use_awaitable);

			co_await async_write(socket, asio::buffer(buffer, size), use_awaitable);
		}
	} catch (const std::system_error &) {
		/* the peer's FIN is one, too */
	}
}

awaitable<void> accept_all(tcp::acceptor &acceptor)
{
	for (;;) {
		tcp::socket socket = co_await acceptor.async_accept(use_awaitable);

		asio::co_spawn(acceptor.get_executor(), session(std::move(socket)), asio::detached);
	}
}

} // namespace

int main(int argc, char **argv)
{
	asio::io_context context(1); // one thread runs it
	std::size_t fds_max;
	int fd = raw_listen(argc, argv, 0, &fds_max);
	tcp::acceptor acceptor(context, tcp::v4(), fd);

	asio::co_spawn(context, accept_all(acceptor), asio::detached);
	raw_announce(fd);
	context.run();
}
