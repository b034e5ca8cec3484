/*
 * ACE: event handlers on its epoll reactor (the default one, on select, ends at 1024 descriptors). Input comes
 * into one buffer that all connections share; what the socket does not take is kept, and the reactor is asked
 * for room instead of input until it has gone.
 */
extern "C" {
#include "../raw_listen.h"
}

#include <ace/Dev_Poll_Reactor.h>
#include <ace/Event_Handler.h>
#include <ace/Reactor.h>
#include <ace/SOCK_Acceptor.h>
#include <ace/SOCK_Stream.h>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <sys/socket.h>

namespace {

char buffer[64 * 1024];

class connection : public ACE_Event_Handler {
public:
	explicit connection(ACE_Reactor *reactor) : ACE_Event_Handler(reactor)
	{
	}

	ACE_SOCK_Stream stream;

	ACE_HANDLE get_handle() const override
	{
		return stream.get_handle();
	}

	int handle_input(ACE_HANDLE) override
	{
		ssize_t received = stream.recv(buffer, sizeof buffer), sent;

		if (received <= 0)
			return received < 0 && errno == EWOULDBLOCK ? 0 : -1;
		sent = send_some(buffer, received);
		if (sent < 0)
			return -1;
		if (sent < received) {
			rest.assign(buffer + sent, received - sent);
			reactor()->cancel_wakeup(this, READ_MASK);
			reactor()->schedule_wakeup(this, WRITE_MASK);
		}
		return 0;
	}

	int handle_output(ACE_HANDLE) override
	{
		ssize_t sent = send_some(rest.data(), rest.size());

		if (sent < 0)
			return -1;
		rest.erase(0, sent);
		if (rest.empty()) {
			rest.shrink_to_fit();
			reactor()->cancel_wakeup(this, WRITE_MASK);
			reactor()->schedule_wakeup(this, READ_MASK);
		}
		return 0;
	}

	int handle_close(ACE_HANDLE, ACE_Reactor_Mask) override
	{
		reactor()->remove_handler(this, ALL_EVENTS_MASK | DONT_CALL);
		stream.close();
		delete this;
		return 0;
	}

private:
	std::string rest;

	ssize_t send_some(const char *bytes, size_t size)
	{
		ssize_t sent = ::send(get_handle(), bytes, size, MSG_NOSIGNAL);

		return sent < 0 && errno == EWOULDBLOCK ? 0 : sent;
	}
};

class acceptor : public ACE_Event_Handler {
public:
	acceptor(ACE_Reactor *reactor, int fd) : ACE_Event_Handler(reactor)
	{
		listener.set_handle(fd);
	}

	ACE_HANDLE get_handle() const override
	{
		return listener.get_handle();
	}

	int handle_input(ACE_HANDLE) override
	{
		connection *newcomer = new connection(reactor());

		if (listener.accept(newcomer->stream) < 0) {
			delete newcomer;
			return 0;
		}
		newcomer->stream.enable(ACE_NONBLOCK);
		if (reactor()->register_handler(newcomer, READ_MASK) < 0)
			newcomer->handle_close(ACE_INVALID_HANDLE, 0);
		return 0;
	}

private:
	ACE_SOCK_Acceptor listener;
};

} // namespace

int main(int argc, char **argv)
{
	size_t fds_max;
	int fd = raw_listen(argc, argv, SOCK_NONBLOCK, &fds_max);
	ACE_Dev_Poll_Reactor implementation(fds_max);
	ACE_Reactor reactor(&implementation);
	acceptor listener(&reactor, fd);

	if (reactor.register_handler(&listener, ACE_Event_Handler::ACCEPT_MASK) < 0)
		return EXIT_FAILURE;
	raw_announce(fd);
	return reactor.run_reactor_event_loop();
}
