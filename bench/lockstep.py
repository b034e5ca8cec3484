"""A client whose loads are the same every time, so that what they cost a server can be counted.

It knows two orders of messages. `in_turn`: one message is under way at any time, so that each costs the
server a turn of its own. `at_once`: the server is stopped while one message is sent on every connection, so
that it finds them all in one wait when it goes on. A stop interrupts the wait (EINTR): the server's share of
that, one short turn for all connections together, is in what is counted.
"""

import contextlib
import select
import signal
import socket

from server import PATIENCE_S, Failure, until


def state(pid):
    """One letter, as /proc/pid/stat has it (proc(5)); Z as well for who is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@contextlib.contextmanager
def stopped(server):
    """What happens meanwhile a server, which waits now, finds in one go."""
    until(lambda: state(server.pid) in "SZ", f"{server.name} waits")
    server.process.send_signal(signal.SIGSTOP)
    until(lambda: state(server.pid) in "TZ", f"{server.name} stops")
    yield
    server.process.send_signal(signal.SIGCONT)


class Client:
    """Connections to one server, each of which has echoed once; counts the messages that came back right."""

    def __init__(self, server, connections, size, start=b""):
        self.server = server
        self.size, self.start = size, start
        self.number = self.answered = 0
        self.connections = []
        for _ in range(connections):  # one by one, so that accepting them is the same every time, too
            self.connections.append(self.connect())
            self.receive(self.connections[-1], self.send(self.connections[-1]))

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.server.port), PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, connection):
        """A message that no other is equal to; a line, so that line codecs take it as well."""
        self.number += 1
        message = self.start + b"%0*d\n" % (self.size - 1 - len(self.start), self.number)
        connection.sendall(message)
        return message

    def receive(self, connection, message):
        """Whether the message came back; the server may have closed instead."""
        got = b""
        while len(got) < len(message):
            piece = connection.recv(len(message) - len(got))
            if not piece:
                return False
            got += piece
        if got != message:
            raise Failure(f"{self.server.name}: a message came back wrong")
        self.answered += 1
        return True

    def in_turn(self):
        """A round of one message a connection. Returns whether the server answered all."""
        return all(self.receive(connection, self.send(connection)) for connection in self.connections)

    def at_once(self):
        """A round of one message a connection that the server finds all together."""
        with stopped(self.server):
            messages = [self.send(connection) for connection in self.connections]
        return all([self.receive(*pair) for pair in zip(self.connections, messages)])

    def in_passing(self):
        """A connection, a message and the end of both sides."""
        with self.connect() as connection:
            answered = self.receive(connection, self.send(connection))
            connection.shutdown(socket.SHUT_WR)
            if connection.recv(1):
                raise Failure(f"{self.server.name}: more came back than was sent")
        return answered

    def sees_end(self, seconds):
        """Whether the server, which was told to end, closes the connections within the time."""
        if not self.connections:
            return self.server.ended_within(seconds)
        return bool(select.select(self.connections, [], [], seconds)[0])

    def close(self):
        with stopped(self.server):
            for connection in self.connections:
                connection.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for connection in self.connections:
            connection.close()
