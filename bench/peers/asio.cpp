/*
 * Asio without Boost, as its tutorials write a server: a session reads some, writes all of it, and reads again.
 * Compiled twice: on epoll, and with ASIO_HAS_IO_URING and ASIO_DISABLE_EPOLL on io_uring.
 */
extern "C" {
#include "../raw_listen.h"
}

#include <array>
#include <asio.hpp>
#include <memory>

using asio::ip::tcp;

namespace {

class session : public std::enable_shared_from_this<session> {
public:
	explicit session(tcp::socket socket) : socket_(std::move(socket))
	{
	}

	void read()
	{
		socket_.async_read_some(asio::buffer(buffer_),
			[self = shared_from_this()](std::error_code error, std::size_t size) {
				if (!error)
					self->write(size);
			});
	}

private:
	void write(std::size_t size)
	{
		asio::async_write(socket_, asio::buffer(buffer_, size),
			[self = shared_from_this()](std::error_code error, std::size_t) {
				if (!error)
					self->read();
			});
	}

	tcp::socket socket_;
	std::array<char, 16 * 1024> buffer_;
};

void accept(tcp::acceptor &acceptor)
{
	acceptor.async_accept([&acceptor](std::error_code error, tcp::socket socket) {
		if (!error)
			std::make_shared<session>(std::move(socket))->read();
		accept(acceptor);
	});
}

} // namespace

int main(int argc, char **argv)
{
	asio::io_context context(1); // one thread runs it
	std::size_t fds_max;
	int fd = raw_listen(argc, argv, 0, &fds_max);
	tcp::acceptor acceptor(context, tcp::v4(), fd);

	accept(acceptor);
	raw_announce(fd);
	context.run();
}
